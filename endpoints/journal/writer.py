"""Writes one side's journal of one link: records, hash chain, batches, rotation, signed heads and recovery.

Each batch takes one write and one flush. After any error nothing more is written: what is on disk is known only after
the journal was opened again. The bytes lie in a `SegmentStore`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from msgspec import UNSET, Raw, Struct

from endpoints.errors import EXIT_USAGE, UserError, os_reason
from endpoints.journal.store import LastSegment, SegmentStore
from protocol.core.effects import AnyEffect
from protocol.core.events import BatchClosed
from protocol.errors import JournalError, LinkError, NewerVersionError
from protocol.phrases import phrase, worded
from protocol.record.heads import SIGN_AFTER_MS, Uncovered
from protocol.record.journal import (
    HEAD_TYPE,
    ORIGIN,
    Checkpoint,
    Closed,
    Entry,
    HeadSigned,
    Record,
    encode,
    head_payload,
)
from protocol.record.proven import proven
from protocol.record.recovery import recover
from protocol.wire.instants import Millis

SEGMENT_BYTES: Final = 8 << 20
"""A segment is followed by the next when its records, beside its checkpoint, take this much: some 10,000 records, which
start-up reads within a second."""
LARGE_BYTES: Final = 1 << 20
"""A checkpoint of more than this is of thousands of open alerts, and stops the link for some 50 ms while it is written.
Its segment then ends only when the records take twice as much, so that checkpoints remain a small part of the work."""
LONG_BYTES: Final = 1 << 18
"""Reading this much behind a checkpoint takes some 30 ms."""
EXIT_DAMAGED: Final = 4

Batch: TypeAlias = Sequence[tuple[Entry, tuple[AnyEffect, ...]]]
"""Entries with the effects that each had. `BatchClosed` ends a batch; the journal's own entries stand alone."""
OnDisk = Callable[[Batch], None]
"""Called with each batch as soon as it is on disk."""
Sign = Callable[[str, bytes], bytes]
"""Seals a payload of a payload type into a frame: `Signer.seal`."""


class JournalFailure(LinkError):  # noqa: N818 - named like the alarm that operators see: journal_failure
    """A record could not be made durable. The link must stop at once; its journal accepts nothing more."""


