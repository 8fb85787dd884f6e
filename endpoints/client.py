"""The command line's side of the control socket: one request, or a stream of lines; errors in one line."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec

from endpoints.errors import UserError

EXIT_UNREACHABLE = 12
"""Nothing is known: the process does not run, or does not answer."""
EXIT_REFUSED = 2
ANSWER_WITHIN_S = 30.0
"""Longer than the slowest disk that is still a disk; a credential's check takes a second."""


class Unreachable(UserError):  # noqa: N818 - what it is, not what went wrong
    """The process does not run, or does not answer."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=EXIT_UNREACHABLE)


class Refused(UserError):  # noqa: N818 - as above
    """The running process refused the request.

    Attributes:
        code: the short word of its answer, such as `unknown_reference`.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail, exit_code=EXIT_UNREACHABLE if code == "link_stopped" else EXIT_REFUSED)
        self.code = code


class Client:
    """Talks to one link of the process that listens on `socket`. A context manager.

    Every method raises Unreachable or Refused.
    """

    def __init__(self, socket: Path, link: str) -> None:
        self._socket = socket
        self._base = f"/v1/links/{link}"
        transport = httpx.HTTPTransport(uds=str(socket))
        self._http = httpx.Client(transport=transport, base_url="http://control", timeout=ANSWER_WITHIN_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, what: str) -> dict[str, Any]:
        """Return the JSON document `what`: `status`, `alarms`, `snapshot`."""
        with self._errors():
            return _answer(self._http.get(f"{self._base}/{what}"))

    def act(self, action: str, ask: dict[str, Any]) -> str:
        """Post an officer's action; return its reference.

        A broken connection is asked again once, under the same request id: nothing happens twice.
        """
        body = {"request": secrets.token_hex(8), **ask}
        with self._errors():
            try:
                response = self._http.post(f"{self._base}/{action}", json=body)
            except httpx.RemoteProtocolError:
                response = self._http.post(f"{self._base}/{action}", json=body)
            reference: str = _answer(response)["reference"]
            return reference

    def follow(self, what: str, within_s: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the lines of the stream `what` until it ends: by itself, after `within_s`, or with the process."""
        timeout = httpx.Timeout(ANSWER_WITHIN_S, read=None if within_s is None else within_s + ANSWER_WITHIN_S)
        query = {"follow": "true"} if within_s is None else {"within": str(within_s)}
        with (
            self._errors(),
            self._http.stream("GET", f"{self._base}/{what}", params=query, timeout=timeout) as response,
        ):
            if response.is_error:
                response.read()
                _answer(response)
            for line in response.iter_lines():
                yield msgspec.json.decode(line)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise Unreachable(f"{self._socket}: no answer within {ANSWER_WITHIN_S:.0f} s") from error
        except httpx.ConnectError as error:
            raise Unreachable(
                f"{self._socket}: nobody answers on this control socket: start the process that owns it "
                f"(deconflict run, deconflict watch)"
            ) from error
        except httpx.TransportError as error:
            raise Unreachable(f"{self._socket}: the connection broke off: the process stopped or crashed") from error


def _answer(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON document in `response`. Raises Refused if it is an error."""
    try:
        document: dict[str, Any] = msgspec.json.decode(response.content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        document = {}
    if response.is_success:
        return document
    phrase = HTTPStatus(response.status_code).phrase
    raise Refused(document.get("code", phrase.lower()), document.get("detail", f"refused: {phrase}"))
