"""The status of one link: the shape that `status --json` and the control socket return."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from endpoints.runtime.gauges import Gauges
from protocol.core.alarms import Alarm
from protocol.core.snapshot import LinkCondition, Snapshot, condition_of
from protocol.core.watch_state import TestState
from protocol.wire.instants import Millis
from protocol.wire.messages import Utc


class LastTest(Struct, frozen=True, kw_only=True):
    """The newest line test of either side."""

    reference: str
    at: Utc
    # null for an unscheduled test
    slot: Utc | None
    state: TestState
    answered_at: Utc | None


class OutboxCounts(Struct, frozen=True, kw_only=True):
    """Messages of this side that the peer has not receipted."""

    # not sealed yet
    waiting: int
    # sealed
    in_flight: int


class Status(Struct, frozen=True, kw_only=True):
    """The status of one link at one instant."""

    link: str
    side: str
    # fine; late: a line test or its answer is awaited; alarm: at least one alarm that is not a warning
    state: LinkCondition
    broker: Literal["connected", "disconnected"]
    # a hint from the broker, not evidence
    peer: Literal["present", "gone", "unknown"]
    # null before the first
    last_test: LastTest | None
    next_slot: Utc | None
    # null for the watch, which sends no messages, and for a link whose journal could not be opened
    outbox: OutboxCounts | None
    # those that are not both cleared and acknowledged
    alarms: tuple[Alarm, ...]


def status(view: Snapshot | None, gauges: Gauges, now: Millis) -> Status:
    """Return the status of a link at `now`. `view` is None if its journal could not be opened at start-up."""
    failures = () if gauges.failure is None else (gauges.failure,)
    if view is None:
        return Status(
            link=gauges.link,
            side=gauges.side,
            state="alarm",
            broker="disconnected",
            peer="unknown",
            last_test=None,
            next_slot=None,
            outbox=None,
            alarms=failures,
        )
    alarms = (*failures, *view.alarms)
    return Status(
        link=view.link,
        side=view.side,
        state=condition_of(alarms, view.slots, view.tests, now),
        broker="connected" if view.connected and not failures else "disconnected",
        peer=_peer(view),
        last_test=_last_test(view),
        next_slot=view.next_slot,
        outbox=None if view.ours is None else OutboxCounts(waiting=view.ours.waiting, in_flight=view.ours.in_flight),
        alarms=alarms,
    )


def _peer(view: Snapshot) -> Literal["present", "gone", "unknown"]:
    """Return the peer's presence. For the watch, which has two peers: `gone` if either is."""
    known = [present for party, present in view.present.items() if party != view.side]
    if not known or not view.connected:
        return "unknown"
    return "present" if all(known) else "gone"


def _last_test(view: Snapshot) -> LastTest | None:
    if not view.tests:
        return None
    test = max(view.tests, key=lambda each: each.at)
    return LastTest(
        reference=test.reference,
        at=test.at,
        slot=test.heartbeat.slot or None,
        state=test.state,
        answered_at=test.answered_at or None,
    )
