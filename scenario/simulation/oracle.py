"""Computes the alarms that deadlines must have raised, from the messages alone, without the core's own tables.

A deadline is checked only if nothing disturbed the process from before it was armed until after it was due: no absence,
no sleep, no stepped clock. For the others `convergence` asks only that no slot was missed without an alarm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Reference
from protocol.wire.policy import Policy
from scenario.simulation.invariants import Heard, Invariants, Observations, Violation

_SECOND: Millis = 1_000
_MARGIN: Millis = 5 * _SECOND


class Due(Struct, frozen=True):
    """One deadline, and whether it was missed: then its alarm must have been raised."""

    code: str
    subject: str
    armed_at: Millis
    due_at: Millis
    missed: bool
    # how often it was armed: `will_reply` arms an alert's deadline again
    times: int = 1


def deadlines(invariants: Invariants, policy: Policy, until: Millis) -> None:
    """Compare the alarms that should have been raised with those that were. Raises Violation.

    Args:
        invariants: the observations of both sides.
        policy: the link's.
        until: the end of the world, in true time; later deadlines are left out.
    """
    for side in invariants.parties:
        observed = invariants.observations[side]
        if observed.clock_stepped:
            continue
        for due in _expected(side, observed, policy):
            if due.due_at + _MARGIN < until and _undisturbed(observed, due.armed_at, due.due_at):
                _compare(side, observed, due)


def _expected(side: str, observed: Observations, policy: Policy) -> Iterator[Due]:
    replies = _replies(observed)
    tests = [heard for heard in observed.heard if heard.body["type"] == "heartbeat"]
    for test in tests:
        reference = str(test.reference)
        answered = [
            at
            for at, body in replies.get(reference, ())
            if list(body.get("read_back", ())) == list(test.body["challenge"])
        ]
        known_at = test.at
        if test.reference.sender == side:
            grace = policy.grace_s * _SECOND
            slot = test.body.get("slot")
            due = test.at + (grace if slot is None else max(0, parsed(slot) + grace - test.at))
            settled = observed.settled_at.get((test.reference.epoch, test.reference.seq))
            # the answer may overtake the receipt, and proves the reception as well
            proven = [at for at in (settled, *answered) if at is not None and at < due]
            yield Due("heartbeat_unreceipted", reference, test.at, due, not proven)
            if settled is None:
                continue
            known_at = settled
        due = known_at + policy.answer_within_s * _SECOND
        newer = [
            at
            for other in tests
            if other.reference.sender == test.reference.sender
            and (other.reference.epoch, other.reference.seq) > (test.reference.epoch, test.reference.seq)
            if (at := _known_at(side, observed, other)) is not None and at < due
        ]
        yield Due("heartbeat_unanswered", reference, known_at, due, not newer and not any(at < due for at in answered))
    for alert in observed.heard:
        if alert.body["type"] == "alert":
            due = alert.at + getattr(policy.handling, alert.body["precedence"]) * _SECOND
            said = replies.get(str(alert.reference), [])
            if not said or said[0][0] >= due:
                # the deadline begins anew after a promise to reply, and after a change that had no effect
                times = 1 + sum(body.get("decision") == "will_reply" for _, body in said)
                times += _undone(observed, alert.reference)
                yield Due("alert_unacknowledged", str(alert.reference), alert.at, due, missed=True, times=times)


def _known_at(side: str, observed: Observations, test: Heard) -> Millis | None:
    """Return when this side knew that the answering side has the test, None if it never did."""
    if test.reference.sender != side:
        return test.at
    return observed.settled_at.get((test.reference.epoch, test.reference.seq))


def _undone(observed: Observations, alert: Reference) -> int:
    """Return how many changes of `alert` the other side's service has refused."""
    refused = {
        (of["sender"], of["epoch"], of["seq"])
        for heard in observed.heard
        if heard.body.get("by") == "service" and (of := heard.body.get("of"))
    }
    changes = [
        heard.reference
        for heard in observed.heard
        if (of := heard.body.get("change", {}).get("of")) and Reference(**of) == alert
    ]
    return sum((each.sender, each.epoch, each.seq) in refused for each in changes)


def _replies(observed: Observations) -> dict[str, list[tuple[Millis, dict[str, Any]]]]:
    """Return the replies to each message, by its reference: when this side knew them, and their bodies."""
    replies: dict[str, list[tuple[Millis, dict[str, Any]]]] = {}
    for heard in observed.heard:
        of = heard.body.get("of") or heard.body.get("change", {}).get("of")
        if of is not None:
            reference = f"{of['sender']}/{of['epoch']}/{of['seq']}"
            replies.setdefault(reference, []).append((heard.at, heard.body))
    return replies


def _undisturbed(observed: Observations, since: Millis, until: Millis) -> bool:
    return all(end + _MARGIN < since or begin > until + _MARGIN for begin, end in observed.disturbances)


def _compare(side: str, observed: Observations, due: Due) -> None:
    raised = observed.raised[due.code, due.subject]
    if not due.missed <= raised <= due.missed * due.times:
        how = "was missed" if due.missed else "was kept"
        raise Violation(f"{side}: {due.code}/{due.subject}, due {written(due.due_at)}, {how}, and {raised} were raised")
    if due.missed and observed.raised_at[due.code, due.subject] != written(due.due_at):
        raise Violation(
            f"{side}: {due.code}/{due.subject} carries {observed.raised_at[due.code, due.subject]}, "
            f"but was due {written(due.due_at)}"
        )
