"""The read model of the present: an immutable view of a core, for `status`, the delivery ladder, consoles, metrics.

The read model of the past is `protocol.record.ledger`, folded from the records of a journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct, to_builtins

from protocol.core.acts import Act, Item, item_of
from protocol.core.alarms import Alarm
from protocol.core.alerts import AlertState, OpenAlert, successors
from protocol.core.deadlines import Armed
from protocol.core.drafts import DraftsState, draft_item, waiting_drafts
from protocol.core.duty import Confirmation, OnWatch
from protocol.core.link_keys import KeyChange
from protocol.core.stream import InboxState, OutboxState
from protocol.core.undelivered import Undelivered
from protocol.core.watch_state import SlotState, TestState, WatchState
from protocol.phrases import Said
from protocol.wire.instants import written
from protocol.wire.messages import (
    Acknowledgement,
    Alert,
    Area,
    Category,
    Digest,
    Heartbeat,
    HeartbeatAnswer,
    Identifier,
    Precedence,
    Reference,
    Refusal,
    Status,
    Texts,
    Utc,
)


class StreamView(Struct, frozen=True, kw_only=True):
    """One direction: its progress, and why it stopped, if it did."""

    last: int
    # ours: receipted by the peer; theirs: the same as `last`
    receipted: int
    # ours: not sealed yet; theirs: 0
    waiting: int
    # ours: sealed but not receipted; theirs: buffered beyond a gap
    in_flight: int
    # ours: when the oldest message that is not receipted was queued or sealed; None if there is none
    oldest_at: Utc | None = None
    head: Digest
    stopped: str


class SlotView(Struct, frozen=True, kw_only=True):
    """One slot and the test that met it, if any."""

    slot: Utc
    state: SlotState
    test: str


class TestView(Struct, frozen=True, kw_only=True):
    """One line test."""

    __test__ = False

    reference: str
    at: Utc
    state: TestState
    heartbeat: Heartbeat
    answer: HeartbeatAnswer | None
    answered_at: Utc | None
    # the message's time by its sender's clock; None if it came under rules 2
    sent_at: Utc | None
    # the officer who placed it here; None if the service or the other side did
    placed_by: Identifier | None
    # the answer, if any
    acts: tuple[Act, ...]
    # the instant of the deadline of its receipt or answer, if one runs
    due_at: Utc | None


class AlertView(Struct, frozen=True, kw_only=True):
    """One alert."""

    reference: str
    at: Utc
    state: AlertState
    alert: Alert
    received_at: Utc | None
    reply: Acknowledgement | Refusal | None
    replied_at: Utc | None
    # the instant of the handling deadline, if it runs
    due_at: Utc | None
    # the message's time by its sender's clock; None if it came under rules 2
    sent_at: Utc | None
    # the alert that changed or cancelled this one
    changed_by: str | None
    # of an alert of this side that can be cancelled: what its cancellation would say (SPEC P1.3)
    cancellation: Texts | None
    # the last acts about it, oldest first, and the number of earlier ones
    acts: tuple[Act, ...]
    acts_earlier: int


class DraftView(Struct, frozen=True, kw_only=True):
    """An alert that waits for a second officer: all that this officer must read before they release it."""

    draft: str
    officer: Identifier
    category: Category
    precedence: Precedence
    expires_at: Utc
    text: Texts
    # when it was written
    at: Utc
    status: Status
    event_at: Utc
    area: Area | None
    references: tuple[Reference, ...]
    # the earlier alert that it updates or corrects
    changes: Reference | None
    change_kind: Literal["update", "correction"] | None
    # the text prepared for its cancellation; None for the standing text
    cancellation: Texts | None
    # the whole alert as it would be sent, without `released_by`, and its digest (SPEC P2.1)
    item: dict[str, Any]
    seen: Digest


class Snapshot(Struct, frozen=True, kw_only=True):
    """A core at one instant."""

    link: Identifier
    side: Identifier
    epoch: int
    policy: Digest
    caller: Identifier
    answering: Identifier
    # what the link is for: exercise or actual
    status: Status
    at: Utc
    connected: bool
    # why the connection is lost, as far as known; empty while connected
    connection_trouble: str
    # what that was made from, for views in other languages
    connection_trouble_said: Said | None
    # by party, as far as known: a hint
    present: dict[Identifier, bool]
    # by party: when a signed frame of it last brought something new, by our clock (SPEC W8)
    last_signed: dict[Identifier, Utc]
    ours: StreamView | None
    theirs: dict[Identifier, StreamView]
    slots: tuple[SlotView, ...]
    next_slot: Utc | None
    tests: tuple[TestView, ...]
    alerts: tuple[AlertView, ...]
    drafts: tuple[DraftView, ...]
    # how the last drafts ended, by draft
    drafts_ended: dict[str, Act]
    # the officers who may act; None before any were enrolled (SPEC P1.5)
    officers: tuple[Identifier, ...] | None
    alarms: tuple[Alarm, ...]
    # the change of the link file's keys that waits for an officer
    keys_changed: KeyChange | None
    undelivered: tuple[Undelivered, ...]
    # None while nobody is on watch; at the independent watch, which has no officers, always
    on_watch: OnWatch | None
    # the comparison of the link file with the other side's; None if there was none in this epoch
    confirmed: Confirmation | None
    notifications_pending: int
    notifications_given_up: int

    def item(self, reference: str) -> Item | None:
        """Return an alert, a line test or a waiting draft with the acts on it; None if it is not known (SPEC P2.1)."""
        for draft in self.drafts:
            if draft.draft == reference:
                return item_of(reference, draft.item, ())
        for alert in self.alerts:
            if alert.reference == reference:
                return item_of(reference, to_builtins(alert.alert), alert.acts, alert.acts_earlier)
        for test in self.tests:
            if test.reference == reference:
                return item_of(reference, to_builtins(test.heartbeat), test.acts)
        return None


def watch_views(
    watch: WatchState, armed: Mapping[str, Armed], other: Callable[[Identifier], Identifier]
) -> tuple[tuple[SlotView, ...], tuple[TestView, ...]]:
    """Return the views of all known slots and tests, oldest first; `other` returns the party that a party calls."""
    slots = tuple(
        SlotView(slot=at, state=slot.state, test="" if slot.state is SlotState.AWAITED else slot.test)
        for at, slot in watch.slots.items()
    )
    tests = tuple(
        TestView(
            reference=reference,
            at=test.at,
            state=test.state,
            heartbeat=test.heartbeat,
            answer=test.answer,
            answered_at=test.answered_at,
            sent_at=test.sent_at,
            placed_by=test.placed_by,
            acts=test.item(reference, other(reference.partition("/")[0])).acts,
            due_at=due.raised_at
            if (due := armed.get(f"receipt/{reference}") or armed.get(f"answer/{reference}"))
            else None,
        )
        for reference, test in watch.tests.items()
    )
    return slots, tests


def alert_views(
    alerts: Mapping[str, OpenAlert], armed: Mapping[str, Armed], cancellations: Mapping[str, Texts]
) -> tuple[AlertView, ...]:
    """Return the views of the open and the last closed alerts, oldest first; `cancellations` are by reference."""
    by = successors(alerts)
    return tuple(
        AlertView(
            reference=reference,
            at=opened.at,
            state=opened.state,
            alert=opened.alert,
            received_at=opened.received_at,
            reply=opened.reply,
            replied_at=opened.replied_at,
            due_at=due.raised_at if (due := armed.get(f"acknowledgement/{reference}")) else None,
            sent_at=opened.sent_at,
            changed_by=by.get(reference),
            cancellation=cancellations.get(reference),
            acts=tuple(opened.acts),
            acts_earlier=opened.acts_earlier,
        )
        for reference, opened in alerts.items()
    )


def outbox_view(outbox: OutboxState) -> StreamView:
    """Return the view of our own stream."""
    queued = [*(run.sealed_at for run in outbox.sealed[:1]), *(message.at for message in outbox.waiting[:1])]
    return StreamView(
        last=outbox.last,
        receipted=outbox.receipted,
        oldest_at=queued[0] if queued else None,
        waiting=len(outbox.waiting),
        in_flight=outbox.last - outbox.receipted - len(outbox.waiting),
        head=outbox.head,
        stopped=outbox.stopped,
    )


def inbox_view(inbox: InboxState) -> StreamView:
    """Return the view of a stream that is received."""
    ahead = sum(len(run) for run in inbox.ahead.values())
    return StreamView(
        last=inbox.upto, receipted=inbox.upto, waiting=0, in_flight=ahead, head=inbox.head, stopped=inbox.stopped
    )


def draft_views(drafts: DraftsState, status: Status) -> tuple[DraftView, ...]:
    """Return the views of the waiting drafts, oldest first."""
    waiting = waiting_drafts(drafts).items()
    items = {number: draft_item(number, draft, status) for number, draft in waiting}
    return tuple(
        DraftView(
            draft=f"draft/{number}",
            officer=draft.officer,
            category=draft.category,
            precedence=draft.precedence,
            expires_at=draft.expires_at,
            text=draft.text,
            at=written(draft.at),
            status=draft.status or status,
            event_at=draft.event_at,
            area=draft.area or None,
            references=draft.references,
            changes=draft.changes or None,
            change_kind=draft.change_kind or None,
            cancellation=draft.cancellation or None,
            item=items[number].item,
            seen=items[number].seen,
        )
        for number, draft in waiting
    )
