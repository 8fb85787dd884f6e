"""Raises alerts through an endpoint's control socket, as a client would: one connection for each request."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from endpoints.control.client import Unreachable
from endpoints.errors import UserError, os_reason
from load.alerts import Template
from load.driver import ClockNs, Driver, Load, Told
from load.stack import SliceOutcome
from protocol.phrases import phrase, rephrased
from protocol.wire.messages import Reference

CONNECTIONS_MAX = 32
"""Requests at a time: half of what an endpoint admits (`endpoints.control.connections`)."""
ANSWER_MAX_BYTES = 1 << 26


class ControlLoad:
    """The exchanges of one slice, raised through the control socket of the sender."""

    def __init__(
        self,
        socket: Path,
        clock_ns: ClockNs,
        load: Load,
        links: Sequence[str],
        template: Template,
        credential: str,
        first: int,
        told: Told,
    ) -> None:
        """Prepare it.

        Args:
            socket: the sender's control socket.
            clock_ns: the clock that all processes share.
            load: what to do.
            links: the links that take turns.
            template: of the alerts.
            credential: the officer's.
            first: the first alert's number in the run.
            told: takes how many exchanges have finished.
        """
        self.driver = Driver(load, self._begin, clock_ns, told)
        self._socket = socket
        self._clock_ns = clock_ns
        self._links = links
        self._template = template
        self._credential = credential
        self._first = first
        self._seqs: list[int] = []
        self._answered_ns: list[int] = []
        # bounded: the driver begins no more than the exchanges of a slice
        self._waiting: deque[int] = deque()
        self._requests: set[asyncio.Task[None]] = set()
        # by link: the receipts that have come, and the exchanges that wait for one
        self._receipts: dict[str, list[tuple[int, int]]] = {link: [] for link in links}
        self._open: dict[str, dict[int, int]] = {link: {} for link in links}

    async def run(self) -> SliceOutcome:
        """Run the slice. Raises UserError if a request is refused, or nobody answers."""
        try:
            times = await self.driver.run()
        finally:
            for request in self._requests:
                request.cancel()
            await asyncio.gather(*self._requests, return_exceptions=True)
        return SliceOutcome(times=times, seqs=self._seqs, answered_ns=self._answered_ns)

    def receipted(self, link: str, upto: int, at_ns: int) -> None:
        """Take a receipt of all messages of a link up to `upto`, on disk since `at_ns`."""
        if link not in self._receipts:
            return
        self._receipts[link].append((upto, at_ns))
        open_here = self._open[link]
        for seq in [seq for seq in open_here if seq <= upto]:
            self.driver.finished(open_here.pop(seq), at_ns)

    def _begin(self, exchange: int) -> None:
        self._seqs.append(0)
        self._answered_ns.append(0)
        if len(self._requests) >= CONNECTIONS_MAX:
            self._waiting.append(exchange)
        else:
            self._request(exchange)

    def _request(self, exchange: int) -> None:
        task = asyncio.get_running_loop().create_task(self._raise(exchange))
        self._requests.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._requests.discard(task)
        if self._waiting and not task.cancelled():
            self._request(self._waiting.popleft())

    async def _raise(self, exchange: int) -> None:
        link = self._links[exchange % len(self._links)]
        ask = self._template.ask(self._first + exchange, self._credential)
        try:
            answer = await post(self._socket, f"/v1/links/{link}/alert", msgspec.json.encode(ask))
        except UserError as error:
            self.driver.fail(error)
            return
        self._answered_ns[exchange] = self._clock_ns()
        seq = self._seqs[exchange] = Reference.parse(answer["reference"]).seq
        receipts = self._receipts[link]
        # the receipt may have come before the answer
        place = bisect_left(receipts, (seq, 0))
        if place < len(receipts):
            self.driver.finished(exchange, receipts[place][1])
        else:
            self._open[link][seq] = exchange


async def post(socket: Path, path: str, body: bytes) -> dict[str, Any]:
    """Post a request and return the answer. Raises Unreachable, or UserError if it is refused."""
    return await _ask(socket, b"POST", path, body)


async def get(socket: Path, path: str) -> dict[str, Any]:
    """Get a document. Raises Unreachable, or UserError if it is refused."""
    return await _ask(socket, b"GET", path, b"")


async def _ask(socket: Path, method: bytes, path: str, body: bytes) -> dict[str, Any]:
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError as error:
        raise Unreachable(
            phrase(
                "{socket}: nobody answers on this control socket ({reason}); start its process with deconflict run",
                socket=socket,
                reason=os_reason(error),
            )
        ) from None
    try:
        writer.write(
            b"%b %b HTTP/1.1\r\nHost: control\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
            % (method, path.encode(), len(body), body)
        )
        content = await reader.read(ANSWER_MAX_BYTES)
        while more := await reader.read(ANSWER_MAX_BYTES - len(content)):
            content += more
    except ConnectionError:
        content = b""
    finally:
        writer.close()
    return _answer(socket, content)


def _answer(socket: Path, content: bytes) -> dict[str, Any]:
    head, _, body = content.partition(b"\r\n\r\n")
    status = head[9:12]
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreachable(
            phrase("{socket}: the connection was lost; the process has stopped or crashed", socket=socket)
        ) from None
    if status == b"%d" % HTTPStatus.OK:
        return document
    why = rephrased(str(document.get("detail", "")), document.get("said"))
    raise UserError(phrase("{socket}: the endpoint refuses: {why}", socket=socket, why=why), exit_code=1)
