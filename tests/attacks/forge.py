"""Forges journals: edits a side's events, runs them through the real core, and signs anew with the side's own keys.

Without an edit, the forged journal is the original one to the byte. So a forgery differs from a journal that the
service could have written only in what the edit says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import UNSET, structs

from endpoints.journal.reader import JournalReader
from endpoints.journal.segments import segment_path, segments
from endpoints.keys.private_files import FILE_MODE
from endpoints.keys.signer import Signer
from protocol.core.core import Core
from protocol.core.effects import AnyEffect
from protocol.core.event import Event
from protocol.core.events import BatchClosed, Started
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.core.start_events import EpochOpened
from protocol.errors import LocalProtocolError
from protocol.record.heads import SIGN_AFTER_MS, Uncovered, signed_head
from protocol.record.journal import (
    HEAD_TYPE,
    ORIGIN,
    Checkpoint,
    Closed,
    Entry,
    HeadSigned,
    Record,
    decode,
    encode,
    head_payload,
)
from protocol.record.replay import CORES
from protocol.wire.envelope import PAYLOAD_TYPES
from tests.vectors.terms import KEYS

Edit = Callable[[Record, Any], Iterable[Entry]]
"""Given a record and the core before it, returns the entries to write in its place: none, itself, changed ones."""


def unedited(record: Record, core: Link | Observer) -> Iterable[Entry]:
    """Keep every entry."""
    del core
    return (record.entry,)


def signer_of(side: str) -> Signer | None:
    """Return what a side of an exchange signs with by default, None for the watch."""
    return Signer({KEYS[side][2]: KEYS[side][1]}) if side in KEYS else None


def records(journal: Path) -> list[Record]:
    """Return the records of an intact journal, up to its last finished batch."""
    return list(JournalReader(str(journal)).whole_records())


def forge(journal: Iterable[Record], signer: Signer | None, edit: Edit = unedited) -> list[Record]:
    """Return `journal`, of the present rules, with its events edited and everything that follows from them made anew.

    An event that the core refuses is left out, as the service would have done. A signed head that an edit has left out,
    and that the service would have written, is written. Without a `signer` nothing is sealed and no head is signed:
    for a watch without a key.
    """
    return list(_Forge(signer).run(journal, edit))


def write(journal: Iterable[Record], folder: Path) -> Path:
    """Write a journal's segments in `folder` and return it."""
    folder.mkdir(parents=True)
    lines: dict[int, list[bytes]] = {}
    for record in journal:
        if not lines or isinstance(record.entry, Checkpoint):
            lines[record.n] = []
        lines[max(lines)].append(line_of(record) + b"\n")
    for first, each in lines.items():
        path = segment_path(folder, first)
        path.touch(FILE_MODE)
        path.write_bytes(b"".join(each))
    return folder


def write_file(journal: Iterable[Record], path: Path) -> Path:
    """Write a journal into one file, which may begin at a checkpoint, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line_of(record) + b"\n" for record in journal))
    return path


def line_of(record: Record) -> bytes:
    """Return a record's line, without its newline."""
    line, _ = encode(record.n, record.link, record.side, record.batch, record.entry, record.effects, record.prev)
    return line


def bytes_of(folder: Path) -> bytes:
    """Return the records of a journal's segments as they are on disk."""
    return b"".join(path.read_bytes().rstrip(b"\0") for path in segments(folder))


class _Forge:
    """Writes the records of one journal."""

    def __init__(self, signer: Signer | None) -> None:
        self._signer = signer
        self._core: Link | Observer
        self._whose = ("", "")
        self._n = 0
        self._batch = 0
        self._hash = ORIGIN
        self._uncovered = Uncovered()
        # the last batch, if a signed head has to follow it
        self._owing: BatchClosed | None = None
        self._starts = False

    def run(self, journal: Iterable[Record], edit: Edit) -> Iterator[Record]:
        for record in journal:
            if not self._n:
                self._begin(record)
            for entry in edit(record, self._core):
                if self._owing is not None and signed_head(entry) is None:
                    at, mono = self._owing.at, self._owing.mono
                    yield from self._written(HeadSigned(at=at, mono=mono, signed_head=""))
                yield from self._written(entry)

    def _begin(self, record: Record) -> None:
        entry = record.entry
        self._whose = record.link, record.side
        self._n, self._hash = record.n - 1, record.prev
        if isinstance(entry, Checkpoint):
            self._core = CORES[entry.core].restore(entry.state)
            return
        assert isinstance(entry, EpochOpened)
        party = record.side in {entry.terms.caller, entry.terms.answering}
        self._core = Link.new(*self._whose) if party else Observer.new(*self._whose)

    def _written(self, entry: Entry) -> Iterator[Record]:
        effects: tuple[AnyEffect, ...] = ()
        if isinstance(entry, Checkpoint):
            state = self._core.checkpoint()
            assert entry.rules == Core.RULES, "only journals of the present rules can be run again"
            entry = structs.replace(entry, state=state, signed_head=self._head(entry))
        elif isinstance(entry, HeadSigned) and self._signer is None:
            return
        elif isinstance(entry, HeadSigned | Closed):
            entry = structs.replace(entry, signed_head=self._head(entry))
        else:
            if isinstance(entry, BatchClosed):
                entry = structs.replace(entry, frames=self._frames(entry))
            try:
                effects = self._handled(entry)
            except LocalProtocolError:
                return
        yield self._record(entry, effects)

    def _handled(self, event: Event) -> Any:
        return self._core.handle(event)

    def _frames(self, event: BatchClosed) -> tuple[bytes, ...]:
        if self._signer is None or isinstance(self._core, Observer):
            return ()
        unsealed = self._core.unsealed(event.at)
        return tuple(self._signer.seal(PAYLOAD_TYPES[each.channel], each.payload) for each in unsealed)

    def _head(self, entry: Checkpoint | HeadSigned | Closed) -> Any:
        if self._signer is None or entry.signed_head is UNSET:
            return UNSET
        return self._signer.seal(HEAD_TYPE, head_payload(*self._whose, self._n, self._hash)).decode()

    def _record(self, entry: Entry, effects: tuple[AnyEffect, ...]) -> Record:
        self._n += 1
        self._batch = self._batch or self._n
        line, self._hash = encode(self._n, *self._whose, self._batch, entry, effects, self._hash)
        record = decode(line)
        self._starts = self._starts or isinstance(entry, Started)
        if record.ends_batch:
            due = self._starts or self._uncovered.age_ms(0, entry.mono) >= SIGN_AFTER_MS
            owing = isinstance(entry, BatchClosed) and self._uncovered.first is not None and due
            self._owing = entry if owing and self._signer and isinstance(entry, BatchClosed) else None
            self._starts = False
        self._uncovered.take(record.n, entry, ends_batch=record.ends_batch)
        if record.ends_batch:
            self._batch = 0
        return record
