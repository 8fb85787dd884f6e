"""Runs a journal's events through the core again and compares the results with what was recorded.

Compared are the effects of every event, the payloads that each batch had to sign with those that its frames carry, and
each checkpoint's state with the state of the fold. Records of other rules than the present ones are not run again;
the result lists them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from protocol.core.core import Core
from protocol.core.event import Event
from protocol.core.event_fields import Rules
from protocol.core.events import BatchClosed
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.core.start_events import EpochOpened
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.phrases import phrase
from protocol.record.fold import fold, same_in_json
from protocol.record.journal import FIRST_RULES, OWN_ENTRIES, Checkpoint, Record
from protocol.record.spans import Span
from protocol.wire import envelope
from protocol.wire.instants import Millis

CORES: dict[str, type[Link | Observer]] = {"Link": Link, "Observer": Observer}
"""The cores by the names that checkpoints give them."""
_SHOWN_MAX = 300


class Divergence(Struct, frozen=True):
    """The first record whose effects, payloads or state are not what the rules give."""

    record: int
    reason: str


class NotRunAgain(Struct):
    """Records, from `first` to `last`, that other rules wrote."""

    first: int
    last: int
    rules: Rules


class SegmentRun(Struct, frozen=True):
    """Records of the present rules that were run again in another process, and of which none differs.

    Attributes:
        first, last: the numbers of record 1 or the checkpoint that they begin with, and of the last record.
        head: the hash of the last record, which names all of their bytes.
        at: the time of the latest record.
        compared: how many were compared behind the first one.
        state: the state of the core after them, in JSON.
    """

    first: int
    last: int
    head: str
    at: Millis
    compared: int
    state: bytes


class Replay:
    """A journal's events, run again one by one, or taken as run again elsewhere.

    Attributes:
        records: number of records taken.
        compared: number of those that were run again and compared.
        divergence: the first difference, None while there is none. Nothing is run after it.
        not_run_again: the records of other rules.
        other_rules: the last record that named other rules, and those rules; None if none did.
    """

    def __init__(self) -> None:
        self.records = 0
        self.compared = 0
        self.divergence: Divergence | None = None
        self.not_run_again: list[NotRunAgain] = []
        self.other_rules: tuple[int, Rules] | None = None
        self._rules: Rules = FIRST_RULES
        self._core: Link | Observer | None = None
        # the state behind a segment that was taken over, until the core is needed
        self._adopted: bytes | None = None

    @property
    def core(self) -> Link | Observer | None:
        """The core after the last record; None before the first, and after other rules."""
        if self._core is not None and self._adopted is not None:
            self._core, self._adopted = type(self._core).restore(self._adopted), None
        return self._core

    @core.setter
    def core(self, core: Link | Observer | None) -> None:
        self._core, self._adopted = core, None

    @property
    def identical(self) -> bool:
        """Whether nothing has differed so far."""
        return self.divergence is None

    def take(self, record: Record) -> None:
        """Run the next record."""
        self.records += 1
        self._rules = record.rules or self._rules
        entry = record.entry
        if self._rules != Core.RULES:
            self._pass_over(record)
        elif self.divergence is not None:
            return
        elif isinstance(entry, Checkpoint):
            self._checkpoint(record, entry)
        elif type(entry) not in OWN_ENTRIES:
            core = self.core
            if core is None:
                core = self.core = _first_core(record)
            self._event(core, record, entry)

    def begin(self, record: Record) -> bool:
        """Take record 1 or the checkpoint that begins a segment; return whether its result can be taken over.

        A checkpoint with exactly the state behind the segment before it is not restored here: the segment's own run has
        done so.
        """
        if isinstance(record.entry, Checkpoint) and self._continues(record.entry):
            self.count(record)
            self.compared += 1
        else:
            self.take(record)
        return self.identical and self._core is not None

    def _continues(self, entry: Checkpoint) -> bool:
        """Return whether a checkpoint has exactly the state, core and rules of the segment that was taken over last."""
        adopted = self._adopted is not None and bytes(entry.state) == self._adopted
        return adopted and CORES.get(entry.core) is type(self._core) and entry.rules == Core.RULES

    def count(self, record: Record) -> None:
        """Count the next record, of a segment whose result is taken over with `adopt`."""
        self.records += 1
        self._rules = record.rules or self._rules

    @property
    def idle(self) -> bool:
        """Whether records are only counted, because something differs or because they are of other rules."""
        return self.divergence is not None or self._rules != Core.RULES

    def pass_over(self, span: Span) -> None:
        """Count the records of a span: of a segment whose result is taken over, or while nothing is run."""
        self.records += span.records
        if self._rules != Core.RULES:
            self._not_run(span.first, span.last)

    def adopt(self, segment: SegmentRun) -> None:
        """Take over the result of a segment. Its first record was taken with `begin`; each behind it was counted."""
        assert self._core is not None, "its first record was taken"
        self.compared += segment.compared
        self._adopted = segment.state

    def diverge(self, record: int, reason: str) -> None:
        """Note a difference, also one found elsewhere (in a signature); only the first one counts."""
        if self.divergence is None:
            self.divergence = Divergence(record, reason)

    def _event(self, core: Link | Observer, record: Record, event: Event) -> None:
        self.compared += 1
        if isinstance(core, Link) and isinstance(event, BatchClosed) and (wrong := _payloads_differ(core, event)):
            self.diverge(record.n, wrong)
            return
        try:
            effects = core.handle(event)
        except LocalProtocolError as error:
            self.diverge(
                record.n, phrase("the rules refuse this {kind}: {error}", kind=type(event).__name__, error=error)
            )
            return
        if same_in_json(record.effects, effects):
            # nearly always; decoding both takes several times as long
            return
        recorded, computed = _plain(record.effects), _plain(effects)
        if recorded != computed:
            self.diverge(
                record.n,
                phrase(
                    "effects of {kind}: {difference}",
                    kind=type(event).__name__,
                    difference=_difference(recorded, computed, "effects"),
                ),
            )

    def _pass_over(self, record: Record) -> None:
        """Note that `record` is of other rules. What follows it begins at a checkpoint of the present ones."""
        self.core = None
        if record.rules is not None:
            self.other_rules = record.n, self._rules
        self._not_run(record.n, record.n)

    def _not_run(self, first: int, last: int) -> None:
        before = self.not_run_again[-1] if self.not_run_again else None
        if before is not None and (before.last, before.rules) == (first - 1, self._rules):
            before.last = last
        else:
            self.not_run_again.append(NotRunAgain(first, last, self._rules))

    def _checkpoint(self, record: Record, entry: Checkpoint) -> None:
        kind = CORES.get(entry.core)
        if kind is None:
            self.diverge(record.n, phrase("a checkpoint of an unknown core: {core}", core=repr(entry.core[:60])))
            return
        self.compared += 1
        if self.core is not None:
            wrong = _states_differ(entry.state, self.core.checkpoint())
            if wrong:
                self.diverge(record.n, phrase("the checkpoint: {wrong}", wrong=wrong))
                return
        try:
            restored = kind.restore(entry.state)
        except (msgspec.ValidationError, ValueError) as error:
            self.diverge(record.n, phrase("the checkpoint can't be restored: {error}", error=error))
            return
        wrong = _states_differ(entry.state, restored.checkpoint())
        if wrong:
            self.diverge(record.n, phrase("the checkpoint, restored: {wrong}", wrong=wrong))
            return
        self.core = restored


class SegmentReplay:
    """Runs the records of one segment again, in another process than the one that reads the journal."""

    def __init__(self) -> None:
        self._replay = Replay()
        self._first: Record | None = None
        self._last: Record | None = None
        self._at: Millis = 0
        # the records of the batch that has not ended yet
        self._batch: list[Record] = []
        self._usable = True

    def take(self, record: Record) -> None:
        """Run the next record, once its batch has ended."""
        if self._first is None:
            self._first = record
            self._usable = record.n == 1 or isinstance(record.entry, Checkpoint)
        if not self._usable:
            return
        self._batch.append(record)
        if record.ends_batch:
            for each in self._batch:
                self._at = max(self._at, each.entry.at)
                self._replay.take(each)
            self._batch.clear()
            self._last = record
            self._usable = self._replay.core is not None and self._replay.identical

    def give_up(self) -> None:
        """Note that something is wrong with the lines."""
        self._usable = False

    def result(self) -> SegmentRun | None:
        """Return the result up to the last whole batch, None where only `Replay` can say what it is.

        That is where the segment begins neither with record 1 nor with a checkpoint, where something is wrong with its
        lines, where a record is of other rules, and where anything differs.
        """
        core, first, last = self._replay.core, self._first, self._last
        if not self._usable or core is None or first is None or last is None:
            return None
        state = bytes(core.checkpoint())
        return SegmentRun(first.n, last.n, last.hash, self._at, self._replay.compared - 1, state)


def replay(records: Iterable[Record]) -> Replay:
    """Run `records` again and return the result."""
    result = Replay()
    for record in records:
        result.take(record)
    return result


def at_end(records: Sequence[Record]) -> Link | Observer:
    """Return the core that a start continues from, after verified records from record 1 or from a checkpoint on.

    There is at least one. Raises FoldError.
    """
    return fold(records, _first_core(records[0]))


def _first_core(record: Record) -> Link | Observer:
    """Return the empty core whose first record this is."""
    if isinstance(record.entry, Checkpoint) and record.entry.core == Observer.__name__:
        return Observer.new(record.link, record.side)
    terms = record.entry.terms if isinstance(record.entry, EpochOpened) else None
    if terms is not None and record.side not in {terms.caller, terms.answering}:
        return Observer.new(record.link, record.side)
    return Link.new(record.link, record.side)


def _payloads_differ(core: Link, event: BatchClosed) -> str:
    """Return how the frames' payloads differ from what the rules sign now, or an empty string."""
    wanted = core.unsealed(event.at)
    if len(wanted) != len(event.frames):
        return phrase("{count} frames were sealed, the rules seal {right}", count=len(event.frames), right=len(wanted))
    for index, (unsealed, frame) in enumerate(zip(wanted, event.frames, strict=True)):
        try:
            payload = envelope.parse(frame).payload
        except RemoteProtocolError as error:
            return phrase("frame {index}: {error}", index=index, error=error)
        if payload != unsealed.payload:
            difference = _difference(_decoded(payload), _decoded(unsealed.payload), "payload")
            return phrase("frame {index}: {difference}", index=index, difference=difference)
    return ""


