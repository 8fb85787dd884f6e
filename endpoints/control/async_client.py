"""The client of the control socket for processes that run on, such as the console: requests and the event stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpcore
import httpx
import msgspec

from endpoints.control.client import (
    ANSWER_WITHIN_S,
    NOBODY,
    Unreachable,
    broken_off,
    document_in,
    no_answer_in_time,
    nobody_answers,
)
from endpoints.control.event_lines import EventLine
from endpoints.errors import os_reason
from protocol.phrases import phrase

BEAT_WITHIN_S = 3.0
"""The longest time between two lines of an event stream, which has one a second."""
ANSWER_MAX_BYTES = 64 * 2**20
"""Ten times the state of a link with a full outbox and inbox."""


class AsyncControlClient:
    """Client of the process that listens on one control socket. Each request opens its own connection.

    Every method raises Unreachable, also for an answer that is too late, too long or of another version; and
    RequestRefused.
    """

    def __init__(self, socket: Path, patience_s: float = ANSWER_WITHIN_S) -> None:
        """Prepare the client; an answer that takes longer than `patience_s` is no answer."""
        self._socket = socket
        self._patience_s = patience_s
        transport = httpx.AsyncHTTPTransport(uds=str(socket), limits=httpx.Limits(max_keepalive_connections=0))
        self._http = httpx.AsyncClient(
            transport=transport,
            base_url="http://control",
            trust_env=False,
            timeout=None,  # noqa: S113 - of each request as a whole
        )

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def links(self) -> list[str]:
        """Return the ids of the links of the process."""
        found: list[str] = (await self._request("GET", "/v1/links"))["links"]
        return found

    async def get(self, link: str, what: str) -> dict[str, Any]:
        """Return the JSON document `what` of a link: `status`, `alarms`, `snapshot` or `items/REF`."""
        return await self._request("GET", f"/v1/links/{link}/{what}")

    async def post(self, link: str, action: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Post an action of a link; return the answer.

        If the connection is lost, the caller repeats it under the same `request` id, so it takes effect only once.
        """
        return await self._request("POST", f"/v1/links/{link}/{action}", msgspec.json.encode(document))

    async def tell(self, target: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Post a document to the process as a whole, such as `console`; return the answer."""
        return await self._request("POST", f"/v1/{target}", msgspec.json.encode(document))

    async def events(self, link: str, after: int | None = None) -> AsyncGenerator[EventLine]:
        """Yield the lines of a link's event stream; with `after`, of which record the caller knows the state already.

        It does not end by itself: the end of the process raises Unreachable. Close it (`contextlib.aclosing`).
        """
        target = f"/v1/links/{link}/events" + ("" if after is None else f"?after={after}")
        async with self._faults():
            request = self._http.build_request("GET", target)
            async with asyncio.timeout(self._patience_s):
                response = await self._http.send(request, stream=True)
            try:
                if response.status_code != HTTPStatus.OK:
                    document_in(await self._read(response), response.status_code, response.reason_phrase)
                async for line in self._lines(response):
                    yield msgspec.json.decode(line, type=EventLine)
            finally:
                await response.aclose()
        raise broken_off(self._socket)

    async def _request(self, method: str, target: str, content: bytes | None = None) -> dict[str, Any]:
        async with (
            self._faults(),
            asyncio.timeout(self._patience_s),
            self._http.stream(method, target, content=content) as response,
        ):
            return document_in(await self._read(response), response.status_code, response.reason_phrase)

    async def _read(self, response: httpx.Response) -> bytes:
        """Return the body of an answer."""
        content = bytearray()
        async for piece in response.aiter_raw():
            content += piece
            self._check_length(content)
        return bytes(content)

    async def _lines(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """Yield each line. httpx would end lines also at characters that a text within may have."""
        pieces = aiter(response.aiter_raw())
        rest = bytearray()
        while True:
            async with asyncio.timeout(BEAT_WITHIN_S):
                searched = 0
                while (end := rest.find(b"\n", searched)) < 0:
                    searched = len(rest)
                    piece = await anext(pieces, None)
                    if piece is None:
                        return
                    rest += piece
                    self._check_length(rest)
            line = bytes(rest[:end])
            del rest[: end + 1]
            yield line

    def _check_length(self, content: bytearray) -> None:
        if len(content) > ANSWER_MAX_BYTES:
            raise Unreachable(
                phrase("{socket}: the answer is longer than {count} bytes", socket=self._socket, count=ANSWER_MAX_BYTES)
            )

    @contextlib.asynccontextmanager
    async def _faults(self) -> AsyncIterator[None]:
        """Raise what fails within as Unreachable."""
        try:
            yield
        except TimeoutError as error:
            raise no_answer_in_time(self._socket) from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            cause = _cause(error)
            nobody = cause is not None and cause.errno in NOBODY
            reason = str(error) if cause is None else os_reason(cause)
            raise nobody_answers(self._socket, reason, nobody=nobody) from error
        except (httpx.HTTPError, httpcore.ProtocolError, OSError) as error:
            raise broken_off(self._socket) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unreachable(
                phrase("{socket}: the process there has another version; restart both", socket=self._socket)
            ) from error


def _cause(error: BaseException) -> OSError | None:
    """Return the error of the system behind an error of httpx."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        found = found.__cause__ or found.__context__
    return found
