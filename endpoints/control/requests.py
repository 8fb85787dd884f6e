"""The requests of the control socket: one strict JSON body for each action, and the event that it becomes.

Each carries a `request` id that the client chooses. Repeating a request returns the same reference, so a client that
lost the answer asks again. The credential authenticates the officer; it enters neither the core nor the journal.
`seen` is the digest of what the officer saw of the item, as `items/REF` and the drafts of the snapshot give it.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from endpoints.control.open_items import slot_to_place
from endpoints.control.reasons import utc_words
from endpoints.runtime.ports import Now, RunnableCore
from protocol.core.event_fields import SessionId, SessionRole, Why
from protocol.core.events import (
    AlarmAcknowledged,
    LineTestRequested,
    OfficerAcknowledged,
    OfficerAnswered,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerRefused,
    OfficerReleased,
    Request,
    SessionBegan,
    SessionEnded,
    WatchLeft,
    WatchTaken,
)
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase, worded
from protocol.wire.instants import parsed, written
from protocol.wire.messages import (
    Area,
    Category,
    Decision,
    Digest,
    Identifier,
    Precedence,
    Reference,
    RefusalReason,
    Seq,
    Status,
    Text,
    Texts,
    Utc,
    Word,
)
from protocol.wire.policy import Seconds

RequestId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{8,64}\Z")]
Credential = Annotated[str, Meta(min_length=1, max_length=1_024)]
Written = Annotated[str, Meta(max_length=100)]
"""A reference such as `eucom/1/42`."""
Screens = Annotated[int, Meta(ge=0, le=100_000)]
EXPIRY_MAX_S = 31 * 86_400
"""How long an alert may be valid."""


class Ask(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of every action."""

    request: RequestId
    officer: Identifier
    credential: Credential
    # of the console in which the officer acts; absent at a prompt
    session: SessionId | UnsetType = UNSET

    def event(self, now: Now) -> Request:
        """Return the event that this request is at `now`. Raises LocalProtocolError for a malformed reference."""
        # each action has its own: a Struct cannot have abstract methods
        raise NotImplementedError

    def check(self, core: RunnableCore, now: Now) -> None:
        """Compare a new request with the present state. Raises LocalProtocolError if it is not what is meant."""


class AskAlert(Ask, frozen=True, kw_only=True):
    """Raise an alert, which ends after `expires_in_s` or at `expires_at`.

    `event_at` is now by default, `status` the link's.
    """

    category: Category
    precedence: Precedence
    text: Texts
    expires_in_s: Seconds | UnsetType = UNSET
    expires_at: Utc | UnsetType = UNSET
    event_at: Utc | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    area: Area | UnsetType = UNSET
    references: Annotated[tuple[Written, ...], Meta(max_length=16)] = ()
    changes: Written | UnsetType = UNSET
    change_kind: Literal["update", "correction"] | UnsetType = UNSET
    cancellation: Texts | UnsetType = UNSET

    def event(self, now: Now) -> Request:
        """Return the event. Raises LocalProtocolError unless it has one end, at most 31 days from now."""
        return OfficerRaisedAlert(
            at=now.at,
            mono=now.mono,
            request=self.request,
            officer=self.officer,
            status=self.status,
            category=self.category,
            precedence=self.precedence,
            event_at=self.event_at or written(now.at),
            expires_at=self._ends(now),
            text=self.text,
            area=self.area,
            references=tuple(_reference(each) for each in self.references),
            changes=UNSET if self.changes is UNSET else _reference(self.changes),
            change_kind=self.change_kind,
            cancellation=self.cancellation,
        )

    def _ends(self, now: Now) -> Utc:
        if self.expires_at is UNSET:
            if self.expires_in_s is UNSET:
                raise LocalProtocolError("bad_request", phrase("an alert ends: give expires_in_s or expires_at"))
            return written(now.at + self.expires_in_s * 1_000)
        if self.expires_in_s is not UNSET:
            raise LocalProtocolError("bad_request", phrase("an alert ends once: give expires_in_s or expires_at"))
        try:
            ends = parsed(self.expires_at)
        except ValueError as error:
            raise LocalProtocolError("wrong_instant", phrase("expires_at: {why}", why=error)) from error
        if ends > now.at + EXPIRY_MAX_S * 1_000:
            raise LocalProtocolError("bad_request", phrase("expires_at: an alert ends at most 31 days from now"))
        return self.expires_at


