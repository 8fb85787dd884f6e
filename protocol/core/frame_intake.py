"""Reads verified frames, checks their address and terms, and refuses what does not belong here (SPEC F3.7, E3, M6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import UNSET, Struct

from protocol.core.alarms import AlarmCode
from protocol.core.books import Books
from protocol.core.deadlines import Turn
from protocol.core.effects import RejectFrame
from protocol.core.epoch import Epoch
from protocol.core.events import FrameReceived
from protocol.errors import RemoteProtocolError
from protocol.phrases import phrase
from protocol.wire import envelope
from protocol.wire.messages import Claim, Identifier, MessagePayload, ReceiptPayload
from protocol.wire.payloads import read_message_payload, read_receipt_payload
from protocol.wire.refusals import STALE_RECEIPT, VERIFIED, FrameRefusal


class ForeignTermsError(RemoteProtocolError):
    """A validly signed frame is of another epoch or policy (SPEC E3).

    Attributes:
        first: whether no `policy_mismatch` of its sender was active before it.
    """

    def __init__(self, reason: str, detail: str, *, first: bool) -> None:
        super().__init__(reason, detail)
        self.first = first


class FrameContent(Struct, frozen=True):
    """What a frame carries: messages, a receipt, or both."""

    sender: Identifier
    claim: Claim | None
    run: MessagePayload | None


class FrameIntake:
    """Reads the frames of `senders` in one epoch."""

    def __init__(self, epoch: Epoch, senders: tuple[Identifier, ...], books: Books) -> None:
        self._epoch = epoch
        self._senders = senders
        self._books = books

    def read(self, turn: Turn, event: FrameReceived) -> FrameContent:
        """Return what a frame carries.

        Raises RemoteProtocolError for a frame that must be refused; ForeignTermsError for one of other terms.
        """
        payload = _verified_payload(event)
        self._check_parties(event, payload)
        alarms, sender = self._books.alarms, payload.sender
        if foreign := self._foreign(payload):
            detail = phrase(
                "{sender} speaks epoch {epoch}, policy {policy}; here it is epoch {own_epoch}, policy {own_policy}",
                sender=sender,
                epoch=payload.epoch,
                policy=payload.policy[:16],
                own_epoch=self._epoch.terms.epoch,
                own_policy=self._epoch.policy_digest[:16],
            )
            first = not alarms.active(AlarmCode.POLICY_MISMATCH, sender)
            alarms.raise_alarm(turn, AlarmCode.POLICY_MISMATCH, sender, detail=detail)
            raise ForeignTermsError(foreign, detail, first=first)
        alarms.clear(turn, AlarmCode.POLICY_MISMATCH, sender)
        return _content(payload)

    def redundant(
        self,
        event: FrameReceived,
        claim_is_news: Callable[[Identifier, Claim], bool],
        redundant_run: Callable[[MessagePayload], str],
    ) -> str:
        """Return why a frame would change neither stream: the reason of its refusal, or what makes it redundant.

        Args:
            event: the frame.
            claim_is_news: returns whether a receipt of this sender would change anything.
            redundant_run: returns why messages would change nothing, an empty string if they would.
        """
        try:
            payload = _verified_payload(event)
            self._check_parties(event, payload)
        except RemoteProtocolError as refusal:
            return refusal.reason
        if foreign := self._foreign(payload):
            return foreign
        content = _content(payload)
        if content.claim is not None and claim_is_news(content.sender, content.claim):
            return ""
        return STALE_RECEIPT if content.run is None else redundant_run(content.run)

    def reject(self, turn: Turn, event: FrameReceived, refusal: RemoteProtocolError) -> None:
        """Refuse a frame: it consumes nothing (SPEC M6.1)."""
        turn.emit(RejectFrame(reason=refusal.reason, detail=str(refusal.detail)))
        self._books.environment.refused(turn, event.sender, refusal)

    def _check_parties(self, event: FrameReceived, payload: MessagePayload | ReceiptPayload) -> None:
        """Check that a verified payload is of this link, sender and recipient (SPEC F3.7)."""
        if payload.link != self._epoch.terms.link:
            raise RemoteProtocolError(FrameRefusal.WRONG_LINK, payload.link)
        if payload.sender != event.sender or payload.sender not in self._senders:
            raise RemoteProtocolError(FrameRefusal.WRONG_SENDER, payload.sender)
        if payload.recipient != self._epoch.other(payload.sender):
            raise RemoteProtocolError(FrameRefusal.WRONG_RECIPIENT, payload.recipient)

    def _foreign(self, payload: MessagePayload | ReceiptPayload) -> FrameRefusal | Literal[""]:
        """Return the reason of refusal if a payload is of another epoch or policy, else an empty string (SPEC E3)."""
        if payload.epoch != self._epoch.terms.epoch:
            return FrameRefusal.WRONG_EPOCH
        return FrameRefusal.WRONG_POLICY if payload.policy != self._epoch.policy_digest else ""


def _verified_payload(event: FrameReceived) -> MessagePayload | ReceiptPayload:
    """Return the payload of a verified frame. Raises RemoteProtocolError for any other frame."""
    if event.verdict != VERIFIED:
        raise RemoteProtocolError(event.verdict)
    payload = envelope.parse(event.frame).payload
    return read_receipt_payload(payload) if event.channel == "receipt" else read_message_payload(payload)


def _content(payload: MessagePayload | ReceiptPayload) -> FrameContent:
    if isinstance(payload, ReceiptPayload):
        return FrameContent(payload.sender, Claim(payload.upto, payload.head, payload.at), None)
    return FrameContent(payload.sender, None if payload.receipt is UNSET else payload.receipt, payload)
