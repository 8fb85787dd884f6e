"""One side's end of a link: our stream, the peer's, and what officers do (SPEC M, R, E, P).

The service hands in events and performs the effects once their records are on disk:

    effects = link.handle(event)              # for everything that has arrived
    payloads = link.unsealed(at)              # what the end of the batch must sign
    link.handle(BatchClosed(frames=...))      # the signed frames: from now on they are what is resent
"""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar, NoReturn

from msgspec import UNSET, field, to_builtins

from protocol.core.alarms import AlarmCode
from protocol.core.core import Core
from protocol.core.core_state import CoreState
from protocol.core.deadlines import SECOND, Turn
from protocol.core.effects import Apply, Effect, HoldDraft, Queue, Resend, Settle
from protocol.core.events import (
    AlarmAcknowledged,
    BatchClosed,
    DeadlineReached,
    EpochOpened,
    Event,
    LineTestRequested,
    OfficerAcknowledged,
    OfficerAnswered,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerRefused,
    OfficerReleased,
    PeerPresenceChanged,
    PublishRefused,
    TransportConnected,
)
from protocol.core.officer_requests import OfficerRequests, OfficerRequestsState
from protocol.core.references import KnownState, References, kind_of
from protocol.core.rules import check_body, is_cancellation
from protocol.core.sealing import Departure, Unsealed, departures
from protocol.core.snapshot import Snapshot, draft_views, inbox_view, outbox_view
from protocol.core.stream import (
    OUTBOX_MAX_MESSAGES,
    OUTBOX_RESERVE_MESSAGES,
    Equivocated,
    Inbox,
    InboxState,
    Outbox,
    OutboxState,
)
from protocol.core.undelivered import Undelivered, undelivered
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.wire import envelope
from protocol.wire.digests import genesis
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import (
    Alert,
    AnyBody,
    Claim,
    Heartbeat,
    HeartbeatAnswer,
    Identifier,
    Message,
    MessagePayload,
    Reference,
    Refusal,
)
from protocol.wire.payloads import read_body
from protocol.wire.policy import Terms
from protocol.wire.refusals import FrameRefusal, MessageRefusal

REASON_MAX = 400
"""Characters of the reason that a service's refusal gives."""
UNDELIVERED_MAX = OUTBOX_MAX_MESSAGES + OUTBOX_RESERVE_MESSAGES
"""What one epoch can leave behind: of several that nobody has looked at, the newest; the journal has the rest."""
FOREIGN_ANSWER_MS: Millis = 60 * SECOND
"""A frame of another epoch or policy is answered at most this often (SPEC E3)."""

NO_HEAD = "0" * 64
"""Where no stream has begun yet: before the first `EpochOpened`."""


class LinkState(CoreState):
    """What a checkpoint keeps of one side."""

    outbox: OutboxState = field(default_factory=lambda: OutboxState(head=NO_HEAD, receipted_head=NO_HEAD))
    inbox: InboxState = field(default_factory=lambda: InboxState(head=NO_HEAD))
    desk: OfficerRequestsState = field(default_factory=OfficerRequestsState)
    known: dict[Identifier, KnownState] = field(default_factory=dict)
    undelivered: list[Undelivered] = field(default_factory=list)
    receipt_owed: bool = False
    # the age at which a frame of other terms was last answered
    foreign_answered_age: Millis | None = None


