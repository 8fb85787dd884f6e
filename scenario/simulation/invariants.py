"""Checks what must hold at every step of a simulated world, from the journals' records alone.

- Messages are applied exactly once and in order. Each is in the sender's journal, or its key signed two versions.
- No frame leaves before its record is on disk. No receipt covers more than the disk holds. No record on disk is lost.
- No frame is accepted that the enrolled key did not sign. A refused frame has no effect.
- An alarm is raised once until it is cleared. It is repeated only while it stands and nobody has acknowledged it, each
  repeat under its own number.
- An event that is folded again after a restart has the same effects as the first time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, Struct

from endpoints.journal.writer import Batch
from protocol.core.alarms import Alarm
from protocol.core.effects import AnyEffect, Apply, ClearAlarm, Effect, Notify, Queue, RaiseAlarm, Seal, Settle
from protocol.core.events import AlarmAcknowledged, BatchClosed, ClockStepped, FrameReceived, Resumed, Started
from protocol.core.start_events import BEFORE_STARTED, EpochOpened
from protocol.record.journal import Entry, Record
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Message, Reference
from protocol.wire.policy import Policy
from protocol.wire.refusals import VERIFIED
from scenario.simulation.agenda import Agenda
from scenario.simulation.signatures import Signatures

Listener = Callable[[Millis, str, Entry, Sequence[Effect]], None]
"""Receives every record as it reaches a disk: true time, process, entry, effects."""


class Violation(Exception):  # noqa: N818 - names the promise that was broken
    """A simulated world broke a promise of the link."""


class Heard(Struct, frozen=True):
    """A message of either side that had an effect in a process, and the instant by the process's clock."""

    at: Millis
    reference: Reference
    body: dict[str, Any]


class Reading(Struct, frozen=True):
    """What a clock showed, how often it had been stepped by then, and the true time."""

    at: Millis
    steps: int
    truly_at: Millis


class Observations:
    """What one process's journal holds, as far as it is on disk."""

    def __init__(self) -> None:
        self.n = 0
        self.epoch = 0
        # what this side has queued, by epoch and seq
        self.queued: dict[tuple[int, int], Message] = {}
        # by sender and epoch: the last seq that was applied
        self.applied: Counter[tuple[str, int]] = Counter()
        # the same, of a journal that was lost: receipts may still cover it
        self.receipted: Counter[tuple[str, int]] = Counter()
        # by sender, epoch and seq: when, by this process's clock
        self.applied_at: dict[tuple[str, int, int], Reading] = {}
        self.settled: Counter[int] = Counter()
        self.settled_at: dict[tuple[int, int], Millis] = {}
        self.queued_at: dict[tuple[int, int], Reading] = {}
        self.frames: set[bytes] = set()
        self.alarms: set[tuple[str, str]] = set()
        self.raised: Counter[tuple[str, str]] = Counter()
        self.blind: list[Alarm] = []
        self.starts = 0
        # the messages of both sides that had an effect
        self.heard: list[Heard] = []
        self.raised_at: dict[tuple[str, str], str] = {}
        self.standing_since: dict[tuple[str, str], str] = {}
        # of standing alarms: how often people were notified again, and when they were last notified
        self.repeats: dict[tuple[str, str], int] = {}
        self.notified_at: dict[tuple[str, str], Millis] = {}
        self.acknowledged: set[tuple[str, str]] = set()
        # absences, sleeps and stepped clocks, by this process's clock
        self.disturbances: list[tuple[Millis, Millis]] = []
        self.last_at: Millis = 0
        # the wall clock was stepped: a slot can come twice, or never
        self.clock_stepped = False
        # its steps that the process noticed: how far, and what it showed then
        self.steps: list[tuple[Millis, Millis]] = []

    def copied(self) -> Observations:
        """Return a copy, which goes its own way."""
        copy = Observations()
        vars(copy).update(
            (name, each.copy() if isinstance(each, dict | list | set) else each) for name, each in vars(self).items()
        )
        return copy

    def clock_moved(self, step_ms: Millis, at: Millis) -> None:
        """Take a step of the wall clock, which shows `at` now."""
        self.clock_stepped = True
        self.steps.append((step_ms, at))

    def read(self, at: Millis, truly_at: Millis) -> Reading:
        """Return a reading of the clock."""
        return Reading(at, len(self.steps), truly_at)

    def in_time(self, reading: Reading, slot: Millis, policy: Policy) -> bool:
        """Return whether a test that came at `reading` meets its slot (SPEC W1.1, W5.1)."""
        early, late = slot - policy.skew_limit_s * 1_000, slot + policy.grace_s * 1_000
        later = self.steps[reading.steps :]
        as_set_now = reading.at + sum(step_ms for step_ms, _ in later)
        lay_ahead_again = any(step_ms < 0 and at < late for step_ms, at in later)
        return early <= as_set_now < late or (
            early <= reading.at < late and (early <= as_set_now or not lay_ahead_again)
        )