class AskRelease(Ask, frozen=True, kw_only=True):
    """Release a draft as its second officer."""

    draft: Seq
    seen: Digest | UnsetType = UNSET

    def event(self, now: Now) -> Request:
        """Return the event."""
        return OfficerReleased(
            at=now.at,
            mono=now.mono,
            request=self.request,
            officer=self.officer,
            draft=self.draft,
            seen=self.seen,
        )


class AskAnswer(Ask, frozen=True, kw_only=True):
    """Answer a line test, reading back its three words."""

    of: Written
    words: tuple[Word, Word, Word]
    text: Text | UnsetType = UNSET
    seen: Digest | UnsetType = UNSET

    def event(self, now: Now) -> Request:
        """Return the event."""
        return OfficerAnswered(
            at=now.at,
            mono=now.mono,
            request=self.request,
            officer=self.officer,
            of=_reference(self.of),
            read_back=self.words,
            text=self.text,
            seen=self.seen,
        )


class AskAcknowledge(Ask, frozen=True, kw_only=True):
    """Acknowledge an alert of the peer."""

    of: Written
    decision: Decision
    text: Texts | UnsetType = UNSET
    seen: Digest | UnsetType = UNSET

    def event(self, now: Now) -> Request:
        """Return the event."""
        return OfficerAcknowledged(
            at=now.at,
            mono=now.mono,
            request=self.request,
            officer=self.officer,
            of=_reference(self.of),
            decision=self.decision,
            text=self.text,
            seen=self.seen,
        )


class AskRefuse(Ask, frozen=True, kw_only=True):
    """Refuse an alert of the peer, optionally with a referral to another channel."""

    of: Written
    reason: RefusalReason
    referral: Identifier | UnsetType = UNSET
    text: Texts | UnsetType = UNSET
    seen: Digest | UnsetType = UNSET

    def event(self, now: Now) -> Request:
        """Return the event."""
        return OfficerRefused(
            at=now.at,
            mono=now.mono,
            request=self.request,
            officer=self.officer,
            of=_reference(self.of),
            reason=self.reason,
            referral=self.referral,
            text=self.text,
            seen=self.seen,
        )


class AskCancel(Ask, frozen=True, kw_only=True):
    """Cancel one of this side's alerts, or discard a draft."""

    of: Written | UnsetType = UNSET
    draft: Seq | UnsetType = UNSET
    seen: Digest | UnsetType = UNSET

    def event(self, now: Now) -> Request:
        """Return the event."""
        return OfficerCancelled(
            at=now.at,
            mono=now.mono,
            request=self.request,
            officer=self.officer,
            of=UNSET if self.of is UNSET else _reference(self.of),
            draft=self.draft,
            seen=self.seen,
        )


class AskTest(Ask, frozen=True, kw_only=True):
    """Place a line test: for the open slot if officers place the tests, else unscheduled. An officer is optional."""

    officer: Identifier | UnsetType = UNSET  # type: ignore[assignment] # the one action open to machines
    credential: Credential | UnsetType = UNSET  # type: ignore[assignment] # as above
    # the slot that the officer means, null for an unscheduled test; absent: whatever is due
    slot: Utc | UnsetType | None = UNSET

    def check(self, core: RunnableCore, now: Now) -> None:
        """Raise LocalProtocolError(conflict) unless the test would be the one of the slot that the officer means."""
        if self.slot is UNSET or core.terms is None:
            return
        due = slot_to_place(core.snapshot(), core.terms.policy, now.at)
        if due == self.slot:
            return
        if due is not None:
            why = phrase("nothing was placed: the slot of {slot} is open now, and its test is due", slot=utc_words(due))
        else:
            why = phrase(
                "nothing was placed: the slot of {slot} has its test, or its time is over",
                slot=utc_words(self.slot or written(now.at)),
            )
        raise LocalProtocolError("conflict", why)

    def event(self, now: Now) -> Request:
        """Return the event, with a random nonce for its words."""
        return LineTestRequested(
            at=now.at,
            mono=now.mono,
            request=self.request,
            officer=self.officer,
            nonce=secrets.token_hex(8),
        )


