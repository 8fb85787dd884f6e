"""Reads verified frames, checks their address and terms, and refuses what does not belong here (SPEC F3.7, E3, M6)."""

from __future__ import annotations

from msgspec import UNSET, Struct

from protocol.core.alarms import AlarmCode
from protocol.core.books import Books
from protocol.core.deadlines import Turn
from protocol.core.effects import RejectFrame
from protocol.core.epoch import Epoch
from protocol.core.events import FrameReceived
from protocol.errors import RemoteProtocolError
from protocol.wire import envelope
from protocol.wire.messages import Claim, Identifier, MessagePayload, ReceiptPayload
from protocol.wire.payloads import read_message_payload, read_receipt_payload
from protocol.wire.refusals import VERIFIED, FrameRefusal


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
        if event.verdict != VERIFIED:
            raise RemoteProtocolError(event.verdict)
        payload = envelope.parse(event.frame).payload
        if event.channel == "receipt":
            receipt = read_receipt_payload(payload)
            self._check_address(turn, event, receipt)
            return FrameContent(receipt.sender, Claim(receipt.upto, receipt.head, receipt.at), None)
        run = read_message_payload(payload)
        self._check_address(turn, event, run)
        return FrameContent(run.sender, None if run.receipt is UNSET else run.receipt, run)

    def reject(self, turn: Turn, event: FrameReceived, refusal: RemoteProtocolError) -> None:
        """Refuse a frame: it consumes nothing (SPEC M6.1)."""
        turn.emit(RejectFrame(reason=refusal.reason, detail=refusal.detail))
        self._books.environment.refused(turn, event.sender, refusal)

    def _check_address(self, turn: Turn, event: FrameReceived, payload: MessagePayload | ReceiptPayload) -> None:
        """Check that a verified payload is of this link, epoch, sender, recipient and policy (SPEC F3.7)."""
        terms, digest, alarms = self._epoch.terms, self._epoch.policy_digest, self._books.alarms
        if payload.link != terms.link:
            raise RemoteProtocolError(FrameRefusal.WRONG_LINK, payload.link)
        if payload.sender != event.sender or payload.sender not in self._senders:
            raise RemoteProtocolError(FrameRefusal.WRONG_SENDER, payload.sender)
        if payload.recipient != self._epoch.other(payload.sender):
            raise RemoteProtocolError(FrameRefusal.WRONG_RECIPIENT, payload.recipient)
        if payload.epoch == terms.epoch and payload.policy == digest:
            alarms.clear(turn, AlarmCode.POLICY_MISMATCH, payload.sender)
            return
        detail = f"{payload.sender} speaks epoch {payload.epoch}, policy {payload.policy[:16]}; "
        detail += f"here it is epoch {terms.epoch}, policy {digest[:16]}"
        first = not alarms.active(AlarmCode.POLICY_MISMATCH, payload.sender)
        alarms.raise_alarm(turn, AlarmCode.POLICY_MISMATCH, payload.sender, detail=detail)
        wrong = FrameRefusal.WRONG_EPOCH if payload.epoch != terms.epoch else FrameRefusal.WRONG_POLICY
        raise ForeignTermsError(wrong, detail, first=first)
