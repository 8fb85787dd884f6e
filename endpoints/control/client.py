"""The client of the control socket, for the command line: single requests, and streams of JSON lines.

`async_client` is the one for processes that run on.

It uses the standard library's HTTP client, because importing a client library takes a third of a second per command.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import math
import secrets
import socket
import struct
from collections.abc import Generator, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from endpoints.errors import UserError, os_reason
from protocol.phrases import phrase, rephrased

EXIT_UNREACHABLE = 12
"""The status is unknown: the process does not run or does not answer."""
EXIT_REFUSED = 2
EXIT_OF = {"link_stopped": EXIT_UNREACHABLE, "conflict": 9}
"""Exit codes by the code of an error; `conflict`: somebody else acted first, whom its text names."""
ANSWER_WITHIN_S = 30.0
"""Longer than a flush of the slowest disk, and than a credential waits for its check (`PATIENCE_S`)."""
RELOADED_WITHIN_S = 120.0
"""A reload reads each link's journal anew, behind its last checkpoint."""
SILENT_AFTER_S = 15.0
"""A stream without an end has a line at least every `SIGN_OF_LIFE_S`; after three times that, its process hangs."""


NOBODY = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED})
"""The errors of a connection to a socket on which nobody listens."""


class Unreachable(UserError):  # noqa: N818 - names a state
    """The process does not run or does not answer."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=EXIT_UNREACHABLE)


class NotRunning(Unreachable):
    """No process listens on the control socket."""


class BrokenOff(Unreachable):
    """The connection was lost before the answer was complete."""


class RequestRefused(UserError):  # noqa: N818 - as above
    """The running process refused the request.

    Attributes:
        code: the error code of its response, such as `unknown_reference`.
        acts: if another officer acted first, the acts on the item; else None.
    """

    def __init__(self, code: str, detail: str, acts: Sequence[dict[str, Any]] | None = None) -> None:
        super().__init__(detail, exit_code=EXIT_OF.get(code, EXIT_REFUSED if acts is None else EXIT_OF["conflict"]))
        self.code = code
        self.acts = acts


class ControlClient:
    """Client for one link of the process that listens on `socket`; each request opens its own connection.

    Every method raises Unreachable or RequestRefused.
    """

    def __init__(self, socket: Path, link: str, patience_s: float = ANSWER_WITHIN_S) -> None:
        """Prepare the client; an answer that takes longer than `patience_s` is no answer."""
        self._socket = socket
        self._patience_s = patience_s
        self._base = f"/v1/links/{link}"

    def get(self, what: str) -> dict[str, Any]:
        """Return the JSON document `what`: `status`, `alarms`, `snapshot` or `items/REF`."""
        with self._request("GET", what) as response:
            return _answer(response)

    def act(self, action: str, ask: dict[str, Any]) -> str:
        """Post an officer's action; return its reference.

        If the connection is lost, the request is repeated once under the same request id, so it takes effect only once.
        """
        body = msgspec.json.encode({"request": secrets.token_hex(8), **ask})
        try:
            return self._act(action, body)
        except BrokenOff:
            return self._act(action, body)

    def _act(self, action: str, body: bytes) -> str:
        with self._request("POST", action, body) as response:
            reference: str = _answer(response)["reference"]
            return reference

    def follow(self, what: str, within_s: int | None = None) -> Generator[dict[str, Any], None, None]:
        """Yield the lines of the stream `what` until the process ends it, at the latest after `within_s`.

        The caller must close the generator (`contextlib.closing`) to stop earlier.
        """
        query = "follow=true" if within_s is None else f"within={within_s}"
        patience_s = SILENT_AFTER_S if within_s is None else within_s + ANSWER_WITHIN_S
        with self._request("GET", f"{what}?{query}", patience_s=patience_s) as response:
            if response.status != HTTPStatus.OK:
                _answer(response)
            while line := response.readline():
                # an empty line says only that the process lives
                if line.strip():
                    yield msgspec.json.decode(line)

    @contextlib.contextmanager
    def _request(
        self, method: str, what: str, body: bytes | None = None, patience_s: float | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        target = f"{self._base}/{what}"
        with _request(self._socket, method, target, body, self._patience_s, patience_s) as response:
            yield response


def reload(socket: Path) -> dict[str, Any]:
    """Have the process that listens on `socket` read its settings anew; return what it took over.

    The answer has `restarted` and `stopped`, ids of links; `officers`, whether others are enrolled now; and
    `next_start`, what only a start takes over, each with `text` and what it was made from, `said`.

    Raises NotRunning if there is no such process, and as ControlClient.
    """
    with _request(socket, "POST", "/v1/reload", b"", ANSWER_WITHIN_S, RELOADED_WITHIN_S) as response:
        return _answer(response)


@contextlib.contextmanager
def _request(
    socket: Path, method: str, target: str, body: bytes | None, connect_within_s: float, patience_s: float | None
) -> Iterator[http.client.HTTPResponse]:
    connection = _Connection(socket, connect_within_s)
    try:
        connection.request(method, target, body)
        assert connection.sock is not None
        connection.sock.settimeout(patience_s or connect_within_s)
        yield connection.getresponse()
    except TimeoutError as error:
        raise no_answer_in_time(socket) from error
    except (ConnectionError, http.client.HTTPException) as error:
        raise broken_off(socket) from error
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, patience_s: float) -> None:
        super().__init__("control")
        self._path = path
        self._patience_s = patience_s

    def connect(self) -> None:
        """Connect. Raises Unreachable."""
        connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # with settimeout(), connect would fail at once while others wait to be accepted
            connecting.setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", math.ceil(self._patience_s), 0)
            )
            connecting.connect(str(self._path))
            connecting.settimeout(self._patience_s)
        except OSError as error:
            connecting.close()
            raise nobody_answers(self._path, os_reason(error), nobody=error.errno in NOBODY) from error
        self.sock = connecting


def _answer(response: http.client.HTTPResponse) -> dict[str, Any]:
    """Return the JSON document in `response`. Raises RequestRefused if it is an error."""
    return document_in(response.read(), response.status, response.reason)


def document_in(content: bytes, status: int, reason: str) -> dict[str, Any]:
    """Return the JSON document in the body of an answer. Raises RequestRefused if it is an error."""
    try:
        document = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = {}
    if status == HTTPStatus.OK:
        return document
    raise RequestRefused(
        document.get("code", "refused"),
        rephrased(str(document.get("detail", "")), document.get("said"))
        or phrase("refused: {status}", status=f"{status} {reason}"),
        document.get("acts"),
    )


def nobody_answers(socket: Path, reason: str, *, nobody: bool) -> Unreachable:
    """Return that no connection was made: NotRunning if `nobody` listens, else Unreachable."""
    return (NotRunning if nobody else Unreachable)(
        phrase(
            "{socket}: nobody answers on this control socket ({reason}); "
            "start its process with deconflict run or deconflict watch",
            socket=socket,
            reason=reason,
        )
    )


def no_answer_in_time(socket: Path) -> Unreachable:
    """Return that the process has not answered in time."""
    return Unreachable(phrase("{socket}: no answer in time; the process or its disk hangs", socket=socket))


def broken_off(socket: Path) -> BrokenOff:
    """Return that the connection was lost."""
    return BrokenOff(phrase("{socket}: the connection was lost; the process has stopped or crashed", socket=socket))