class Invariants:
    """Checks every record as it reaches a disk. Every method may raise Violation."""

    def __init__(self, agenda: Agenda, signatures: Signatures, *, keys_change: bool = False) -> None:
        """Take the time and the signatures; with `keys_change`, a frame that its sender signed may not verify."""
        self.observations: defaultdict[str, Observations] = defaultdict(Observations)
        self.records = 0
        # what a side has signed that its journal does not hold: second versions, and messages of a lost journal
        self.others: dict[tuple[str, int, int], list[Message]] = {}
        # alarms that the world's faults may cause
        self._explained: set[str] = set()
        self._listener: Listener | None = None
        self._keys_change = keys_change
        self._agenda = agenda
        self._signatures = signatures
        self.parties = signatures.parties

    def listen(self, listener: Listener) -> None:
        """Pass every record that reaches a disk to `listener`."""
        self._listener = listener

    def explain(self, *codes: str) -> None:
        """Allow alarms that a fault of this world may cause."""
        self._explained.update(codes)

    def equivocated(self, side: str, epoch: int, message: Message) -> None:
        """Take a message that a side has signed and its journal does not hold."""
        self.others.setdefault((side, epoch, message.seq), []).append(message)

    # --- what the processes report ----------------------------------------------------------------------------------

    def durable(self, process: str, batch: Batch) -> None:
        """Check a batch that reached the disk."""
        for entry, effects in batch:
            self._read(process, entry, effects)
        self.observations[process].n += len(batch)

    def recovered(self, process: str, n: int, records: Sequence[Record]) -> None:
        """Check the journal that a starting process found: all that was on disk, perhaps more."""
        observed = self.observations[process]
        if n < observed.n:
            self.broken(process, f"{observed.n} records were on disk, {n} were found")
        for record in records:
            if record.n > observed.n:
                self._read(process, record.entry, record.effects)
        observed.n = n

    def restored(self, process: str, records: Iterable[Record]) -> None:
        """Take an older copy of a journal. The messages that it lacks were sent, and the peer may hold them."""
        lost = self.observations[process]
        for (epoch, _), message in lost.queued.items():
            self.equivocated(process, epoch, message)
        listener, self._listener = self._listener, None
        observed = self.observations[process] = Observations()
        observed.receipted = lost.receipted | lost.applied
        for record in records:
            self._read(process, record.entry, record.effects)
            observed.n = record.n
        self._listener = listener

    def replayed(self, process: str, record: Record, effects: tuple[Effect, ...]) -> None:
        """Compare the effects of a record that was folded again with the recorded ones."""
        # compared as they are written: a tuple and a list are the same there
        did, again = msgspec.json.encode(record.effects), msgspec.json.encode(effects)
        if did != again:
            self.broken(process, f"record {record.n} did {did.decode()}, and again {again.decode()}")

    def published(self, process: str, frame: bytes) -> None:
        """Check a frame that leaves a process."""
        if frame not in self.observations[process].frames:
            self.broken(process, "a frame left before its record was on disk")

    def broken(self, process: str, what: str) -> None:
        """Raise Violation."""
        raise Violation(f"{process}: {what}")

    # --- records ----------------------------------------------------------------------------------------------------

    def _read(self, process: str, entry: Entry, effects: Sequence[AnyEffect]) -> None:
        self.records += 1
        if self._listener is not None:
            self._listener(self._agenda.now, process, entry, effects)
        observed = self.observations[process]
        match entry:
            case FrameReceived():
                self._frame(process, entry, effects)
            case BatchClosed():
                observed.frames.update(entry.frames)
            case EpochOpened():
                observed.epoch = entry.terms.epoch
            case Started():
                observed.starts += 1
                observed.disturbances.append((observed.last_at, entry.at))
                if entry.at < observed.last_at:
                    observed.clock_moved(entry.at - observed.last_at, entry.at)
            case Resumed():
                observed.disturbances.append((parsed(entry.since), entry.at))
            case ClockStepped():
                observed.clock_moved(entry.step_ms, entry.at)
            case AlarmAcknowledged():
                observed.acknowledged.add((entry.code, entry.subject))
            case _:
                pass
        if type(entry) not in BEFORE_STARTED:
            observed.last_at = entry.at
        for effect in effects:
            reader = self._READERS.get(type(effect))
            if reader is not None:
                reader(self, process, observed, entry, effect)

    def _frame(self, process: str, entry: FrameReceived, effects: Sequence[AnyEffect]) -> None:
        genuine = self._signatures.genuine(entry.sender, PAYLOAD_TYPES[entry.channel], entry.frame)
        verified = entry.verdict == VERIFIED
        if (verified and not genuine) or (genuine and not verified and not self._keys_change):
            self.broken(process, f"a frame of {entry.sender} was judged {entry.verdict}")
        if not genuine and any(isinstance(effect, Apply | Settle | Queue) for effect in effects):
            self.broken(process, f"a frame that {entry.sender} did not sign had effects")

    def _queue(self, process: str, observed: Observations, entry: Entry, effect: Queue) -> None:
        message = effect.message
        place = (observed.epoch, message.seq)
        if place in observed.queued or (message.seq > 1 and (observed.epoch, message.seq - 1) not in observed.queued):
            self.broken(process, f"message {message.seq} was queued out of order")
        observed.queued[place] = message
        observed.queued_at[place] = observed.read(entry.at, self._agenda.now)
        observed.heard.append(Heard(entry.at, Reference(process, *place), message.body))

    def _apply(self, process: str, observed: Observations, entry: Entry, effect: Apply) -> None:
        sender, message = effect.sender, effect.message
        last = observed.applied[sender, observed.epoch]
        if message.seq != last + 1 and process in self.parties:
            self.broken(process, f"message {message.seq} of {sender} was applied after {last}")
        observed.applied[sender, observed.epoch] = message.seq
        observed.applied_at[sender, observed.epoch, message.seq] = observed.read(entry.at, self._agenda.now)
        place = (observed.epoch, message.seq)
        if not effect.refused:
            observed.heard.append(Heard(entry.at, Reference(sender, *place), message.body))
        said = [self.observations[sender].queued.get(place), *self.others.get((sender, *place), ())]
        if _written(message) not in [_written(each) for each in said if each is not None]:
            self.broken(process, f"message {message.seq} of {sender} is not what its journal holds")

    def _settle(self, process: str, observed: Observations, entry: Entry, effect: Settle) -> None:
        if process not in self.parties:
            return
        peer = next(party for party in self.parties if party != process)
        theirs = self.observations[peer]
        if effect.upto > max(theirs.applied[process, observed.epoch], theirs.receipted[process, observed.epoch]):
            self.broken(process, f"{peer} has receipted {effect.upto}, which its journal does not hold")
        for seq in range(observed.settled[observed.epoch] + 1, effect.upto + 1):
            observed.settled_at[observed.epoch, seq] = entry.at
        observed.settled[observed.epoch] = effect.upto

    def _seal(self, process: str, observed: Observations, _entry: Entry, effect: Seal) -> None:
        if effect.upto is not UNSET:
            peer = next(party for party in self.parties if party != process)
            if effect.upto > observed.applied[peer, observed.epoch]:
                self.broken(process, f"a receipt for {effect.upto}, which the journal does not hold")

    def _raise(self, process: str, observed: Observations, entry: Entry, effect: RaiseAlarm) -> None:
        alarm = effect.alarm
        key = (str(alarm.code), alarm.subject)
        if key in observed.alarms and alarm.raised_at == observed.standing_since[key]:
            return  # its detail was brought up to date
        if key in observed.alarms:
            self.broken(process, f"alarm {alarm.code}/{alarm.subject} was raised twice")
        observed.standing_since[key] = alarm.raised_at
        observed.acknowledged.discard(key)
        observed.repeats[key] = 0
        observed.alarms.add(key)
        observed.raised[key] += 1
        observed.raised_at.setdefault(key, alarm.raised_at)
        if alarm.detected_at != written(entry.at):
            self.broken(
                process, f"alarm {alarm.code}/{alarm.subject} was detected at {alarm.detected_at}, in another record"
            )
        if alarm.raised_at > alarm.detected_at and not observed.clock_stepped:
            self.broken(process, f"alarm {alarm.code}/{alarm.subject} was raised before its deadline")
        if alarm.code == "watch_blind":
            observed.blind.append(alarm)
        if alarm.code in _NEVER and alarm.code not in self._explained:
            self.broken(process, f"alarm {alarm.code}/{alarm.subject}: {alarm.detail}")

    def _clear(self, process: str, observed: Observations, _entry: Entry, effect: ClearAlarm) -> None:
        key = (str(effect.code), effect.subject)
        if key not in observed.alarms:
            self.broken(process, f"alarm {effect.code}/{effect.subject} was cleared and did not stand")
        observed.alarms.discard(key)

    def _notify(self, process: str, observed: Observations, entry: Entry, effect: Notify) -> None:
        if effect.alarm is UNSET or isinstance(entry, Started):  # a start repeats what is not delivered yet
            return
        key = (str(effect.alarm.code), effect.alarm.subject)
        observed.notified_at[key] = entry.at
        if effect.repeat == 0:
            return
        if key not in observed.alarms or key in observed.acknowledged:
            self.broken(process, f"{effect.id}: the alarm is over or acknowledged")
        if effect.repeat != observed.repeats[key] + 1:
            self.broken(process, f"{effect.id} follows repeat {observed.repeats[key]}")
        observed.repeats[key] = effect.repeat

    _READERS: ClassVar[dict[type[Effect], Any]] = {
        Queue: _queue,
        Apply: _apply,
        Settle: _settle,
        Seal: _seal,
        RaiseAlarm: _raise,
        ClearAlarm: _clear,
        Notify: _notify,
    }


# compared by their bytes: a message of a frame is encoded like the one that was queued
_written = msgspec.json.Encoder(order="sorted").encode
_NEVER = {
    "bad_frames",
    "clock_skew",
    "clock_step",
    "equivocation",
    "fork",
    "identity_in_use",
    "journal_behind",
    "policy_mismatch",
    "schedule_disagreement",
    "space_low",
    "undelivered",
}
"""Alarms that no world may raise unless one of its faults explains them."""
