"""Alerts that wait for a second officer, and how each of them ended (SPEC P1).

A draft ends when an officer releases or discards it, or at the instant at which its alert expires. If the wall clock is
set back to before that instant, an expired draft waits again.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType, to_builtins

from protocol.core.acts import Act, ActedFirstError, ActKind, Item, item_of
from protocol.core.deadlines import Turn
from protocol.core.effects import ExpireDraft, HoldDraft
from protocol.core.events import OfficerRaisedAlert
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Alert, Change, Identifier, Reference, Status, Utc

DRAFTS_MAX = 64
"""The limit of alerts that wait for a second officer, and of expired ones that are kept."""
ENDED_KEPT = 256
"""How many ended drafts are remembered, for an officer who acts on one of them too late."""


class DraftsState(Struct):
    """State of drafts in a checkpoint."""

    # those that wait, and the last expired ones
    drafts: dict[int, OfficerRaisedAlert] = {}
    last_draft: int = 0
    # how they ended, by number
    ended: dict[int, Act] = {}


class Drafts:
    """The drafts of one side. They outlive an epoch."""

    def __init__(self, state: DraftsState, side: Identifier, status: Status) -> None:
        self._state = state
        self._side = side
        self._status = status

    def waiting(self) -> dict[int, OfficerRaisedAlert]:
        """Return the drafts that wait for a second officer, oldest first."""
        return waiting_drafts(self._state)

    def check_room(self) -> None:
        """Raise LocalProtocolError if no more drafts may wait."""
        if len(self.waiting()) >= DRAFTS_MAX:
            raise LocalProtocolError(
                "too_many_drafts", phrase("{count} drafts wait already: release or discard some", count=DRAFTS_MAX)
            )

    def hold(self, turn: Turn, raised: OfficerRaisedAlert) -> int:
        """Hold an alert, whose status is set, for a second officer; return the draft's number."""
        self._state.last_draft += 1
        self._state.drafts[self._state.last_draft] = raised
        turn.emit(HoldDraft(draft=self._state.last_draft))
        return self._state.last_draft

    def find(self, number: int) -> tuple[OfficerRaisedAlert, Item]:
        """Return a draft that was neither released nor discarded. Raises LocalProtocolError saying how it ended."""
        draft, end = self._state.drafts.get(number), self._state.ended.get(number)
        if draft is not None:
            return draft, draft_item(number, draft, self._status)
        if end is None:
            waiting = ", ".join(f"draft/{known}" for known in self.waiting()) or phrase("none")
            wrong = phrase("there is no {draft}; waiting: {waiting}", draft=f"draft/{number}", waiting=waiting)
            raise LocalProtocolError("unknown_reference", wrong)
        raise ended_draft(f"draft/{number}", end)

    def end(self, turn: Turn, number: int, act: ActKind, officer: Identifier, sent: Reference | None = None) -> None:
        """Note that an officer released or discarded a draft that `find` returned."""
        del self._state.drafts[number]
        self._ended(turn, number, act, officer, sent or UNSET)

    def fall_due(self, turn: Turn) -> None:
        """End the drafts whose alerts have expired by now (SPEC P1.6)."""
        if not self._state.drafts:
            return
        for number, draft in self.waiting().items():
            if parsed(draft.expires_at) <= turn.at:
                self._ended(turn, number, "expired", UNSET, UNSET)
                turn.emit(ExpireDraft(draft=number))
        drafts, ended = self._state.drafts, self._state.ended
        for number in [number for number in drafts if number in ended][:-DRAFTS_MAX]:
            del drafts[number]

    def clock_moved(self, turn: Turn) -> None:
        """Let the drafts wait again that have not expired by the clock as it is set now (SPEC P1.6)."""
        for number, draft in self._state.drafts.items():
            if number in self._state.ended and parsed(draft.expires_at) > turn.at:
                del self._state.ended[number]
                turn.emit(HoldDraft(draft=number))

    def next_instant(self) -> Millis | None:
        """Return the instant at which the next draft expires, None if none waits."""
        return min((parsed(draft.expires_at) for draft in self.waiting().values()), default=None)

    def _ended(
        self,
        turn: Turn,
        number: int,
        act: ActKind,
        officer: Identifier | UnsetType,
        sent: Reference | UnsetType,
    ) -> None:
        ended = self._state.ended
        ended.pop(number, None)
        ended[number] = Act(act=act, at=turn.utc, party=self._side, officer=officer, reference=sent)
        if len(ended) > ENDED_KEPT:
            oldest = next(iter(ended))
            del ended[oldest]
            self._state.drafts.pop(oldest, None)


def waiting_drafts(state: DraftsState) -> dict[int, OfficerRaisedAlert]:
    """Return the drafts that wait for a second officer, by number, oldest first."""
    if not state.drafts:
        return {}
    return {number: draft for number, draft in state.drafts.items() if number not in state.ended}


def draft_item(number: int, draft: OfficerRaisedAlert, status: Status) -> Item:
    """Return the item of a draft: the alert as it would be sent on a link of `status`."""
    body = to_builtins(alert_of(draft, status, (draft.officer,)))
    if draft.cancellation is not UNSET:
        body["cancellation"] = draft.cancellation
    return item_of(f"draft/{number}", body, ())


def alert_of(event: OfficerRaisedAlert, status: Status, officers: tuple[Identifier, ...]) -> Alert:
    """Return the alert that an officer wrote, in the names of `officers`."""
    change: Change | UnsetType = UNSET
    if event.changes is not UNSET and event.change_kind is not UNSET:
        change = Change(of=event.changes, kind=event.change_kind)
    return Alert(
        status=event.status or status,
        category=event.category,
        precedence=event.precedence,
        event_at=event.event_at,
        expires_at=event.expires_at,
        text=event.text,
        released_by=officers,
        area=event.area,
        references=event.references or UNSET,
        change=change,
    )


def ended_draft(reference: str, end: Act) -> LocalProtocolError:
    """Return the error for an act on a draft that ended so."""
    if end.act == "expired":
        return expired(reference, end.at)
    ended = Item(reference=reference, item={}, acts=(end,), earlier=0)
    return ActedFirstError(
        f"already_{end.act}",
        ended,
        phrase("is released already") if end.act == "released" else phrase("is discarded already"),
    )


def expired(reference: str, at: Utc) -> LocalProtocolError:
    """Return the error for a draft whose alert has expired."""
    return LocalProtocolError(
        "expired",
        phrase("{reference} expired at {at} and was not sent: write the alert again", reference=reference, at=at),
    )
