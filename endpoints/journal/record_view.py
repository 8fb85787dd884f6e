"""Decodes journal records for display, including the frames and the signed heads in them."""

from __future__ import annotations

from typing import Any

import msgspec

from protocol.core.events import BatchClosed, FrameReceived
from protocol.errors import RemoteProtocolError
from protocol.record.journal import Checkpoint, Closed, HeadSigned, Record
from protocol.wire import envelope
from protocol.wire.instants import written


def decoded(record: Record) -> dict[str, Any]:
    """Return a record as plain values, with its frames and its signed head decoded by `frame`."""
    entry = record.entry
    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(entry))
    if isinstance(entry, FrameReceived):
        fields["frame"] = frame(entry.frame)
    elif isinstance(entry, BatchClosed) and entry.frames:
        fields["frames"] = [frame(each) for each in entry.frames]
    elif isinstance(entry, Checkpoint | HeadSigned | Closed) and entry.signed_head:
        fields["signed_head"] = frame(entry.signed_head.encode())
    return {
        "n": record.n,
        "link": record.link,
        "side": record.side,
        "batch": record.batch,
        **fields,
        "at": written(entry.at),
        "effects": msgspec.to_builtins(record.effects),
        "prev": record.prev,
        "hash": record.hash,
    }


def frame(data: bytes) -> dict[str, Any]:
    """Return a frame's payload and key ids as far as it can be parsed. Signatures are not verified here."""
    try:
        opened = envelope.parse(data)
    except RemoteProtocolError as error:
        return {"unreadable": str(error), "bytes": len(data)}
    try:
        payload = msgspec.json.decode(opened.payload)
    except ValueError:
        payload = {"unreadable": opened.payload[:64].hex()}
    return {
        "payload_type": opened.payload_type,
        "payload": payload,
        "signatures": [each.keyid for each in opened.signatures],
    }
