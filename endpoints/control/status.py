"""The status of one link: the shape that `status --json` and the control socket return."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from msgspec import UNSET, Struct, UnsetType

from endpoints.control.open_items import OpenItem, WaitingDraft, drafts, due_here, open_items
from endpoints.control.reasons import (
    LinkState,
    PresenceState,
    Reason,
    of_alarms,
    presence,
    presence_age_s,
    reasons,
    state_of,
)
from endpoints.runtime.gauges import Gauges
from endpoints.runtime.ports import Now
from protocol.core.alarms import Alarm
from protocol.core.duty import Confirmation, OnWatch
from protocol.core.link_keys import KeyChange
from protocol.core.snapshot import Snapshot
from protocol.core.staleness import Staleness, staleness
from protocol.core.watch_state import TestState
from protocol.wire.instants import parsed
from protocol.wire.messages import Identifier, Utc
from protocol.wire.messages import Status as Purpose


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


class OutboxCounts(Struct, frozen=True, kw_only=True):
    """Messages of this side that the peer has not receipted."""

    # not sealed yet
    waiting: int
    # sealed
    in_flight: int


class Status(Struct, frozen=True, kw_only=True):
    """The status of one link at one instant."""

    link: str
    # what the link is for, exercise or actual; null for a link whose journal could not be opened
    status: Purpose | None
    side: str
    # fine only without a reason against it; else the worst state that a reason leads to
    state: LinkState
    reasons: tuple[Reason, ...]
    broker: Literal["connected", "disconnected"]
    # a hint from the broker, not evidence
    peer: PresenceState
    # how long ago the peer was heard; null if it was not over this connection. At the watch, of the longer silent party
    presence_age_s: int | None
    # when the peer's last signed word came, null before the first. At the watch, of the longer silent party
    last_signed_at: Utc | None
    # null before the first
    last_test: LastTest | None
    next_slot: Utc | None
    # null for the watch, which sends no messages, and for a link whose journal could not be opened
    outbox: OutboxCounts | None
    # those that are not both cleared and acknowledged
    alarms: tuple[Alarm, ...]
    # what waits for an officer here, flash first, then by deadline; nothing at the independent watch, which has none
    open: tuple[OpenItem, ...]
    # what waits for an officer of another side, in the same order
    awaited: tuple[OpenItem, ...]
    # what waits here for its release, flash first, then by expiry
    drafts: tuple[WaitingDraft, ...]
    # null while nobody is on watch, and for the independent watch, which nobody takes
    on_watch: OnWatch | None
    # the comparison of the link file with the other side's; null if there was none in this epoch
    confirmed: Confirmation | None
    # what the open alarm `keys_changed` is about; left out if there is none
    keys_changed: KeyChange | UnsetType = UNSET


def status(view: Snapshot | None, gauges: Gauges, now: Now) -> Status:
    """Return the status of a link at `now`. `view` is None if its journal could not be opened at start-up."""
    failures = () if gauges.failure is None else (gauges.failure,)
    if view is None:
        return Status(
            link=gauges.link,
            status=None,
            side=gauges.side,
            state="alarm",
            reasons=tuple(of_alarms(failures)),
            broker="disconnected",
            peer="unknown",
            presence_age_s=None,
            last_signed_at=None,
            last_test=None,
            next_slot=None,
            outbox=None,
            alarms=failures,
            open=(),
            awaited=(),
            drafts=(),
            on_watch=None,
            confirmed=None,
        )
    alarms = (*failures, *view.alarms)
    items = open_items(view, now.at)
    here = tuple(item for item in items if item.waits_for == view.side)
    why = (*of_alarms(alarms), *reasons(view, gauges, here, now))
    peers = [party for party in (view.caller, view.answering) if party != view.side]
    ages = [presence_age_s(gauges, party, now.real_s) for party in peers]
    return Status(
        link=view.link,
        status=view.status,
        side=view.side,
        state=state_of(why),
        reasons=why,
        broker="connected" if view.connected and not failures else "disconnected",
        peer=_peer(view, gauges, peers, now),
        presence_age_s=None if None in ages else max(age for age in ages if age is not None),
        last_signed_at=_last_signed(view, peers),
        last_test=_last_test(view),
        next_slot=view.next_slot,
        outbox=None if view.ours is None else OutboxCounts(waiting=view.ours.waiting, in_flight=view.ours.in_flight),
        alarms=alarms,
        open=here,
        awaited=tuple(item for item in items if item.waits_for != view.side),
        drafts=drafts(view, now.at),
        on_watch=view.on_watch,
        confirmed=view.confirmed,
        keys_changed=view.keys_changed or UNSET,
    )


def link_state(view: Snapshot | None, gauges: Gauges, now: Now) -> LinkState:
    """Return the state that `status` says, without its reasons: for a reader that asks often."""
    failures = () if gauges.failure is None else (gauges.failure,)
    alarms = failures if view is None else (*failures, *view.alarms)
    found = _worst("fine", of_alarms(alarms), "alarm")
    if view is None or found == "alarm":
        return found
    return _worst(found, reasons(view, gauges, due_here(view), now), "late")


def _worst(found: LinkState, why: Iterable[Reason], last: LinkState) -> LinkState:
    """Return the worst state of `found` and the reasons; `last`, the worst that they lead to, ends the search."""
    order = get_args(LinkState)
    for reason in why:
        found = max(found, reason.state, key=order.index)
        if found == last:
            break
    return found


def _peer(view: Snapshot, gauges: Gauges, peers: list[Identifier], now: Now) -> PresenceState:
    """Return the peer's presence. For the watch, which has two peers: of the worse one."""
    found = {presence(view, gauges, party, now.real_s) for party in peers}
    if "gone" in found:
        return "gone"
    return "unknown" if "unknown" in found else "present"


def _last_signed(view: Snapshot, peers: list[Identifier]) -> Utc | None:
    """Return when the last signed word of the peer came; of two peers, of the longer silent one."""
    if any(party not in view.last_signed for party in peers):
        return None
    return min(view.last_signed[party] for party in peers)


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