class Link(Core):
    """One side's end of one link."""

    STATE: ClassVar[type[CoreState]] = LinkState
    state: LinkState

    def __init__(self, state: LinkState) -> None:
        super().__init__(state)
        self._plan: tuple[Millis, list[Departure]] | None = None
        self._handlers |= {
            BatchClosed: self._batch_closed,
            TransportConnected: self._transport_connected,
            PeerPresenceChanged: self._peer_presence_changed,
            PublishRefused: self._publish_refused,
            OfficerRaisedAlert: self._officer_raised_alert,
            OfficerReleased: self._officer_released,
            OfficerAnswered: self._officer_answered,
            OfficerAcknowledged: self._officer_acknowledged,
            OfficerRefused: self._officer_refused,
            OfficerCancelled: self._officer_cancelled,
            LineTestRequested: self._line_test_requested,
            AlarmAcknowledged: self._alarm_acknowledged,
        }

    @classmethod
    def new(cls, link: Identifier, side: Identifier) -> Link:
        """Return a link of which nothing is known yet: its first event is `EpochOpened`."""
        return cls(LinkState(link=link, side=side))

    @property
    def peer(self) -> Identifier:
        """The other party."""
        return self._other(self.state.side)

    def frame(self, first: int) -> bytes | None:
        """Return the sealed frame that begins with message `first`, while it is not receipted: for `Resend`."""
        return self._outbox.frame(first)

    def snapshot(self) -> Snapshot:
        """Return an immutable view for consoles, `status` and tests. Raises LocalProtocolError without an epoch."""
        self._check_epoch()
        return self._view(
            ours=outbox_view(self.state.outbox),
            theirs={self.peer: inbox_view(self.state.inbox)},
            drafts=draft_views(self.state.desk, self._terms.policy.status),
            undelivered=tuple(self.state.undelivered),
        )

    def unsealed(self, at: Millis) -> tuple[Unsealed, ...]:
        """Return the payloads that the `BatchClosed` at the same `at`, the very next event, must carry signed."""
        if self.terms is None:
            return ()
        return tuple(departure.unsealed for departure in self._planned(at))

    def handle(self, event: Event) -> tuple[Effect, ...]:
        """Take what happened; return what to do. See `Core.handle`."""
        if not isinstance(event, BatchClosed):
            self._plan = None
        return super().handle(event)

    def _adopt(self, terms: Terms) -> None:
        super()._adopt(terms)
        state = self.state
        self._outbox = Outbox(state.outbox)
        self._inbox = Inbox(state.inbox)
        self._references = References(state.known, terms.epoch)
        self._desk = OfficerRequests(
            state.desk, state.side, terms, self._watch, self._alerts, check=self._check_sayable, say=self._say
        )

    def _epoch_opened(self, turn: Turn, event: EpochOpened) -> None:
        if self.state.side not in {event.terms.caller, event.terms.answering}:
            raise LocalProtocolError("wrong_side", f"{self.state.side} is no party of {event.terms.link}")
        super()._epoch_opened(turn, event)

    def _open_streams(self, turn: Turn, before: Terms | None) -> None:
        state = self.state
        if before is not None:  # SPEC E2.2
            left = undelivered(state.outbox, Reference(state.side, before.epoch, 1))
            state.undelivered = [*state.undelivered, *left][-UNDELIVERED_MAX:]
            if left:
                detail = f"{len(left)} messages of epoch {before.epoch} were not receipted; nobody sends them again"
                subject = _undelivered_subject(before.epoch)
                self._alarms.raise_alarm(turn, AlarmCode.UNDELIVERED, subject, detail=detail)
        ours, theirs = genesis(self._terms, state.side), genesis(self._terms, self.peer)
        # SPEC E2.1
        state.outbox = OutboxState(head=ours, receipted_head=ours)
        state.inbox = InboxState(head=theirs)
        for party in (state.side, self.peer):
            state.known.setdefault(party, KnownState()).known_upto = 0
        self._adopt(self._terms)

    def _alarm_acknowledged(self, turn: Turn, event: AlarmAcknowledged) -> None:
        super()._alarm_acknowledged(turn, event)
        if event.code == AlarmCode.UNDELIVERED:  # an officer has taken it over
            self._alarms.clear(turn, AlarmCode.UNDELIVERED, event.subject)
            self.state.undelivered = [
                item for item in self.state.undelivered if _undelivered_subject(item.reference.epoch) != event.subject
            ]

    # --- sealing --------------------------------------------------------------------------------------------------

    def _planned(self, at: Millis) -> list[Departure]:
        if self._plan is None or self._plan[0] != at:
            claim = self._inbox.claim(at) if self.state.receipt_owed else None
            connected = self.state.connected
            leaving = departures(
                self._terms,
                self._policy_digest,
                self.state.side,
                self.peer,
                runs=self._outbox.next_runs() if connected else (),
                floor=self._outbox.state.receipted,
                claim=claim if connected else None,
            )
            self._plan = (at, leaving)
        return self._plan[1]

    def _check(self, event: Event) -> None:
        if isinstance(event, BatchClosed):
            asked = [departure.unsealed.payload for departure in self._planned(event.at)]
            if asked != [_payload(frame) for frame in event.frames]:
                raise LocalProtocolError("wrong_frames", "the frames do not seal exactly the payloads of this batch")

    def _batch_closed(self, turn: Turn, event: BatchClosed) -> None:
        leaving = self._planned(turn.at)
        self._plan = None
        for departure, frame in zip(leaving, event.frames, strict=True):
            if departure.run:
                self._outbox.sealed(turn, departure.run, frame)
                self._references.known_upto(self.state.side, departure.run[-1].seq)
            turn.emit(departure.seal)
        # on every connect one is owed anyway
        self.state.receipt_owed = False

    def _transport_connected(self, turn: Turn, event: TransportConnected) -> None:
        self._environment.connected(turn, event)
        # SPEC M4.3, R1.3
        self.state.receipt_owed = True
        self._resend_all(turn)

    def _peer_presence_changed(self, turn: Turn, event: PeerPresenceChanged) -> None:
        returned = event.present and not self.state.present.get(event.party, True)
        self._environment.presence_changed(turn, event)
        if returned and self.state.connected:
            self._resend_all(turn)

    def _resend_all(self, turn: Turn) -> None:
        for first in self._outbox.resend_all(turn):
            turn.emit(Resend(first=first))

    def _publish_refused(self, turn: Turn, event: PublishRefused) -> None:
        detail = f"the broker refused a publish: {event.reason} (code {event.code})"
        self._alarms.raise_alarm(turn, AlarmCode.BROKER_UNREACHABLE, f"publish/{event.channel}", detail=detail)

    def _places_tests(self) -> bool:
        return self.state.side == self._terms.caller and self._terms.policy.placed_by == "service"

    def _resend_due_age(self) -> Millis | None:
        return self._outbox.due_age() if self.state.connected else None

    def _deadline_reached(self, turn: Turn, event: DeadlineReached) -> None:
        due_age = self._resend_due_age()
        if due_age is not None and due_age <= turn.age:
            absent = not self.state.present.get(self.peer, True)
            turn.emit(Resend(first=self._outbox.resend_oldest(turn, peer_absent=absent)))
        if self._places_tests():
            slot = self._watch.open_slot(turn.at)
            if slot is not None:
                with suppress(LocalProtocolError):  # no room in the outbox: the slot is missed, and that is the alarm
                    self._desk.place_test(turn, event.nonce, slot)
            self._watch.begun(turn.at, placing=True, tried=slot)
        else:
            super()._deadline_reached(turn, event)

    # --- our own words --------------------------------------------------------------------------------------------

    def _say(self, turn: Turn, body: AnyBody) -> Reference:
        """Put `body` into our stream. Raises LocalProtocolError, and then nothing has changed."""
        news = isinstance(body, Alert) and not is_cancellation(body)
        self._outbox.check_room(reserve=not news and not isinstance(body, Heartbeat))
        if news and self._alarms.active(AlarmCode.SPACE_LOW, "journal"):
            raise LocalProtocolError(
                "space_low", "the journal's disk is nearly full: no new alerts until there is room"
            )
        if isinstance(body, Alert) and not self._alerts.has_room(self.state.side, body):
            raise LocalProtocolError("too_many_open", "too many alerts of ours are open: none is acknowledged")
        self._check_permitted(body)
        message = self._outbox.queue(turn.utc, to_builtins(body))
        turn.emit(Queue(message=message))
        reference = Reference(self.state.side, self._terms.epoch, message.seq)
        self._references.remember(reference, body)
        self._take_effect(turn, reference, body, received=False)
        return reference

    def _check_permitted(self, body: AnyBody) -> None:
        """Raise LocalProtocolError if our side may not say this."""
        try:
            check_body(body, self.state.side, self._terms)
            self._references.check(body, self.state.side, unsent_too=True)
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.reason, error.detail) from error

    def _check_sayable(self, body: AnyBody, beside_bytes: int) -> None:
        """Raise LocalProtocolError if our side may not or cannot say this, with `beside_bytes` to spare."""
        self._check_permitted(body)
        self._outbox.check_size(to_builtins(body), beside_bytes)

    # --- the peer's words -----------------------------------------------------------------------------------------

    def _senders(self) -> tuple[Identifier, ...]:
        return (self.peer,)

    def _take_messages(self, turn: Turn, payload: MessagePayload) -> None:
        # The receipt applies at once, whatever becomes of the messages (SPEC R1.3).
        if payload.receipt is not UNSET:
            self._take_claim(turn, payload.sender, payload.receipt)
        inbox = self._inbox.state
        if inbox.stopped:
            raise RemoteProtocolError(FrameRefusal.DIRECTION_STOPPED, inbox.stopped)
        if payload.floor > inbox.upto:  # SPEC R3.3
            detail = f"{self.peer} holds our receipt up to {payload.floor}, but this journal ends at {inbox.upto}"
            self._stop_inbox(turn, AlarmCode.JOURNAL_BEHIND, detail)
        self.state.receipt_owed = True
        try:
            taken = self._inbox.take(payload.messages)
        except Equivocated as finding:  # SPEC M5.1
            self._stop_inbox(turn, AlarmCode.EQUIVOCATION, f"{self.peer} contradicts itself: {finding}")
        if taken == "too_far_ahead":
            first, last = payload.messages[0].seq, payload.messages[-1].seq
            raise RemoteProtocolError(FrameRefusal.TOO_FAR_AHEAD, f"messages {first} to {last}; at {inbox.upto}")
        while (message := self._inbox.next_message()) is not None:
            self._apply(turn, message)

    def _stop_inbox(self, turn: Turn, code: AlarmCode, detail: str) -> NoReturn:
        """Apply nothing more of the peer in this epoch. The frame stays in the journal as evidence (SPEC M5.2)."""
        self._inbox.state.stopped = code
        self._alarms.raise_alarm(turn, code, self.peer, detail=detail)
        raise RemoteProtocolError(FrameRefusal.DIRECTION_STOPPED, detail)

    def _foreign_terms(self, turn: Turn, sender: Identifier, *, first: bool, receipt: bool) -> None:
        super()._foreign_terms(turn, sender, first=first, receipt=receipt)
        answered = self.state.foreign_answered_age
        rested = answered is None or turn.age - answered >= FOREIGN_ANSWER_MS
        # a receipt is answered once only, or two sides would answer each other for ever
        if rested and (first or not receipt):
            self.state.receipt_owed = True
            self.state.foreign_answered_age = turn.age

    def _take_claim(self, turn: Turn, sender: Identifier, claim: Claim) -> None:
        if self._outbox.state.stopped:
            return
        verdict = self._outbox.judge(claim)
        if verdict == "fork":  # SPEC R3.1
            detail = f"{sender} claims {claim.upto} messages with head {claim.head[:16]}; that is not what was sent"
            self._outbox.state.stopped = AlarmCode.FORK
            self._alarms.raise_alarm(turn, AlarmCode.FORK, sender, detail=detail)
        elif verdict == "news":
            self._check_claim_time(turn, sender, claim)
            covered = self._outbox.settle(claim)
            turn.emit(Settle(upto=claim.upto, head=claim.head))
            self._receipted(turn, self.state.side, covered)
            for channel in ("message", "receipt"):
                self._alarms.clear(turn, AlarmCode.BROKER_UNREACHABLE, f"publish/{channel}")

    def _check_claim_time(self, turn: Turn, sender: Identifier, claim: Claim) -> None:
        """A receipt from before the message was first sent proves that the peer's clock is behind (SPEC M8.3)."""
        sealed_at = parsed(self._outbox.sealed_at(claim.upto))
        self._skew(turn, sender, "behind", sealed_at - parsed(claim.at))

    def _apply(self, turn: Turn, message: Message) -> None:
        """Take the peer's next message: once, in order, and refused or not (SPEC M3.1, M7.1)."""
        self._skew(turn, self.peer, "ahead", parsed(message.at) - turn.at)  # SPEC M8.2
        reference = Reference(self.peer, self._terms.epoch, message.seq)
        self._references.known_upto(self.peer, message.seq)
        try:
            body = read_body(message.body)
            check_body(body, self.peer, self._terms)
            self._references.check(body, self.peer, unsent_too=False)
            self._check_capacity(self.peer, body)
        except RemoteProtocolError as refusal:
            turn.emit(Apply(sender=self.peer, message=message, refused=refusal.reason))
            self._references.remember(reference, None)
            self._refuse(turn, reference, message, refusal)
            return
        turn.emit(Apply(sender=self.peer, message=message))
        self._references.remember(reference, body)
        self._take_effect(turn, reference, body, received=True)
        self._notifications.message(turn, reference, message.body)
        if isinstance(body, Heartbeat) and self._terms.policy.answered_by == "service":  # SPEC B2.2
            self._answer(turn, reference, body)

    def _refuse(self, turn: Turn, reference: Reference, message: Message, refusal: RemoteProtocolError) -> None:
        """Send the service's refusal, but never of a refusal: no loops (SPEC M7.2, M7.3)."""
        if message.body.get("type") == kind_of(Refusal):
            return
        text = {"en": refusal.detail[:REASON_MAX]} if refusal.detail and "en" in self._terms.policy.languages else UNSET
        body = Refusal(of=reference, by="service", reason=MessageRefusal(refusal.reason).value, text=text)
        with suppress(LocalProtocolError):  # no room: the refusal stands in this journal
            self._say(turn, body)

    def _answer(self, turn: Turn, reference: Reference, heartbeat: Heartbeat) -> None:
        policy = self._terms.policy
        answer = HeartbeatAnswer(
            of=reference, language=policy.test_language, text=policy.answer_text, read_back=heartbeat.challenge
        )
        with suppress(LocalProtocolError):  # no room: the test stays unanswered, and that is the alarm
            self._say(turn, answer)

    # --- officers -------------------------------------------------------------------------------------------------

    def _officer_raised_alert(self, turn: Turn, event: OfficerRaisedAlert) -> None:
        raised = self._desk.raise_alert(turn, event)
        if isinstance(raised, int):
            turn.emit(HoldDraft(draft=raised))
            self._done(event, f"draft/{raised}")
        else:
            self._done(event, str(raised))

    def _officer_released(self, turn: Turn, event: OfficerReleased) -> None:
        self._done(event, str(self._desk.release(turn, event)))

    def _officer_answered(self, turn: Turn, event: OfficerAnswered) -> None:
        self._done(event, str(self._desk.answer(turn, event)))

    def _officer_acknowledged(self, turn: Turn, event: OfficerAcknowledged) -> None:
        self._done(event, str(self._desk.acknowledge(turn, event)))

    def _officer_refused(self, turn: Turn, event: OfficerRefused) -> None:
        self._done(event, str(self._desk.refuse(turn, event)))

    def _officer_cancelled(self, turn: Turn, event: OfficerCancelled) -> None:
        cancelled = self._desk.cancel(turn, event)
        self._done(event, f"draft/{cancelled}" if isinstance(cancelled, int) else str(cancelled))

    def _line_test_requested(self, turn: Turn, event: LineTestRequested) -> None:
        self._done(event, str(self._desk.test_line(turn, event)))


def _undelivered_subject(epoch: int) -> str:
    return f"epoch {epoch}"


def _payload(frame: bytes) -> bytes | None:
    """Return a frame's payload, or None if our own shell handed in what is no frame."""
    try:
        return envelope.parse(frame).payload
    except RemoteProtocolError:
        return None