def _states_differ(recorded: Raw, computed: Raw) -> str:
    """Return how two states differ, or an empty string."""
    if recorded == computed:
        return ""
    one, other = msgspec.json.decode(recorded), msgspec.json.decode(computed)
    return phrase("its tables stand in another order") if one == other else _difference(one, other, "state")


def _plain(value: Any) -> Any:
    """Return `value` as the journal's JSON gives it back."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _decoded(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except ValueError:
        return payload.hex()


def _difference(recorded: Any, computed: Any, where: str) -> str:
    """Return the first place in which two plain values differ, and what stands there."""
    if isinstance(recorded, dict) and isinstance(computed, dict):
        for key in [*recorded, *(key for key in computed if key not in recorded)]:
            if recorded.get(key) != computed.get(key):
                return _difference(recorded.get(key), computed.get(key), f"{where}.{key}")
    if isinstance(recorded, list) and isinstance(computed, list):
        for index, (one, other) in enumerate(zip(recorded, computed, strict=False)):
            if one != other:
                return _difference(one, other, f"{where}[{index}]")
        # one list is the beginning of the other
        shorter = min(len(recorded), len(computed))
        more = recorded[shorter] if len(recorded) > shorter else computed[shorter]
        whose = phrase("recorded") if len(recorded) > shorter else phrase("given by the rules")
        return phrase(
            "{where}[{shorter}] is only {whose}: {shown}", where=where, shorter=shorter, whose=whose, shown=_shown(more)
        )
    return phrase(
        "{where}: recorded {shown}, the rules give {expected}",
        where=where,
        shown=_shown(recorded),
        expected=_shown(computed),
    )


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