class UnusableJournal(UserError):  # noqa: N818 - as UserError's other kinds: named for what is wrong
    """A journal can't be used. Its link does not run; other links may.

    Attributes:
        heals: it may become usable without a change to its files: the disk is full, not mounted, or read-only.
    """

    def __init__(self, message: str, *, heals: bool, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(message, exit_code=exit_code)
        self.heals = heals


class DamagedJournal(UnusableJournal):
    """A journal does not verify, and no crash explains it. It is refused, never repaired."""

    def __init__(self, message: str) -> None:
        super().__init__(message, heals=False, exit_code=EXIT_DAMAGED)


class _Prepared(Struct):
    """An encoded batch: its bytes, and the hash of its last record; why it is not on disk, if that has failed."""

    batch: Batch
    data: bytes
    digest: str
    new_segment: bool
    error: OSError | None = None


class JournalWriter:
    """One side's journal of one link, open in this process alone.

    Attributes:
        link, side: whose it is.
        recovered: the records since the last checkpoint, read by `open`, until `take_recovered` is called.
        recovered_rules: the version of the rules of those records, None if there are none.
        cut_bytes: how many bytes of an unfinished batch `open` has cut.
    """

    def __init__(
        self,
        store: SegmentStore,
        link: str,
        side: str,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        on_disk: OnDisk = lambda _batch: None,
    ) -> None:
        """Prepare a journal that is not open yet: `reopen` opens it. `open` does both."""
        self.link = link
        self.side = side
        self.recovered: tuple[Record, ...] = ()
        self.recovered_rules: str | None = None
        self.cut_bytes = 0
        self._store = store
        self._segment_bytes = segment_bytes
        self._on_disk = on_disk
        # the segment's first number, and where the next batch goes: one value, for readers in other threads
        self._flushed = (0, 0)
        self._opening = 0  # bytes of the segment's checkpoint
        self._n = 0
        self._hash = ORIGIN
        self._uncovered = Uncovered()
        self._ended = ""  # why nothing is written any more
        self._prepared: _Prepared | None = None

    @classmethod
    def open(
        cls,
        store: SegmentStore,
        link: str,
        side: str,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        on_disk: OnDisk = lambda _batch: None,
    ) -> JournalWriter:
        """Open and verify the journal in `store`, and cut what a crash left of an unfinished batch.

        Args:
            store: where it lies; nobody else may use it until the journal is closed.
            link: the link.
            side: the side, or the watch.
            segment_bytes: the length at which `rotate_due` becomes true.
            on_disk: called with each batch as soon as it is on disk.

        Raises UserError if another process has it open; UnusableJournal if it can't be read or made; DamagedJournal,
        with segment and record, if it does not verify.
        """
        journal = cls(store, link, side, segment_bytes=segment_bytes, on_disk=on_disk)
        journal._open(create=True, known=(0, ORIGIN))
        return journal

    def reopen(self) -> JournalWriter:
        """Close this journal, failed or never opened, and open it again from what is on disk, and from nothing else.

        Raises as `open` does; UnusableJournal also if the last record that was on disk is missing: its disk is not
        mounted, or holds an older copy. Nothing is changed then.
        """
        # only the first attempt begins a new journal: later, one that is missing has to come back
        create = not (self._n or self._ended)
        self.let_go()
        again = JournalWriter(
            self._store, self.link, self.side, segment_bytes=self._segment_bytes, on_disk=self._on_disk
        )
        again._open(create=create, known=(self._n, self._hash))
        return again

    # --- writing --------------------------------------------------------------------------------------------------

    def append(self, batch: Batch) -> int:
        """Make a batch durable with one write and one flush. Return the number of its first record.

        The batch ends with its only `BatchClosed`. Raises JournalFailure; then nothing of it may be acted upon.
        """
        first = self._n + 1
        self.prepare(batch)
        self.flush()
        self.settle()
        return first

    def prepare(self, batch: Batch) -> None:
        """Encode a batch, for `flush` and then `settle`: the three steps of `append`. Raises JournalFailure."""
        if [place for place, (entry, _) in enumerate(batch, 1) if isinstance(entry, BatchClosed)] != [len(batch)]:
            raise ValueError("a batch ends with its only BatchClosed")
        self._prepare(batch, new_segment=self._n == 0)

    def flush(self) -> None:
        """Write the prepared batch and flush it. `settle` reports an error.

        Any thread may do this, while no other uses the journal.
        """
        prepared = self._prepared
        assert prepared is not None, "there is no batch to flush"
        try:
            if prepared.new_segment:
                self._store.start_segment(self._n + 1, prepared.data)
            else:
                self._store.append(prepared.data)
        except OSError as error:
            prepared.error = error

    def settle(self) -> None:
        """Go on behind the batch that was flushed. Raises JournalFailure; then nothing of it may be acted upon."""
        prepared, self._prepared = self._prepared, None
        assert prepared is not None, "there is no batch that was flushed"
        if prepared.error is not None:
            raise self._fail(prepared.error) from prepared.error
        first, end = self._flushed
        if prepared.new_segment:
            first, end = self._n + 1, 0
            self._opening = len(prepared.data) if first > 1 else 0
        self._flushed = (first, end + len(prepared.data))
        self._n += len(prepared.batch)
        self._hash = prepared.digest
        self._uncovered.take(self._n, prepared.batch[-1][0], ends_batch=True)
        self._on_disk(prepared.batch)

    def rotate(self, state: Raw, rules: str, core: str, at: Millis, mono: Millis, sign: Sign | None) -> None:
        """Start the next segment with a checkpoint of `state`. Raises JournalFailure.

        Args:
            state: the core's state after the last record.
            rules: the version of the rules that produced it.
            core: the core's name.
            at: now.
            mono: now, by the clock that never steps.
            sign: signs the head; None without a key.
        """
        entry = Checkpoint(at=at, mono=mono, rules=rules, core=core, state=state, signed_head=self._signed_head(sign))
        self._write([(entry, ())], new_segment=True)

    def sign_head(self, at: Millis, mono: Millis, sign: Sign) -> None:
        """Record a signed head over all records so far. Raises JournalFailure."""
        self._write([(HeadSigned(at=at, mono=mono, signed_head=self._signed_head(sign)), ())], new_segment=False)

    def close(self, at: Millis, mono: Millis, sign: Sign | None) -> None:
        """Record a clean stop with a signed head, and close the store. Raises JournalFailure.

        After a failure, or before the first record, nothing is written.
        """
        try:
            if self._n and not self._ended:
                entry = Closed(at=at, mono=mono, signed_head=self._signed_head(sign))
                self._write([(entry, ())], new_segment=False)
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Close the store without a record of it."""
        self._end(phrase("{name}: the journal is closed", name=self.name))

    # --- asking ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Where it lies, for error texts."""
        return self._store.name

    @property
    def n(self) -> int:
        """The last record's number, 0 for an empty journal."""
        return self._n

    @property
    def head(self) -> str:
        """The last record's hash."""
        return self._hash

    @property
    def flushed(self) -> tuple[int, int]:
        """The last segment's first number, and up to which byte it is on disk; (0, 0) before the first record.

        May be read from any thread.
        """
        return self._flushed

    @property
    def ended(self) -> bool:
        """It has failed or is closed: nothing more is written. May be read from any thread."""
        return bool(self._ended)

    @property
    def rotate_due(self) -> bool:
        """The segment is long enough: call `rotate` between two batches."""
        least = 2 * self._opening if self._opening > LARGE_BYTES else 0
        return self._flushed[1] - self._opening >= max(self._segment_bytes, least)

    @property
    def long(self) -> bool:
        """Whether reading the segment takes a while: `rotate` before a running process opens the journal again."""
        return self._flushed[1] - self._opening >= LONG_BYTES

    @property
    def head_due_mono(self) -> Millis | None:
        """The `mono` at which the head has to be signed, None if every batch is covered.

        After `open` it is of the clock of an earlier run, until `sign_head` is called.
        """
        first = self._uncovered.first
        return None if first is None else first.mono + SIGN_AFTER_MS

    def free_bytes(self) -> int:
        """Return how many bytes may still be written to the disk. Raises JournalFailure if the disk can't say."""
        try:
            return self._store.free_bytes()
        except OSError as error:
            raise self._fail(error) from error

    def take_recovered(self) -> tuple[Record, ...]:
        """Return the recovered records and release them: they may take many megabytes."""
        records, self.recovered = self.recovered, ()
        return records

    # --- within ---------------------------------------------------------------------------------------------------

    def _open(self, *, create: bool, known: tuple[int, str]) -> None:
        """Open the store and recover; `known` is the last record of an earlier opening. Raises as `reopen` does."""
        try:
            last = self._store.open(create=create)
            if last is None:
                self._recognise((), known)
            else:
                self._recover(last, known)
        except OSError as error:
            self.let_go()
            file, reason = error.filename or self.name, os_reason(error)
            what = phrase("{file}: the journal can't be opened: {reason}", file=file, reason=reason)
            raise UnusableJournal(what, heals=True) from None
        except UserError:
            self.let_go()
            raise

    def _recover(self, last: LastSegment, known: tuple[int, str]) -> None:
        """Verify the last segment and continue it after its last complete batch. Raises UnusableJournal, OSError."""
        try:
            found = recover(last.data, last.first, self.link, self.side)
        except (JournalError, NewerVersionError) as error:
            what, newer = phrase("{name}: {error}", name=last.name, error=error), isinstance(error, NewerVersionError)
            raise (UnusableJournal(what, heals=False) if newer else DamagedJournal(what)) from error
        self._recognise(found.records, known)
        self._store.resume(found.keep, last.data[found.last_batch : found.keep])
        self.recovered, self.cut_bytes = found.records, found.cut_bytes
        self.recovered_rules = found.records[0].rules
        self._flushed, self._n, self._hash = (last.first, found.keep), found.records[-1].n, found.records[-1].hash
        for record in found.records:
            self._uncovered.take(record.n, record.entry, ends_batch=record.ends_batch)
        self._opening = last.data.find(b"\n") + 1 if isinstance(found.records[0].entry, Checkpoint) else 0

    def _recognise(self, records: Sequence[Record], known: tuple[int, str]) -> None:
        """Raise UnusableJournal if the record `known` is not among `records`, nor the one before them."""
        n, digest = known
        ends = {record.n: record.hash for record in records} | {record.n - 1: record.prev for record in records}
        if n and ends.get(n) != digest:
            what = phrase(
                "{name}: record {n} was on disk and is missing now: mount the disk that holds it", name=self.name, n=n
            )
            raise UnusableJournal(what, heals=True)

    def _write(self, batch: Batch, *, new_segment: bool) -> None:
        """Encode a batch and make it durable, at the end or in a new segment. Raises JournalFailure."""
        self._prepare(batch, new_segment=new_segment)
        self.flush()
        self.settle()

    def _prepare(self, batch: Batch, *, new_segment: bool) -> None:
        data, digest = self._encode(batch)
        self._prepared = _Prepared(batch, data, digest, new_segment)

    def _encode(self, batch: Batch) -> tuple[bytes, str]:
        """Return the bytes of a batch and its last hash. Raises JournalFailure."""
        if self._ended:
            raise JournalFailure(self._ended)
        lines: list[bytes] = []
        digest = self._hash
        first = self._n + 1
        try:
            for n, (entry, effects) in enumerate(batch, first):
                again = not proven(entry, effects)
                line, digest = encode(n, self.link, self.side, first, entry, effects, digest, read_again=again)
                lines.append(line)
        except JournalError as error:
            raise self._fail(error) from error
        lines.append(b"")
        return b"\n".join(lines), digest

    def _signed_head(self, sign: Sign | None) -> Any:
        """Return the signed head over the last record, UNSET without a key."""
        if sign is None:
            return UNSET
        return sign(HEAD_TYPE, head_payload(self.link, self.side, self._n, self._hash)).decode()

    def _fail(self, error: OSError | JournalError) -> JournalFailure:
        """Return the failure to raise. Nothing is written any more, and the disk can be unmounted."""
        what = os_reason(error) if isinstance(error, OSError) else worded(error)
        self._end(phrase("{name}: the journal can't be written: {reason}", name=self.name, reason=what))
        return JournalFailure(self._ended)

    def _end(self, why: str) -> None:
        """Close the store, once: after `reopen`, another journal uses it."""
        if not self._ended:
            self._ended = why
            self._store.close()
