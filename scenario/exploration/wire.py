"""The frames of a small world, each with a number, and a label by which people and tests name it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from protocol.errors import RemoteProtocolError
from protocol.wire import envelope
from protocol.wire.digests import genesis, message_digest
from protocol.wire.envelope import Channel
from protocol.wire.messages import Message
from protocol.wire.policy import Terms

_QUOTED = 16
"""Digits of a hash that an alarm quotes."""


class KnownFrame(Struct, frozen=True):
    """A frame that was on the wire at least once. `payload` is empty if its envelope is malformed."""

    sender: str
    channel: Channel
    frame: bytes
    payload: bytes
    label: str


class Wire:
    """All frames and messages that a search has met: the frames by number, the messages by hash."""

    def __init__(self) -> None:
        self.frames: list[KnownFrame] = []
        # the sender, epoch and message of each hash
        self.messages: dict[str, tuple[str, int, Message]] = {}
        # of each stream's beginning: the sender and the epoch
        self.beginnings: dict[str, tuple[str, int]] = {}
        self._numbers: dict[tuple[str, str, bytes], int] = {}
        self._beginning_with: dict[str, str] = {}

    def number(self, sender: str, channel: Channel, frame: bytes, name: str = "") -> int:
        """Return the number of a frame; `name` is its label, if it is not derived from its payload."""
        key = (sender, channel, frame)
        known = self._numbers.get(key)
        if known is None:
            known = self._numbers[key] = len(self.frames)
            payload = _payload(frame)
            self.frames.append(KnownFrame(sender, channel, frame, payload, name or _label(sender, channel, payload)))
        return known

    def known(self, sender: str, channel: Channel, frame: bytes) -> int | None:
        """Return the number of a frame, None if it was never on the wire."""
        return self._numbers.get((sender, channel, frame))

    def in_full(self, digest: str) -> str:
        """Return the hash that begins with `digest`, as an alarm quotes it; `digest` itself if none is known."""
        return self._beginning_with.get(digest, digest)

    def open_epoch(self, terms: Terms) -> None:
        """Note the beginnings of both streams."""
        for party in (terms.caller, terms.answering):
            digest = genesis(terms, party)
            self.beginnings[digest] = (party, terms.epoch)
            self._beginning_with[digest[:_QUOTED]] = digest

    def said(self, sender: str, epoch: int, message: Message) -> str:
        """Note a message; return its hash."""
        digest = message_digest(message)
        self.messages[digest] = (sender, epoch, message)
        self._beginning_with[digest[:_QUOTED]] = digest
        return digest


def _payload(frame: bytes) -> bytes:
    try:
        return envelope.parse(frame).payload
    except RemoteProtocolError:
        return b""


def _label(sender: str, channel: Channel, payload: bytes) -> str:
    """Return such as `eucom message 1-2 receipt 1`; with the epoch, unless it is the first."""
    try:
        content = msgspec.json.decode(payload)
        epoch = "" if content["epoch"] == 1 else f" of epoch {content['epoch']}"
        if channel == "receipt":
            return f"{sender} receipt {content['upto']}{epoch}"
        first, last = content["messages"][0]["seq"], content["messages"][-1]["seq"]
        run = f"{first}" if first == last else f"{first}-{last}"
        beside = f" receipt {content['receipt']['upto']}" if "receipt" in content else ""
    except (ValueError, KeyError, TypeError, IndexError):
        return f"{sender} {channel} ?"
    return f"{sender} message {run}{beside}{epoch}"
