"""The contract of both kinds of core, a side's end of a link and the independent watch, and what they share.

A core takes events and returns effects. It reads no clock, opens no socket and draws no number, so running its events
again gives the same effects: a link is a pure function of its journal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import msgspec
from msgspec import UNSET, Raw, UnsetType

from protocol.core.acts import Act
from protocol.core.alarms import AlarmCode
from protocol.core.books import Books
from protocol.core.core_state import CoreState
from protocol.core.deadlines import Deadline, Turn
from protocol.core.duty import Confirmation, OnWatch
from protocol.core.effects import Effect
from protocol.core.epoch import Epoch
from protocol.core.event import Event
from protocol.core.event_checks import check_event
from protocol.core.event_fields import Rules
from protocol.core.events import (
    AlarmAcknowledged,
    ClockStepped,
    FrameReceived,
    NotificationDone,
    Request,
    Resumed,
    SessionEnded,
    SlotsPlanned,
    Started,
)
from protocol.core.link_keys import LinkKeys
from protocol.core.snapshot import DraftView, Snapshot, StreamView, alert_views, watch_views
from protocol.core.start_events import BEFORE_STARTED, JournalRestored, KeysChanged, KeysEnrolled, OfficersEnrolled
from protocol.core.undelivered import Undelivered
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Digest, Identifier, Texts
from protocol.wire.policy import Terms

REQUESTS_KEPT = 1_024
"""Control requests that are recognised when they are repeated."""

_BEFORE_DEADLINES = (Request, Started, Resumed, ClockStepped)
"""Events that are handled before the deadlines that are due by now. A request may be refused, and must then have
changed nothing; the others account themselves for deadlines that passed while nobody watched."""


class Core(ABC):
    """A link as one observer sees it."""

    RULES: ClassVar[Rules] = "6"
    """The version of the rules that lead from events to effects and state. A change of either raises it.

    That includes the texts in them, also those that a library words: tests/protocol/core/test_refusal_texts.py.
    """
    STATE: ClassVar[type[CoreState]]
    EVENTS: ClassVar[frozenset[type[Event]]]
    """The events that this kind of core takes."""

    def __init__(self, state: CoreState) -> None:
        self.state = state
        self._books = Books(state)
        self._epoch: Epoch | None = None

    @classmethod
    def restore(cls, state: bytes | Raw) -> Self:
        """Return the core whose `checkpoint()` this is. Raises msgspec.ValidationError if it is none."""
        return cls(msgspec.json.decode(state, type=cls.STATE))

    def checkpoint(self) -> Raw:
        """Return the whole state, in JSON. The order of its tables is part of the state."""
        return Raw(msgspec.json.encode(self.state))

    @abstractmethod
    def handle(self, event: Event, *, rules: int = int(RULES)) -> tuple[Effect, ...]:
        """Take what happened; return what to do once the event is on disk.

        Total: any event in any state. Raises LocalProtocolError for a caller's mistake, and then nothing has changed.
        `rules` recorded the event. Rules 1 to 3 placed the test of a slot for nobody (SPEC W1.7), raised alarms that
        officers acknowledged and the present rules do not raise, and notified of less: what they did not notify, nobody
        is notified of now. Under rules 1 to 4 an officer who was removed kept the watch.
        """

    @abstractmethod
    def redundant(self, event: FrameReceived) -> str:
        """Return why a frame would change nothing in the streams, an empty string if it would (SPEC M6.2).

        This changes nothing itself. Without an epoch no frame is redundant.
        """

    @abstractmethod
    def next_deadline(self) -> Deadline | None:
        """Return when this core wants a `DeadlineReached`: the one timer of a link."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return an immutable view for consoles, `status` and tests. Raises LocalProtocolError without an epoch."""

    @property
    def link(self) -> Identifier:
        """The link."""
        return self.state.link

    @property
    def side(self) -> Identifier:
        """The party whose core this is, or `watch`."""
        return self.state.side

    @property
    def terms(self) -> Terms | None:
        """The terms of the open epoch, None before the first `EpochOpened`."""
        return None if self._epoch is None else self._epoch.terms

    @property
    def keys(self) -> LinkKeys:
        """The public keys of the link: those that verify, and those that wait for an officer."""
        return self.state.keys

    @property
    def officers(self) -> dict[Identifier, Digest] | None:
        """The officers who may act, each with the digest of their entry; None if none were ever enrolled."""
        return self.state.officers

    @property
    def last_at(self) -> Millis:
        """The time of the last event, those of `BEFORE_STARTED` aside; 0 before the first `Started`."""
        return self.state.deadlines.at

    @property
    def slots_until(self) -> Millis:
        """The instant up to which slots are planned."""
        return self.state.watch.slots_until

    def reference_of(self, request: str) -> str | None:
        """Return what a control request led to, None if it is new: repeating one must change nothing."""
        return self.state.requests.get(request)

    def as_seen(self, event: Event) -> Event:
        """Return `event`, recorded under rules 1 or 2, as of an officer who has seen all that others did (SPEC P2.3).

        Those rules compared nothing, and what they sent cannot be taken back.
        """
        return event

    def active_alarm(self, code: AlarmCode, subject: str) -> bool:
        """Return whether an alarm of `Snapshot.alarms` is active: raised and not cleared."""
        return self._books.alarms.active(code, subject)

    # --- what both kinds of core share ----------------------------------------------------------------------------

    def _check(self, event: Event) -> None:
        """Raise LocalProtocolError for an event that this core can't take."""
        if type(event) not in self.EVENTS:
            raise LocalProtocolError(
                "unexpected_event", phrase("{side} takes no {event}", side=self.side, event=type(event).__name__)
            )
        if self._epoch is None and type(event) not in BEFORE_STARTED:
            raise no_epoch()
        if isinstance(event, Request) and event.request in self.state.requests:
            reached = self.state.requests[event.request]
            raise LocalProtocolError("repeated_request", phrase("this request led to {reference}", reference=reached))
        self._check_officer(event)
        check_event(event)

    def _check_officer(self, event: Event) -> None:
        """Raise LocalProtocolError(not_authorised) for an act of an officer who is not enrolled (SPEC P1.5)."""
        officer = acting(event)
        if officer is not None and self.state.officers is not None and officer not in self.state.officers:
            raise LocalProtocolError(
                "not_authorised", phrase("officer {officer} is not enrolled here", officer=repr(officer[:40]))
            )

    def _passed_over(self, event: Event) -> bool:
        """Take an older acknowledgement of an alarm that the present rules did not raise; return whether it is one."""
        if not isinstance(event, AlarmAcknowledged) or self._books.alarms.waits(event.code, event.subject):
            return False
        self._done(event, f"{event.code}/{event.subject}")
        return True

    def _take_settings(self, turn: Turn, event: Event) -> bool:
        """Handle an event about the link file or the settings that needs no open epoch; return whether it is one."""
        match event:
            case KeysEnrolled():
                self._books.keys.enrolled(turn, event)
            case KeysChanged():
                self._books.keys.changed(turn, event)
            case OfficersEnrolled():
                self.state.officers = event.officers
            case JournalRestored():
                # only the record matters: the new epoch has begun the streams anew (SPEC E2.3)
                pass
            case _:
                return False
        return True

    def _take_shared(self, turn: Turn, epoch: Epoch, event: Event) -> None:
        """Handle an event that means the same to both kinds of core."""
        match event:
            case NotificationDone():
                self._books.notifications.done(event.id)
            case Started():
                epoch.absences.started(turn, event)
            case Resumed():
                epoch.absences.resumed(turn, event)
            case SlotsPlanned():
                epoch.absences.slots_planned(turn, event)
            case ClockStepped():
                epoch.absences.clock_stepped(turn, event)
            case AlarmAcknowledged():
                alarm = self._books.alarms.find(event.code, event.subject, event.officer)
                self._books.keys.acknowledged(turn, alarm, event)
                self._done(event, f"{event.code}/{event.subject}")
            case _:
                self._books.environment.take(turn, event)

    def _note_signed(self, turn: Turn, event: FrameReceived) -> None:
        """Note when a signed frame of a party brought something new (SPEC W8): only then did it speak now."""
        if not self.redundant(event):
            self.state.last_signed[event.sender] = turn.utc

    def _done(self, event: Request, reference: str) -> None:
        """Remember what a request led to, so that repeating it changes nothing."""
        requests = self.state.requests
        requests[event.request] = reference
        if len(requests) > REQUESTS_KEPT:
            del requests[next(iter(requests))]

    def _deadline(self, epoch: Epoch, resend_age: Millis | None) -> Deadline | None:
        """Return the next deadline of all; `resend_age` is the link's age at which a frame is sent again."""
        at = epoch.next_instant()
        due = (self._books.deadlines.next_due_age(), self._books.alarms.next_repeat_age(), resend_age)
        ages = [age for age in due if age is not None]
        mono = self._books.deadlines.mono_of(min(ages)) if ages else None
        return None if at is None and mono is None else Deadline(at, mono)

    def _view(
        self,
        epoch: Epoch,
        *,
        theirs: dict[Identifier, StreamView],
        ours: StreamView | None = None,
        cancellations: Mapping[str, Texts] = {},
        drafts: tuple[DraftView, ...] = (),
        drafts_ended: Mapping[str, Act] = {},
        undelivered: tuple[Undelivered, ...] = (),
        on_watch: OnWatch | None = None,
        confirmed: Confirmation | None = None,
    ) -> Snapshot:
        """Return the immutable view, with the streams of this kind of core."""
        state = self.state
        slots, tests = watch_views(state.watch, state.deadlines.armed, epoch.other)
        return Snapshot(
            link=state.link,
            side=state.side,
            epoch=epoch.terms.epoch,
            policy=epoch.policy_digest,
            caller=epoch.terms.caller,
            answering=epoch.terms.answering,
            status=epoch.terms.policy.status,
            at=written(state.deadlines.at),
            connected=state.connected,
            connection_trouble=state.connection_trouble,
            connection_trouble_said=state.connection_trouble_said,
            present={party: present for party, present in state.present.items() if present is not None},
            last_signed=dict(state.last_signed),
            ours=ours,
            theirs=theirs,
            slots=slots,
            next_slot=epoch.watch.next_slot(),
            tests=tests,
            alerts=alert_views(state.alerts, state.deadlines.armed, cancellations),
            drafts=drafts,
            drafts_ended=dict(drafts_ended),
            officers=None if state.officers is None else tuple(state.officers),
            alarms=tuple(self._books.alarms),
            keys_changed=state.keys.change,
            undelivered=undelivered,
            on_watch=on_watch,
            confirmed=confirmed,
            notifications_pending=len(state.notifications.pending),
            notifications_given_up=state.notifications.given_up,
        )


def acting(event: Event) -> Identifier | None:
    """Return the officer whose act an event is, None if it is nobody's.

    The end of a session is nobody's: it ends also when its officer is removed.
    """
    if isinstance(event, SessionEnded):
        return None
    officer: Identifier | UnsetType = getattr(event, "officer", UNSET)
    return None if officer is UNSET else officer


def due_first(event: Event) -> bool:
    """Return whether the deadlines that are due by now are handled before `event`."""
    return not isinstance(event, _BEFORE_DEADLINES)


def no_epoch() -> LocalProtocolError:
    """Return the error for what needs an open epoch."""
    return LocalProtocolError("no_epoch", phrase("the first event of a link is EpochOpened"))
