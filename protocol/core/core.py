"""What every observer of a link has in common: a side's end of it (`link`) and the independent watch (`observer`).

A core takes events and returns effects. It reads no clock, opens no socket and draws no number, so that running its
events again gives the same effects: the link is a pure function of its journal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import msgspec
from msgspec import Raw

from protocol.core.alarm_book import AlarmBook
from protocol.core.alarms import AlarmCode
from protocol.core.alerts import Alerts
from protocol.core.core_state import CoreState
from protocol.core.deadlines import SECOND, Deadline, Deadlines, Turn
from protocol.core.effects import Effect, RejectFrame
from protocol.core.environment import Environment
from protocol.core.event_checks import check_event
from protocol.core.events import (
    BEFORE_STARTED,
    AlarmAcknowledged,
    ClockStepped,
    DeadlineReached,
    EpochOpened,
    Event,
    FrameReceived,
    FramesSuppressed,
    IdentityTakenOver,
    KeysEnrolled,
    NotificationDone,
    PeerPresenceChanged,
    Request,
    Resumed,
    SlotsPlanned,
    SpaceLow,
    SpaceOk,
    Started,
    Stopped,
    TransportConnected,
    TransportLost,
)
from protocol.core.pending_notifications import PendingNotifications
from protocol.core.snapshot import DraftView, Snapshot, StreamView, alert_views, condition_of, watch_views
from protocol.core.undelivered import Undelivered
from protocol.core.watch import SETTLE_MS, Watch
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.wire import envelope
from protocol.wire.digests import policy_digest
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import (
    Acknowledgement,
    Alert,
    AnyBody,
    Claim,
    Heartbeat,
    HeartbeatAnswer,
    Identifier,
    MessagePayload,
    ReceiptPayload,
    Reference,
)
from protocol.wire.payloads import read_message_payload, read_receipt_payload
from protocol.wire.policy import EnrolledKey, Terms
from protocol.wire.refusals import VERIFIED, FrameRefusal, MessageRefusal

UNKNOWN_LISTED = 64
"""What a `watch_blind` lists by name; of the rest it says how many."""
REQUESTS_KEPT = 1_024
"""Control requests that are recognised when they are repeated."""

_BEFORE_WHAT_IS_DUE = (Request, Started, Resumed, ClockStepped, *BEFORE_STARTED)
"""What is due by now comes first, but not before these: an officer's request may yet be refused, so it moves nothing;
the others say themselves that the watch was blind."""


class Core:
    """A link as one observer sees it. Subclasses say what frames and officers do."""

    RULES: ClassVar[str] = "1"
    """The version of the rules that produce a checkpoint from events."""
    STATE: ClassVar[type[CoreState]] = CoreState

    def __init__(self, state: CoreState) -> None:
        self.state = state
        self._timeline = Deadlines(state.timeline)
        self._notifications = PendingNotifications(state.notices)
        self._alarms = AlarmBook(state.alarms, self._notifications)
        self._environment = Environment(state, self._timeline, self._alarms)
        self._handlers: dict[type[Event], Callable[[Turn, Any], None]] = {
            EpochOpened: self._epoch_opened,
            KeysEnrolled: self._keys_enrolled,
            Started: self._started,
            Stopped: self._stopped,
            AlarmAcknowledged: self._alarm_acknowledged,
            Resumed: self._resumed,
            SlotsPlanned: self._slots_planned,
            ClockStepped: self._clock_stepped,
            DeadlineReached: self._deadline_reached,
            NotificationDone: self._notification_done,
            FrameReceived: self._frame_received,
            FramesSuppressed: self._environment.suppressed,
            SpaceLow: self._environment.space_low,
            SpaceOk: self._environment.space_ok,
            TransportConnected: self._environment.connected,
            TransportLost: self._environment.lost,
            IdentityTakenOver: self._environment.taken_over,
            PeerPresenceChanged: self._environment.presence_changed,
        }
        if state.terms is not None:
            self._adopt(state.terms)

    @classmethod
    def restore(cls, state: bytes | Raw) -> Self:
        """Return the core whose `checkpoint()` this is. Raises msgspec.ValidationError if it is none."""
        return cls(msgspec.json.decode(state, type=cls.STATE))

    def checkpoint(self) -> Raw:
        """Return the whole state, in JSON. The order of its tables is part of the state."""
        return Raw(msgspec.json.encode(self.state))

    @property
    def terms(self) -> Terms | None:
        """The terms of the present epoch, or None before the first `EpochOpened`."""
        return self.state.terms

    @property
    def keys(self) -> dict[Identifier, tuple[EnrolledKey, ...]]:
        """The public keys that the last `KeysEnrolled` named, by party."""
        return self.state.keys

    @property
    def last_at(self) -> Millis:
        """The instant up to which this core has watched; 0 before the first `Started`."""
        return self.state.timeline.at

    @property
    def slots_until(self) -> Millis:
        """The instant up to which slots are planned."""
        return self.state.watch.slots_until

    def handle(self, event: Event) -> tuple[Effect, ...]:
        """Take what happened; return what to do, once this is on disk.

        Total: any event in any state. Raises LocalProtocolError for a caller's mistake, and then nothing has changed.
        """
        handler = self._handlers.get(type(event))
        if handler is None:
            raise LocalProtocolError("unexpected_event", f"{type(event).__name__} means nothing to {self.state.side}")
        if not isinstance(event, BEFORE_STARTED):
            self._check_epoch()
        if isinstance(event, Request) and event.request in self.state.requests:
            raise LocalProtocolError("repeated_request", f"this request led to {self.state.requests[event.request]}")
        check_event(event)
        self._check(event)
        turn = self._timeline.turn(event)
        if not isinstance(event, _BEFORE_WHAT_IS_DUE):
            self._fall_due(turn)
        handler(turn, event)
        self._timeline.commit(event, turn)
        return tuple(turn.effects)

    def _check_epoch(self) -> None:
        """Raise LocalProtocolError as long as no epoch is open."""
        if self.state.terms is None:
            raise LocalProtocolError("no_epoch", "the first event of a link is EpochOpened")

    def _check(self, event: Event) -> None:
        """Raise LocalProtocolError for what a service must not hand in, before anything changes."""

    def next_deadline(self) -> Deadline | None:
        """Return when this core wants a `DeadlineReached`: the one timer of a link."""
        if self.state.terms is None:
            return None
        at = self._watch.next_instant()
        ages = [age for age in (self._timeline.next_due_age(), self._resend_due_age()) if age is not None]
        mono = self._timeline.mono_of(min(ages)) if ages else None
        return None if at is None and mono is None else Deadline(at, mono)

    def reference_of(self, request: str) -> str | None:
        """Return what a control request led to, if it was handled: repeating it must change nothing."""
        return self.state.requests.get(request)

    def _view(
        self,
        *,
        theirs: dict[Identifier, StreamView],
        ours: StreamView | None = None,
        drafts: tuple[DraftView, ...] = (),
        undelivered: tuple[Undelivered, ...] = (),
    ) -> Snapshot:
        """Return the immutable view, with what a subclass adds."""
        state = self.state
        slots, tests = watch_views(state.watch)
        alarms = tuple(self._alarms)
        return Snapshot(
            link=state.link,
            side=state.side,
            epoch=self._terms.epoch,
            policy=self._policy_digest,
            caller=self._terms.caller,
            answering=self._terms.answering,
            status=self._terms.policy.status,
            at=written(state.timeline.at),
            condition=condition_of(alarms, slots, tests, state.timeline.at),
            connected=state.connected,
            present=dict(state.present),
            ours=ours,
            theirs=theirs,
            slots=slots,
            next_slot=self._watch.next_slot(),
            tests=tests,
            alerts=alert_views(state.alerts, state.timeline.armed),
            drafts=drafts,
            alarms=alarms,
            undelivered=undelivered,
            notifications_pending=len(state.notices.pending),
            notifications_given_up=state.notices.given_up,
        )

    # --- what subclasses say --------------------------------------------------------------------------------------

    def _resend_due_age(self) -> Millis | None:
        return None

    def _take_messages(self, turn: Turn, payload: MessagePayload) -> None:
        raise NotImplementedError

    def _take_claim(self, turn: Turn, sender: Identifier, claim: Claim) -> None:
        raise NotImplementedError

    def _foreign_terms(self, turn: Turn, sender: Identifier, *, first: bool, receipt: bool) -> None:
        """A validly signed frame of another epoch or policy came (SPEC E3)."""

    def _take_effect(self, turn: Turn, reference: Reference, body: AnyBody, *, received: bool) -> None:
        """Let a message that joined a stream change what is open; `received`: where it is to be answered."""
        match body:
            case Heartbeat():
                self._watch.called(turn, reference, body, received=received)
            case HeartbeatAnswer():
                self._watch.answered(turn, body)
            case Alert():
                self._alerts.opened(turn, reference, body, received=received)
            case Acknowledgement():
                self._alerts.acknowledged(turn, body)
            case _:
                self._alerts.refused(turn, body)

    def _check_capacity(self, sender: Identifier, body: AnyBody) -> None:
        if isinstance(body, Alert) and not self._alerts.has_room(sender, body):
            raise RemoteProtocolError(MessageRefusal.NOT_PERMITTED, "too many alerts are open here")

    def _receipted(self, turn: Turn, sender: Identifier, seqs: range) -> None:
        """The other party's machine has these messages of `sender` on disk."""
        for seq in seqs:
            reference = Reference(sender, self._terms.epoch, seq)
            self._watch.receipted(turn, reference)
            self._alerts.receipted(turn, reference)

    # --- the service's own life -----------------------------------------------------------------------------------

    def _adopt(self, terms: Terms) -> None:
        self.state.terms = terms
        self._terms = terms
        self._policy_digest = policy_digest(terms)
        self._watch = Watch(self.state.watch, terms.policy, self._timeline, self._alarms)
        self._alerts = Alerts(self.state.alerts, terms.policy, self._timeline, self._alarms)

    def _epoch_opened(self, turn: Turn, event: EpochOpened) -> None:
        terms, before = event.terms, self.state.terms
        if terms.link != self.state.link:
            raise LocalProtocolError("wrong_link", f"these are the terms of {terms.link}, not of {self.state.link}")
        if terms.caller == terms.answering:
            raise LocalProtocolError("wrong_side", f"a link has two parties; here both are {terms.caller}")
        # SPEC E1.1
        if before is not None and terms.epoch <= before.epoch:
            raise LocalProtocolError(
                "wrong_epoch", f"epoch {before.epoch} is open; the next has a higher number than {terms.epoch}"
            )
        self._adopt(terms)
        if before is not None:
            self._alerts.epoch_over(turn)
            self._watch.epoch_over(turn)
            self._alarms.clear_all(
                turn, AlarmCode.EQUIVOCATION, AlarmCode.FORK, AlarmCode.JOURNAL_BEHIND, AlarmCode.POLICY_MISMATCH
            )
        self._open_streams(turn, before)

    def _open_streams(self, turn: Turn, before: Terms | None) -> None:
        raise NotImplementedError

    def _keys_enrolled(self, _turn: Turn, event: KeysEnrolled) -> None:
        self.state.keys = event.keys

    def _started(self, turn: Turn, event: Started) -> None:
        since = self.state.timeline.at
        if turn.at < since:
            self._clock_moved(turn, turn.at - since)
        self._watch.plan(turn, event.slots, event.slots_until, event.tzdata, after=turn.at)
        if since:
            self._was_blind(turn, since)
        self._environment.started(turn)
        self._notifications.repeat(turn)

    def _alarm_acknowledged(self, turn: Turn, event: AlarmAcknowledged) -> None:
        alarm = self._alarms.find(event.code, event.subject)
        self._alarms.acknowledge(turn, alarm, event.officer)
        self._done(event, f"{event.code}/{event.subject}")

    def _done(self, event: Request, reference: str) -> None:
        """Remember what a request led to, so that repeating it changes nothing."""
        requests = self.state.requests
        requests[event.request] = reference
        if len(requests) > REQUESTS_KEPT:
            del requests[next(iter(requests))]

    def _stopped(self, turn: Turn, event: Stopped) -> None:
        pass

    def _resumed(self, turn: Turn, event: Resumed) -> None:
        self._was_blind(turn, min(parsed(event.since), turn.at))

    def _was_blind(self, turn: Turn, since: Millis, *, age_too: bool = True) -> None:
        """Account for an absence: one record of all that fell due in it, and time to settle (SPEC W5.2)."""
        unknown = [f"slot {instant}" for instant in self._watch.blind(turn, since)]
        if age_too:
            overdue = self._timeline.postpone(turn, SETTLE_MS)
            unknown += [key for key in overdue if not key.startswith(("quiet/", "broker/"))]
        if unknown:
            detail = f"unknown: {', '.join(unknown[:UNKNOWN_LISTED])}"
            if len(unknown) > UNKNOWN_LISTED:
                detail += f" and {len(unknown) - UNKNOWN_LISTED} more"
            interval = f"{written(since)}..{turn.utc}"
            self._alarms.raise_passing(turn, AlarmCode.WATCH_BLIND, interval, written(since), detail)

    def _slots_planned(self, turn: Turn, event: SlotsPlanned) -> None:
        since = self.state.watch.slots_until
        self._watch.plan(turn, event.slots, event.slots_until, event.tzdata, after=since)
        if since <= turn.at:
            self._was_blind(turn, since, age_too=False)

    def _clock_stepped(self, turn: Turn, event: ClockStepped) -> None:
        self._clock_moved(turn, event.step_ms)
        if event.step_ms > 0:
            self._was_blind(turn, turn.at - event.step_ms, age_too=False)

    def _clock_moved(self, turn: Turn, step_ms: Millis) -> None:
        self._alarms.raise_passing(
            turn, AlarmCode.CLOCK_STEP, turn.utc, detail=f"the wall clock moved by {step_ms / SECOND:+.3f} s"
        )
        self._watch.clock_moved(turn, step_ms)

    def _deadline_reached(self, turn: Turn, _event: DeadlineReached) -> None:
        self._watch.begun(turn.at, placing=False)

    def _fall_due(self, turn: Turn) -> None:
        self._watch.judge_slots(turn)
        for key, raised_at in self._timeline.fallen_due(turn.age):
            kind, _, subject = key.partition("/")
            if kind in {"receipt", "answer"}:
                self._watch.overdue(turn, kind, subject, raised_at)
            elif kind == "acknowledgement":
                self._alerts.overdue(turn, subject, raised_at)
            else:
                self._environment.overdue(turn, kind, subject, raised_at)

    def _notification_done(self, _turn: Turn, event: NotificationDone) -> None:
        self._notifications.done(event.id)

    # --- frames ---------------------------------------------------------------------------------------------------

    def _frame_received(self, turn: Turn, event: FrameReceived) -> None:
        if event.verdict != VERIFIED:
            self._reject(turn, event, RemoteProtocolError(event.verdict))
            return
        try:
            payload = envelope.parse(event.frame).payload
            if event.channel == "receipt":
                receipt = read_receipt_payload(payload)
                self._check_address(turn, event, receipt)
                self._take_claim(turn, receipt.sender, Claim(receipt.upto, receipt.head, receipt.at))
            else:
                run = read_message_payload(payload)
                self._check_address(turn, event, run)
                self._take_messages(turn, run)
        except RemoteProtocolError as refusal:
            self._reject(turn, event, refusal)

    def _reject(self, turn: Turn, event: FrameReceived, refusal: RemoteProtocolError) -> None:
        turn.emit(RejectFrame(reason=refusal.reason, detail=refusal.detail))
        self._environment.refused(turn, event.sender, refusal)

    def _check_address(self, turn: Turn, event: FrameReceived, payload: MessagePayload | ReceiptPayload) -> None:
        """Check that a verified payload is of this link, epoch, sender, recipient and policy (SPEC F3.7)."""
        terms = self._terms
        if payload.link != terms.link:
            raise RemoteProtocolError(FrameRefusal.WRONG_LINK, payload.link)
        if payload.sender != event.sender or payload.sender not in self._senders():
            raise RemoteProtocolError(FrameRefusal.WRONG_SENDER, payload.sender)
        if payload.recipient != self._other(payload.sender):
            raise RemoteProtocolError(FrameRefusal.WRONG_RECIPIENT, payload.recipient)
        if payload.epoch == terms.epoch and payload.policy == self._policy_digest:
            self._alarms.clear(turn, AlarmCode.POLICY_MISMATCH, payload.sender)
            return
        detail = f"{payload.sender} speaks epoch {payload.epoch}, policy {payload.policy[:16]}; "
        detail += f"here it is epoch {terms.epoch}, policy {self._policy_digest[:16]}"
        first = not self._alarms.active(AlarmCode.POLICY_MISMATCH, payload.sender)
        self._alarms.raise_alarm(turn, AlarmCode.POLICY_MISMATCH, payload.sender, detail=detail)
        self._foreign_terms(turn, payload.sender, first=first, receipt=isinstance(payload, ReceiptPayload))
        wrong = FrameRefusal.WRONG_EPOCH if payload.epoch != terms.epoch else FrameRefusal.WRONG_POLICY
        raise RemoteProtocolError(wrong, detail)

    def _senders(self) -> tuple[Identifier, ...]:
        """Return the parties whom this core listens to."""
        raise NotImplementedError

    def _other(self, party: Identifier) -> Identifier:
        return self._terms.answering if party == self._terms.caller else self._terms.caller

    def _skew(self, turn: Turn, party: Identifier, way: Literal["ahead", "behind"], by_ms: Millis) -> None:
        self._environment.skew(turn, party, way, by_ms, self._terms.policy.skew_limit_s * SECOND)
