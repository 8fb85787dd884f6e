"""The peer's stream at our side: applies its messages in order, and answers or refuses them (SPEC M3, M5, M7)."""

from __future__ import annotations

from contextlib import suppress
from typing import NoReturn

from msgspec import UNSET

from protocol.core.alarms import AlarmCode
from protocol.core.books import Books
from protocol.core.deadlines import Turn
from protocol.core.effects import Apply
from protocol.core.epoch import Epoch
from protocol.core.link_state import LinkState
from protocol.core.own_stream import OwnStream
from protocol.core.references import References, kind_of
from protocol.core.rules import read_message
from protocol.core.stream import Equivocated, Inbox
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.phrases import phrase
from protocol.wire.messages import Heartbeat, HeartbeatAnswer, Message, MessagePayload, Reference, Refusal
from protocol.wire.refusals import FrameRefusal, MessageRefusal

REASON_MAX = 400
"""Characters of the reason in a refusal that the service sends."""


class PeerStream:
    """The messages of the peer in one epoch."""

    def __init__(
        self, state: LinkState, inbox: Inbox, own: OwnStream, references: References, epoch: Epoch, books: Books
    ) -> None:
        self._state = state
        self._peer = epoch.other(state.side)
        self._inbox = inbox
        self._own = own
        self._references = references
        self._epoch = epoch
        self._alarms = books.alarms
        self._notifications = books.notifications

    def redundant(self, payload: MessagePayload) -> str:
        """Return why `take` would change nothing for a frame, an empty string if it would."""
        inbox = self._inbox.state
        if inbox.stopped:
            return FrameRefusal.DIRECTION_STOPPED
        if payload.floor > inbox.upto:
            return ""
        return self._inbox.redundant(payload.messages, self._epoch.clocks.state.floors.get(self._peer, 0))

    def take(self, turn: Turn, payload: MessagePayload) -> None:
        """Take a frame's messages and apply all that are next in order.

        Raises RemoteProtocolError if the direction has stopped, or the messages are too far ahead of a gap.
        """
        inbox = self._inbox.state
        if inbox.stopped:
            raise RemoteProtocolError(FrameRefusal.DIRECTION_STOPPED, inbox.stopped)
        if payload.floor > inbox.upto:  # SPEC R3.3
            detail = phrase(
                "{peer} holds our receipt up to {floor}, but this journal ends at {upto}",
                peer=self._peer,
                floor=payload.floor,
                upto=inbox.upto,
            )
            self._stop(turn, AlarmCode.JOURNAL_BEHIND, detail)
        self._state.receipt_owed = True
        self._epoch.clocks.floor(turn, payload, inbox.upto)
        try:
            taken = self._inbox.take(payload.messages)
        except Equivocated as finding:  # SPEC M5.1
            detail = phrase("{sender} contradicts itself: {finding}", sender=self._peer, finding=finding)
            self._stop(turn, AlarmCode.EQUIVOCATION, detail)
        if taken == "too_far_ahead":
            first, last = payload.messages[0].seq, payload.messages[-1].seq
            detail = phrase("messages {first} to {last}; at {upto}", first=first, last=last, upto=inbox.upto)
            raise RemoteProtocolError(FrameRefusal.TOO_FAR_AHEAD, detail)
        while (message := self._inbox.next_message()) is not None:
            self._apply(turn, message)

    def _stop(self, turn: Turn, code: AlarmCode, detail: str) -> NoReturn:
        """Stop this direction for the rest of the epoch. The frame stays in the journal as evidence (SPEC M5.2)."""
        self._inbox.state.stopped = code
        self._alarms.raise_alarm(turn, code, self._peer, detail=detail)
        raise RemoteProtocolError(FrameRefusal.DIRECTION_STOPPED, detail)

    def _apply(self, turn: Turn, message: Message) -> None:
        """Apply or refuse the next message, exactly once and in order (SPEC M3.1, M7.1)."""
        peer, terms = self._peer, self._epoch.terms
        reference = Reference(peer, terms.epoch, message.seq)
        self._epoch.clocks.applied(turn, reference, message)
        self._references.known_upto(peer, message.seq)
        try:
            body = read_message(message, peer, terms)
            self._references.check(body, peer, unsent_too=False)
            self._epoch.check_capacity(peer, body)
        except RemoteProtocolError as refusal:
            turn.emit(Apply(sender=peer, message=message, refused=refusal.reason))
            self._references.remember(reference, None)
            self._refuse(turn, reference, message, refusal)
            return
        turn.emit(Apply(sender=peer, message=message))
        self._epoch.clocks.referred(turn, reference, message, body)
        self._references.remember(reference, body)
        self._references.note_change(body)
        self._epoch.apply(turn, reference, body, message.at, received=True)
        self._notifications.message(turn, reference, message)
        if isinstance(body, Heartbeat) and terms.policy.answered_by == "service":  # SPEC B2.2
            self._answer(turn, reference, body)

    def _refuse(self, turn: Turn, reference: Reference, message: Message, refusal: RemoteProtocolError) -> None:
        """Send the service's refusal, except of a refusal, which would loop (SPEC M7.2, M7.3)."""
        if message.body.get("type") == kind_of(Refusal):
            return
        english = refusal.detail and "en" in self._epoch.terms.policy.languages
        text = {"en": refusal.detail[:REASON_MAX]} if english else UNSET
        body = Refusal(of=reference, by="service", reason=MessageRefusal(refusal.reason).value, text=text)
        with suppress(LocalProtocolError):  # no room in the outbox: this journal records the refusal
            self._own.say(turn, body)

    def _answer(self, turn: Turn, reference: Reference, heartbeat: Heartbeat) -> None:
        policy = self._epoch.terms.policy
        answer = HeartbeatAnswer(
            of=reference,
            language=policy.test_language,
            text=self._state.words.answer_of(policy),
            read_back=heartbeat.challenge,
        )
        with suppress(LocalProtocolError):  # no room in the outbox: the unanswered test raises its own alarm
            self._own.say(turn, answer)
