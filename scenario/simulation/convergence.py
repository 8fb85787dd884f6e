"""What must have come right once nothing goes wrong any more; and what became of every slot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from protocol.core.alarms import Alarm
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
"""Alarms of which none may stand when everything is well: the others wait for what only people can do."""


UNDER_WAY_MS: Millis = 60_000
"""What was said so shortly ago may still be under way, or its receipt."""


def settled(processes: Mapping[str, SimulatedProcess], invariants: Invariants, now: Millis) -> None:
    """Everything that was said has arrived and is receipted, and nothing stands that should be over."""
    for name, process in processes.items():
        if process.runner is None or not process.runner.core.snapshot().connected:
            raise Violation(f"{name}: not connected an hour after everything was healed")
        standing = sorted(f"{code}/{subject}" for code, subject in invariants.ledgers[name].alarms if code in PASSING)
        if standing:
            raise Violation(f"{name}: stands when everything is well: {', '.join(standing)}")
    parties = invariants.parties
    for name, peer in (parties, parties[::-1]):
        runner = processes[name].runner
        assert runner is not None
        _delivered(name, runner.core.snapshot().ours, invariants.ledgers[name], peer, invariants.ledgers[peer], now)


def _delivered(name: str, outbox: Any, ours: Observations, peer: str, theirs: Observations, now: Millis) -> None:
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
    """Every journal verifies from end to end, and its events run again give the same effects and checkpoints."""
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
    """Every slot was met, or missed with exactly one alarm, or fell into a time in which nobody watched.

    Once everything is healed and has settled, from `calm_from` on, every slot is met. A slot whose grace ends within
    the last minute before `ends` is not judged.
    """
    grace = terms.policy.grace_s * 1_000
    called = _called(invariants, terms.caller)
    for slot in planned:
        if slot + grace + 60_000 > ends:
            continue
        instant = written(slot)
        for name, ledger in invariants.ledgers.items():
            readings = [
                ledger.queued_at.get(place) if name == terms.caller else ledger.applied_at.get((terms.caller, *place))
                for place in called.get(instant, ())
            ]
            met = any(reading is not None and ledger.in_time(reading, slot, terms.policy) for reading in readings)
            if not met and slot > calm_from:
                raise Violation(f"{name}: the slot {instant} was not met, though all was well")
            _judge_slot(name, ledger, instant, slot + grace, met=met)


def _called(invariants: Invariants, caller: str) -> dict[str, list[tuple[int, int]]]:
    """Return the places of the tests of each slot in the caller's stream, and in what its journal has lost."""
    said = list(invariants.ledgers[caller].queued.items())
    said += [
        ((epoch, seq), each) for (who, epoch, seq), more in invariants.others.items() if who == caller for each in more
    ]
    called: dict[str, list[tuple[int, int]]] = {}
    for place, message in said:
        if message.body["type"] == "heartbeat" and "slot" in message.body:
            called.setdefault(message.body["slot"], []).append(place)
    return called


def _judge_slot(name: str, ledger: Observations, instant: str, due: Millis, *, met: bool) -> None:
    raised = ledger.raised["heartbeat_missed", instant]
    blind = any(_covers(alarm, instant) for alarm in ledger.blind)
    if not met and not raised and not blind:
        raise Violation(f"{name}: the slot {instant} was missed in silence")
    if ledger.clock_stepped:
        # it can have come twice, or never
        return
    if raised > 1:
        raise Violation(f"{name}: the missed slot {instant} raised {raised} alarms")
    if met and raised:
        raise Violation(f"{name}: the slot {instant} was met and raised an alarm")
    if raised and any(begin < due < end for begin, end in ledger.disturbances):
        raise Violation(f"{name}: the slot {instant} fell due while nobody watched, and raised an alarm")


def _covers(blind: Alarm, instant: str) -> bool:
    """Tell whether a record of blindness names the slot; of a long one only the interval is written out."""
    since, _, until = blind.subject.partition("..")
    return f"slot {instant}" in blind.detail or (blind.detail.endswith(" more") and since <= instant <= until)
