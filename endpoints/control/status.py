"""What `status` says of one link: the shape that other programs rely on."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, to_builtins

from endpoints.runtime.link_runner import Now
from endpoints.runtime.work_items import AnyLink
from protocol.core.alarms import Alarm
from protocol.core.snapshot import Snapshot, condition_of


class Status(Struct, frozen=True, kw_only=True):
    """How one link stands."""

    link: str
    side: str
    # fine; late: a line test is awaited, or its answer; alarm: something stands against the line
    state: Literal["fine", "late", "alarm"]
    broker: Literal["connected", "disconnected"]
    # a hint of the broker's, no evidence
    peer: Literal["present", "gone", "unknown"]
    # the newest line test of either side: reference, at, state, slot, answered_at; null before the first
    last_test: dict[str, Any] | None
    # instant of the next slot
    next_slot: str | None
    # own messages: waiting to be sealed, in_flight without the peer's receipt; null for the watch, which sends nothing,
    # and for a link whose journal could not be opened
    outbox: dict[str, int] | None
    # those that are not both over and acknowledged
    alarms: tuple[dict[str, Any], ...]


def status(runner: AnyLink, now: Now) -> Status:
    """Return how `room`'s link stands at `now`."""
    if runner.failure is not None and runner.core.terms is None:
        return _unopened(runner, runner.failure)
    view: Snapshot = runner.core.snapshot()
    alarms = view.alarms if runner.failure is None else (runner.failure, *view.alarms)
    return Status(
        link=view.link,
        side=view.side,
        state=condition_of(alarms, view.slots, view.tests, now.at),
        broker="connected" if view.connected and runner.failure is None else "disconnected",
        peer=_peer(view),
        last_test=_last_test(view),
        next_slot=view.next_slot,
        outbox=None if view.ours is None else {"waiting": view.ours.waiting, "in_flight": view.ours.in_flight},
        alarms=tuple(to_builtins(alarm) for alarm in alarms),
    )


def _unopened(runner: AnyLink, failure: Alarm) -> Status:
    """Return all that is known of a link whose journal could not be opened at the start."""
    return Status(
        link=runner.link,
        side=runner.side,
        state="alarm",
        broker="disconnected",
        peer="unknown",
        last_test=None,
        next_slot=None,
        outbox=None,
        alarms=(to_builtins(failure),),
    )


def _peer(view: Snapshot) -> Literal["present", "gone", "unknown"]:
    """Return the other party's presence; for the watch that of both: one that is gone outweighs."""
    known = [present for party, present in view.present.items() if party != view.side]
    if not known or not view.connected:
        return "unknown"
    return "present" if all(known) else "gone"


def _last_test(view: Snapshot) -> dict[str, Any] | None:
    if not view.tests:
        return None
    test = max(view.tests, key=lambda each: each.at)
    return {
        "reference": test.reference,
        "at": test.at,
        "slot": test.heartbeat.slot or None,
        "state": test.state,
        "answered_at": test.answered_at or None,
    }
