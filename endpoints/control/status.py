"""The status of one link: the shape that `status --json` and the control socket return."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from endpoints.runtime.gauges import Gauges
from protocol.core.alarms import Alarm
from protocol.core.alerts import AlertState
from protocol.core.duty import OnWatch
from protocol.core.link_keys import KeyChange
from protocol.core.snapshot import LinkCondition, Snapshot, condition_of
from protocol.core.staleness import Staleness, expiry, staleness
from protocol.core.watch_state import TestState
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Category, Precedence, Utc

_WAITING_ALERTS = {AlertState.RECEIVED, AlertState.WILL_REPLY}
_WAITING_TESTS = {TestState.RECEIVED, TestState.UNANSWERED}


class LastTest(Struct, frozen=True, kw_only=True):
    """The newest line test of either side."""

    reference: str
    at: Utc
    # null for an unscheduled test
    slot: Utc | None
    state: TestState
    answered_at: Utc | None
    # why it was no news when it arrived (SPEC M8.4); null if it was
    stale: Staleness | None


class OpenItem(Struct, frozen=True, kw_only=True):
    """An alert or a line test of the peer that waits for an officer here."""

    reference: str
    kind: Literal["alert", "heartbeat"]
    # null for a line test
    precedence: Precedence | None
    category: Category | None
    # of an alert that changes or cancels an earlier one
    change: Literal["update", "correction", "cancellation"] | None
    received_at: Utc
    # the deadline of its handling; null for a line test
    due_at: Utc | None
    # why it is no news (SPEC M8.4); null if it is
    stale: Staleness | None


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
    # what waits for an officer here, oldest first; nothing at the independent watch, which has none
    open: tuple[OpenItem, ...]
    # null while nobody is on watch, and for the independent watch, which nobody takes
    on_watch: OnWatch | None
    # what the open alarm `keys_changed` is about; left out if there is none
    keys_changed: KeyChange | UnsetType = UNSET


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
            open=(),
            on_watch=None,
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
        open=() if view.ours is None else tuple(sorted(_open(view, now), key=lambda each: each.received_at)),
        on_watch=view.on_watch,
        keys_changed=view.keys_changed or UNSET,
    )


def _open(view: Snapshot, now: Millis) -> Iterator[OpenItem]:
    """Yield what waits for an officer of this side."""
    own = f"{view.side}/"
    for alert in view.alerts:
        if alert.state not in _WAITING_ALERTS or alert.reference.startswith(own):
            continue
        body, received_at = alert.alert, alert.received_at or alert.at
        yield OpenItem(
            reference=alert.reference,
            kind="alert",
            precedence=body.precedence,
            category=body.category,
            change=body.change.kind if body.change else None,
            received_at=received_at,
            due_at=alert.due_at,
            stale=staleness(expiry(body), alert.sent_at, parsed(received_at), now) or None,
        )
    for test in view.tests:
        if test.state in _WAITING_TESTS and not test.reference.startswith(own):
            yield OpenItem(
                reference=test.reference,
                kind="heartbeat",
                precedence=None,
                category=None,
                change=None,
                received_at=test.at,
                due_at=None,
                stale=staleness(None, test.sent_at, parsed(test.at), now) or None,
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
        stale=staleness(None, test.sent_at, parsed(test.at), parsed(test.at)) or None,
    )