class AskAlarm(Ask, frozen=True, kw_only=True):
    """Acknowledge an alarm raised here, `keys_changed` with three words of the fingerprint, in any case of letters."""

    code: Annotated[str, Meta(max_length=40)]
    subject: Annotated[str, Meta(max_length=200)]
    words: tuple[Word, Word, Word] | UnsetType = UNSET

    def event(self, now: Now) -> Request:
        """Return the event."""
        words: tuple[Word, Word, Word] | UnsetType = UNSET
        if self.words is not UNSET:
            first, second, third = (word.lower() for word in self.words)
            words = first, second, third
        return AlarmAcknowledged(
            at=now.at,
            mono=now.mono,
            request=self.request,
            officer=self.officer,
            code=self.code,
            subject=self.subject,
            words=words,
        )


class AskTakeWatch(Ask, frozen=True, kw_only=True):
    """Take the watch, and name the officer on watch, if there is one."""

    relieves: Identifier | UnsetType = UNSET

    def event(self, now: Now) -> Request:
        """Return the event."""
        return WatchTaken(at=now.at, mono=now.mono, request=self.request, officer=self.officer, relieves=self.relieves)


class AskLeaveWatch(Ask, frozen=True, kw_only=True):
    """Leave the watch to nobody."""

    why: Why

    def event(self, now: Now) -> Request:
        """Return the event."""
        return WatchLeft(at=now.at, mono=now.mono, request=self.request, officer=self.officer, why=self.why)


class AskLogIn(Ask, frozen=True, kw_only=True):
    """Begin a session of a console: an officer's, with their credential, or a board's or an investigator's, without."""

    officer: Identifier | UnsetType = UNSET  # type: ignore[assignment] # a board is nobody's
    credential: Credential | UnsetType = UNSET  # type: ignore[assignment] # as above
    session: SessionId
    role: SessionRole = "officer"

    def event(self, now: Now) -> Request:
        """Return the event."""
        return SessionBegan(
            at=now.at,
            mono=now.mono,
            request=self.request,
            session=self.session,
            role=self.role,
            officer=self.officer,
        )


class AskLogOut(Ask, frozen=True, kw_only=True):
    """Report that a session of a console has ended. It takes no credential: the session may have expired."""

    officer: Identifier | UnsetType = UNSET  # type: ignore[assignment] # as above
    credential: UnsetType = UNSET  # type: ignore[assignment] # as above
    session: SessionId
    role: SessionRole = "officer"
    why: Why

    def event(self, now: Now) -> Request:
        """Return the event."""
        return SessionEnded(
            at=now.at,
            mono=now.mono,
            request=self.request,
            session=self.session,
            role=self.role,
            officer=self.officer,
            why=self.why,
        )


class ConsoleTold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a console says of its screens, of which those that are `armed` have their sound on."""

    console: SessionId
    sessions: Screens = 0
    screens: Screens = 0
    armed: Screens = 0
    # it ends in order, so nobody expects it any more
    closing: bool = False


ACTIONS: dict[str, type[Ask]] = {
    "alert": AskAlert,
    "release": AskRelease,
    "answer": AskAnswer,
    "acknowledge": AskAcknowledge,
    "refuse": AskRefuse,
    "cancel": AskCancel,
    "test": AskTest,
    "acknowledge-alarm": AskAlarm,
    "take-watch": AskTakeWatch,
    "leave-watch": AskLeaveWatch,
    "log-in": AskLogIn,
    "log-out": AskLogOut,
}
"""The actions of `POST /v1/links/LINK/ACTION`."""

WATCH_ACTIONS: dict[str, type[Ask]] = {"acknowledge-alarm": AskAlarm}
"""Those of them that the independent watch takes, which sends no messages."""


def _reference(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except ValueError as error:
        raise LocalProtocolError("unknown_reference", worded(error)) from error
