"""The channel between the load test and an endpoint that it runs: what is asked, what is answered, and its frames."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import msgspec
from msgspec import Struct

from load.alerts import Template
from load.driver import Load, Slice

_LENGTH_BYTES = 4
_MESSAGE_MAX_BYTES = 1 << 28
"""More than the rows of the longest slice."""


class ChannelMessage(Struct, tag=True, array_like=True):
    """One message, in either direction."""


# --- what the load test asks --------------------------------------------------------------------------------------


class Run(ChannelMessage):
    """Raise alerts through the work queue of this process."""

    load: Load
    links: tuple[str, ...]
    template: Template
    # the first exchange's number in the run
    first: int


class RunYardstick(ChannelMessage):
    """Run exchanges of one yardstick, with messages of this size; `flush` is the skeleton's."""

    load: Load
    size_bytes: int
    flush: bool = True


class EndRun(ChannelMessage):
    """Begin no more exchanges."""


class AcknowledgeAll(ChannelMessage):
    """Acknowledge every open alert of the other side."""


class Collect(ChannelMessage):
    """Hand over the rows that were noted since the last time."""


# --- what an endpoint answers -------------------------------------------------------------------------------------


class Serving(ChannelMessage):
    """The endpoint runs."""


class Sealed(ChannelMessage):
    """Messages `first` to `last` were signed, appended and flushed here, in one batch."""

    link: str
    first: int
    last: int
    sign_begins_ns: int
    sign_ends_ns: int
    flush_begins_ns: int
    flush_ends_ns: int


class BrokerTook(ChannelMessage):
    """The broker acknowledged the frame of messages `first` to `last`."""

    link: str
    first: int
    last: int
    published_ns: int
    accepted_ns: int


class Applied(ChannelMessage):
    """Messages `first` to `last` of the other side arrived, were verified, and are on disk with the receipt of them."""

    link: str
    first: int
    last: int
    arrived_ns: int
    verify_begins_ns: int
    verify_ends_ns: int
    sign_begins_ns: int
    flush_ends_ns: int


class Receipted(ChannelMessage):
    """The other side's receipt of our messages up to `upto` is on disk here."""

    link: str
    upto: int
    arrived_ns: int
    verify_ends_ns: int
    flush_ends_ns: int


Row = Sealed | BrokerTook | Applied | Receipted


class Rows(ChannelMessage):
    """The rows that were noted."""

    rows: list[Row]


class Progress(ChannelMessage):
    """How many exchanges have finished."""

    done: int


class Ran(ChannelMessage):
    """The result of `Run`: times by exchange, and the number of each one's message."""

    slice: Slice
    seqs: list[int]


class Acknowledged(ChannelMessage):
    """The result of `AcknowledgeAll`: how many there were."""

    count: int


class Failed(ChannelMessage):
    """What was asked failed."""

    text: str
    said: Any = None


Asked = Run | RunYardstick | EndRun | AcknowledgeAll | Collect
Answer = Serving | Rows | Progress | Ran | Acknowledged | Failed | Receipted

_encoder = msgspec.msgpack.Encoder()
_asked = msgspec.msgpack.Decoder(Asked)
_answers = msgspec.msgpack.Decoder(Answer)


class ChildChannel:
    """One end of the channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> ChildChannel:
        """Return the channel over a connected socket."""
        end.setblocking(False)
        return cls(*await asyncio.open_connection(sock=end))

    def send(self, message: ChannelMessage) -> None:
        """Send a message; a peer that has gone is noticed by `receive`."""
        content = _encoder.encode(message)
        self._writer.write(len(content).to_bytes(_LENGTH_BYTES, "big") + content)

    async def asked(self) -> Asked | None:
        """Return the next message of the load test, None if it has gone."""
        content = await self._receive()
        return None if content is None else _asked.decode(content)

    async def answer(self) -> Answer | None:
        """Return the next message of the endpoint, None if it has gone."""
        content = await self._receive()
        return None if content is None else _answers.decode(content)

    def close(self) -> None:
        """Close this end."""
        self._writer.close()

    async def _receive(self) -> bytes | None:
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            return await self._reader.readexactly(length) if length <= _MESSAGE_MAX_BYTES else None
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
