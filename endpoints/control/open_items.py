"""What waits for an officer: alerts and line tests without their last word, and the order in which they are handled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from protocol.core.alerts import AlertState
from protocol.core.snapshot import Snapshot
from protocol.core.staleness import Staleness, expiry, staleness
from protocol.core.watch_state import SlotState, TestState
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Category, Identifier, Precedence, Utc
from protocol.wire.policy import Policy

OPEN_ALERTS = {AlertState.SENT, AlertState.RECEIVED, AlertState.WILL_REPLY}
"""The states of an alert that waits for an officer."""
OPEN_TESTS = {TestState.PLACED, TestState.UNRECEIPTED, TestState.RECEIVED, TestState.UNANSWERED}
"""The states of a line test that waits for an officer."""
_NEVER: Utc = "9999-12-31T23:59:59.999Z"


class OpenItem(Struct, frozen=True, kw_only=True):
    """An alert or a line test that waits for an officer."""

    reference: str
    kind: Literal["alert", "heartbeat"]
    # null for a line test
    precedence: Precedence | None
    category: Category | None
    # of an alert that changes or cancels an earlier one
    change: Literal["update", "correction", "cancellation"] | None
    # of a message that this side has sent, and at the watch: when it was noted here
    received_at: Utc
    # the deadline of its handling, of a line test that of its receipt or answer; null if none runs
    due_at: Utc | None
    # why it is no news (SPEC M8.4); null if it is
    stale: Staleness | None
    # the party whose officer has to act
    waits_for: Identifier


class DueItem(Struct, frozen=True):
    """What waits for an officer here and has a deadline: the part of `OpenItem` that decides whether a link is late."""

    reference: str
    received_at: Utc
    due_at: Utc


class WaitingDraft(Struct, frozen=True, kw_only=True):
    """An alert of this side that waits for its release by a second officer."""

    draft: str
    officer: Identifier
    precedence: Precedence
    category: Category
    # when it was written
    at: Utc
    expires_at: Utc


def open_items(view: Snapshot, now: Millis) -> list[OpenItem]:
    """Return what waits for an officer of either side, in the order of handling: flash first, then by deadline."""
    items = [*_alerts(view, now), *_tests(view, now)]
    return sorted(items, key=lambda item: urgency(item.precedence, item.due_at, item.received_at))


def due_here(view: Snapshot) -> Iterator[DueItem]:
    """Yield what waits for an officer of this side until a deadline, in no order: cheaper than `open_items`."""
    for alert in view.alerts:
        if alert.due_at is not None and alert.state in OPEN_ALERTS and _recipient(view, alert.reference) == view.side:
            yield DueItem(alert.reference, alert.received_at or alert.at, alert.due_at)
    for test in view.tests:
        if test.due_at is not None and test.state in OPEN_TESTS and _recipient(view, test.reference) == view.side:
            yield DueItem(test.reference, test.at, test.due_at)


def drafts(view: Snapshot, now: Millis) -> tuple[WaitingDraft, ...]:
    """Return the drafts that can still be released at `now`, flash first, then by expiry."""
    waiting = [
        WaitingDraft(
            draft=draft.draft,
            officer=draft.officer,
            precedence=draft.precedence,
            category=draft.category,
            at=draft.at,
            expires_at=draft.expires_at,
        )
        for draft in view.drafts
        if parsed(draft.expires_at) > now
    ]
    return tuple(sorted(waiting, key=lambda draft: urgency(draft.precedence, draft.expires_at, draft.at)))


def slot_to_place(view: Snapshot, policy: Policy, now: Millis) -> Utc | None:
    """Return the slot whose test an officer of this side has to place at `now`, None if there is none (SPEC W1.3)."""
    if policy.placed_by != "officer" or view.side != view.caller:
        return None
    awaited = (each.slot for each in view.slots if each.state is SlotState.AWAITED)
    return next((slot for slot in awaited if parsed(slot) <= now < parsed(slot) + policy.grace_s * 1_000), None)


def urgency(precedence: Precedence | None, due_at: Utc | None, since: Utc) -> tuple[bool, Utc, Utc]:
    """Return the key of the order of handling: flash first, then by deadline, then by how long it has waited."""
    return precedence != "flash", due_at or _NEVER, since


def _alerts(view: Snapshot, now: Millis) -> Iterator[OpenItem]:
    for alert in view.alerts:
        if alert.state not in OPEN_ALERTS:
            continue
        body, received_at = alert.alert, alert.received_at or alert.at
        arrived = None if alert.reference.startswith(f"{view.side}/") else parsed(received_at)
        yield OpenItem(
            reference=alert.reference,
            kind="alert",
            precedence=body.precedence,
            category=body.category,
            change=body.change.kind if body.change else None,
            received_at=received_at,
            due_at=alert.due_at,
            stale=staleness(expiry(body), alert.sent_at, arrived, now) or None,
            waits_for=_recipient(view, alert.reference),
        )


def _tests(view: Snapshot, now: Millis) -> Iterator[OpenItem]:
    for test in view.tests:
        if test.state in OPEN_TESTS:
            arrived = None if test.reference.startswith(f"{view.side}/") else parsed(test.at)
            yield OpenItem(
                reference=test.reference,
                kind="heartbeat",
                precedence=None,
                category=None,
                change=None,
                received_at=test.at,
                due_at=test.due_at,
                stale=staleness(None, test.sent_at, arrived, now) or None,
                waits_for=_recipient(view, test.reference),
            )


def _recipient(view: Snapshot, reference: str) -> Identifier:
    """Return the party that a message is for."""
    return view.answering if reference.startswith(f"{view.caller}/") else view.caller
