"""Checks at the end of a simulated world: everything has settled, and every slot is accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import UNSET

from protocol.core.alarm_repeats import REPEAT_MS
from protocol.core.alarms import Alarm
from protocol.core.snapshot import Snapshot, StreamView
from protocol.errors import JournalError
from protocol.record.journal import Chain
from protocol.record.replay import Replay
from protocol.wire.instants import Millis, written
from protocol.wire.policy import Terms
from scenario.simulation.invariants import Invariants, Observations, Violation
from scenario.simulation.simulated_process import SimulatedProcess

PASSING = frozenset(
    {
        "bad_frames",
        "broker_unreachable",
        "equivocation",
        "fork",
        "identity_in_use",
        "journal_behind",
        "peer_disconnected",
        "policy_mismatch",
        "schedule_disagreement",
        "space_low",
        "watch_blind",
    }
)
"""Alarms that must be cleared when everything is healed; the others wait for an officer."""
UNDER_WAY_MS: Millis = 60_000
"""A message queued more recently, or its receipt, may still be on its way."""


def settled(views: Mapping[str, Snapshot | None], invariants: Invariants, now: Millis) -> None:
    """Check that every message is applied and receipted, and that no passing alarm stands. Raises Violation.

    `views` are those of every process, None for one that does not run.
    """
    for name, view in views.items():
        if view is None or not view.connected:
            raise Violation(f"{name}: not connected although everything is healed")
        standing = sorted(
            f"{code}/{subject}" for code, subject in invariants.observations[name].alarms if code in PASSING
        )
        if standing:
            raise Violation(f"{name}: alarms stand although everything is healed: {', '.join(standing)}")
    parties = invariants.parties
    for name, peer in (parties, parties[::-1]):
        view = views[name]
        ours = None if view is None else view.ours
        assert ours is not None, "an endpoint that runs has an outbox"
        _delivered(name, ours, invariants.observations[name], peer, invariants.observations[peer], now)


def repeated(processes: Mapping[str, SimulatedProcess], invariants: Invariants) -> None:
    """Check that people were notified lately of every alarm that nobody has acknowledged. Raises Violation."""
    for name, process in processes.items():
        observed = invariants.observations[name]
        assert process.runner is not None, "everything is healed"
        for alarm in process.runner.core.snapshot().alarms:
            key = (str(alarm.code), alarm.subject)
            waits = alarm.active and alarm.acknowledged_at is UNSET and alarm.severity != "warning"
            if waits and observed.last_at - observed.notified_at[key] > REPEAT_MS + UNDER_WAY_MS:
                raise Violation(f"{name}: {alarm.code}/{alarm.subject} was not repeated")


def _delivered(name: str, outbox: StreamView, ours: Observations, peer: str, theirs: Observations, now: Millis) -> None:
    epoch = ours.epoch
    seqs = {seq: ours.queued_at[of, seq].truly_at for of, seq in ours.queued if of == epoch}
    last = max(seqs, default=0)
    due = max((seq for seq, truly_at in seqs.items() if truly_at <= now - UNDER_WAY_MS), default=0)
    if outbox.stopped:
        raise Violation(f"{name}: its stream has stopped: {outbox.stopped}")
    applied = theirs.applied[name, epoch]
    if outbox.last != last or not due <= outbox.receipted <= applied <= last:
        raise Violation(
            f"{name}: {last} messages queued, {due} of them a while ago; the outbox counts {outbox.last}, "
            f"{peer} has applied {applied}, receipted are {outbox.receipted}"
        )


def replayed(processes: Mapping[str, SimulatedProcess]) -> None:
    """Check that every journal verifies and replays to the same effects and checkpoints. Raises Violation."""
    for name, process in processes.items():
        chain, replay = Chain(), Replay()
        for line in process.disk.lines():
            try:
                replay.take(chain.take(line))
            except JournalError as error:
                raise Violation(f"{name}: {error}") from error
        if replay.divergence is not None:
            raise Violation(f"{name}: record {replay.divergence.record}: {replay.divergence.reason}")


def slots(invariants: Invariants, terms: Terms, planned: Iterable[Millis], calm_from: Millis, ends: Millis) -> None:
    """Check that every slot was met, missed with exactly one alarm, or recorded as blind. Raises Violation.

    From `calm_from` on, when everything is healed and has settled, every slot must be met. A slot whose grace ends
    within the last minute before `ends` is not checked.
    """
    grace = terms.policy.grace_s * 1_000
    called = _called(invariants, terms.caller)
    for slot in planned:
        if slot + grace + 60_000 > ends:
            continue
        instant = written(slot)
        for name, observed in invariants.observations.items():
            readings = [
                observed.queued_at.get(place)
                if name == terms.caller
                else observed.applied_at.get((terms.caller, *place))
                for place in called.get(instant, ())
            ]
            met = any(reading is not None and observed.in_time(reading, slot, terms.policy) for reading in readings)
            if not met and slot > calm_from:
                raise Violation(f"{name}: the slot {instant} was not met, although everything is healed")
            _judge_slot(name, observed, instant, slot + grace, met=met)


def _called(invariants: Invariants, caller: str) -> dict[str, list[tuple[int, int]]]:
    """Return the epoch and seq of each slot's tests, in the caller's journal and in what it has lost."""
    said = list(invariants.observations[caller].queued.items())
    said += [
        ((epoch, seq), each) for (who, epoch, seq), more in invariants.others.items() if who == caller for each in more
    ]
    called: dict[str, list[tuple[int, int]]] = {}
    for place, message in said:
        if message.body["type"] == "heartbeat" and "slot" in message.body:
            called.setdefault(message.body["slot"], []).append(place)
    return called


def _judge_slot(name: str, observed: Observations, instant: str, due: Millis, *, met: bool) -> None:
    raised = observed.raised["heartbeat_missed", instant]
    blind = any(_covers(alarm, instant) for alarm in observed.blind)
    if not met and not raised and not blind:
        raise Violation(f"{name}: the slot {instant} was missed without an alarm")
    if observed.clock_stepped:
        # the slot can have come twice, or never
        return
    if raised > 1:
        raise Violation(f"{name}: the missed slot {instant} raised {raised} alarms")
    if met and raised:
        raise Violation(f"{name}: the slot {instant} was met and raised an alarm")
    if raised and any(begin < due < end for begin, end in observed.disturbances):
        raise Violation(f"{name}: the slot {instant} fell due while the process was absent, and raised an alarm")


def _covers(blind: Alarm, instant: str) -> bool:
    """Return whether a `watch_blind` alarm covers the slot. A long one names only its first slots and the interval."""
    since, _, until = blind.subject.partition("..")
    return instant in blind.detail or (blind.detail.endswith(" more") and since <= instant <= until)
