"""Builds small journals for tests, with records of many kinds."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from endpoints.journal.reader import JournalReader
from protocol.core.core import Core
from protocol.core.effects import AnyEffect, RejectFrame
from protocol.core.events import BatchClosed, FrameReceived, Started, TransportConnected, TransportLost
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.record.journal import ORIGIN, Checkpoint, Closed, Entry, Record, encode

LINK, SIDE = "eucom-ndmc", "eucom"
NOON = 1_669_716_000_000
Batch = list[tuple[Entry, tuple[AnyEffect, ...]]]


def batch(number: int) -> Batch:
    """Return the events of a batch; the number selects which ones."""
    at = NOON + number * 1_000
    closed = BatchClosed(at=at, mono=number, frames=(b"{sealed}",) if number % 2 else ())
    choices: list[list[Entry]] = [
        [
            Started(
                at=at,
                mono=number,
                software="1",
                slots=("2022-11-29T16:00:00.000Z",),
                slots_until="2022-12-13T10:00:00.000Z",
                tzdata="2026.1",
            ),
            TransportConnected(at=at, mono=number),
        ],
        [FrameReceived(at=at, mono=number, channel="message", sender="ndmc", frame=b"{}", verdict="bad_signature")],
        [TransportLost(at=at, mono=number, reason="обрыв @ line 3")],
    ]
    effects: tuple[AnyEffect, ...]
    effects = (RejectFrame(reason="bad_signature", detail="no good one"),) if number % 3 == 1 else ()
    return [*((entry, effects) for entry in choices[number % 3]), (closed, ())]


def raw_state(**fields: object) -> Raw:
    """Return a checkpoint's state with these fields."""
    return Raw(msgspec.json.encode(fields))


def fields_of(core: Core) -> dict[str, Any]:
    """Return the fields of a core's state, as in a checkpoint."""
    fields: dict[str, Any] = msgspec.json.decode(core.checkpoint())
    return fields


def records(folder: Path) -> list[Record]:
    """Return the records of the journal in `folder`."""
    return list(JournalReader(str(folder)).whole_records())


def empty(record: Record) -> Link | Observer:
    """Return a core of the side that wrote a record, before the first event."""
    return Observer.new(record.link, record.side) if record.side == "watch" else Link.new(record.link, record.side)


def checkpoint(number: int) -> Batch:
    """Return a batch with a checkpoint."""
    state = raw_state(last=number, hash="0" * 64)
    entry = Checkpoint(at=NOON + number, mono=number, rules="1", core="Link", state=state)
    return [(entry, ())]


def closed(number: int) -> Batch:
    """Return a batch with a clean stop."""
    return [(Closed(at=NOON + number, mono=number), ())]


def lines_of(
    batches: list[Batch], *, n: int = 1, prev: str = ORIGIN, link: str = LINK, side: str = SIDE
) -> list[bytes]:
    """Return the lines, with their newlines, of a journal that contains these batches from record `n` on."""
    lines = []
    for entries in batches:
        first = n
        for entry, effects in entries:
            line, prev = encode(n, link, side, first, entry, effects, prev)
            lines.append(line + b"\n")
            n += 1
    return lines
