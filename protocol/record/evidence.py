"""Collects from one journal what the other journals of its link can confirm or contradict.

These are the frames that it sealed and received, the versions of messages that they contain or imply, the receipts, and
the times. A frame is a signed statement of its sender: what one journal has received, its sender's journal must have
sealed, payload for payload.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from msgspec import UNSET, Struct, structs

from protocol.core.effects import Apply, Queue
from protocol.core.events import BatchClosed, ClockStepped, FrameReceived, Started
from protocol.errors import RemoteProtocolError
from protocol.record.beginning import Beginning
from protocol.record.forgeries import forgery_named
from protocol.record.journal import Checkpoint, Record
from protocol.record.ledger import Ledger
from protocol.record.zone_data import ZoneData
from protocol.wire import envelope
from protocol.wire.digests import message_digest
from protocol.wire.envelope import PAYLOAD_TYPES, Channel
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Claim, Digest, Identifier, MessagePayload, ReceiptPayload, Reference, Utc
from protocol.wire.payloads import read_message_payload, read_receipt_payload
from protocol.wire.refusals import VERIFIED

CLOCK_TOLERANCE_MS: Millis = 1_000
"""How far a clock may go back between two records without a `ClockStepped`: the services report steps above 0.5 s."""


class Sighting(Struct, frozen=True, order=True):
    """The record of a journal that something is in, and its time by that journal's clock."""

    journal: str
    record: int
    at: Utc


class SignedReceipt(Struct, frozen=True, kw_only=True):
    """A receipt of `signer` for messages of `party` up to `upto`, the hash of the last, and the time that it claims."""

    signer: Identifier
    party: Identifier
    epoch: int
    upto: int
    head: Digest
    at: Millis
    seen: Sighting

    @property
    def last(self) -> Reference:
        """The last message that it covers."""
        return Reference(self.party, self.epoch, self.upto)


class HeldFrame(Struct, frozen=True, kw_only=True):
    """A verified frame that a journal has received.

    Attributes:
        signer: the party whose key signed it.
        channel: its channel.
        digest: of its payload.
        seen: the record that it is in.
        messages: its messages.
        receipt: its receipt, None if it has none.
        unreadable: why its payload could not be read, or an empty string.
    """

    signer: Identifier
    channel: Channel
    digest: bytes
    seen: Sighting
    messages: tuple[Reference, ...] = ()
    receipt: SignedReceipt | None = None
    unreadable: str = ""


class Evidence:
    """What one journal contributes to a comparison, collected record by record.

    Attributes:
        ledger: its history.
        beginning: what a journal knows that begins at a checkpoint; None for a whole one.
        sealed: the record of each payload that this side sealed, by channel and digest.
        held: the verified frames that this journal has received, refused ones included, repeats left out.
        versions: of each message, the digests that messages, receipts and checkpoints give it, with their first record.
        receipts: signed receipts in frames of either direction.
        queued, applied: where each of our messages was queued, and each of the peer's was applied first.
        falls: pairs of records between which the clock went back without an event that explains it.
        first, end: its first and its last record, None before the first.
    """

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.zone_data = ZoneData()
        self.beginning: Beginning | None = None
        self.sealed: dict[tuple[Channel, bytes], Sighting] = {}
        self.held: list[HeldFrame] = []
        self.versions: dict[Reference, dict[Digest, Sighting]] = {}
        self.receipts: list[SignedReceipt] = []
        self.queued: dict[Reference, Sighting] = {}
        self.applied: dict[Reference, Sighting] = {}
        self.falls: list[tuple[Sighting, Sighting]] = []
        self.first: Sighting | None = None
        self.end: Sighting | None = None
        self._seen: set[tuple[str, Channel, bytes]] = set()
        self._before: tuple[int, Millis] | None = None
        # where the clock went back in this batch, and how much of that no step explains
        self._fall: tuple[Sighting, Sighting] | None = None
        self._unexplained: Millis = 0
        # records at which the wall clock went back, and by how much
        self._steps: list[tuple[int, Millis]] = []

    @property
    def side(self) -> str:
        """Whose journal it is."""
        return self.ledger.side

    def take(self, record: Record) -> None:
        """Take the next record. Raises JournalError for one whose terms or effects no link could have written."""
        with forgery_named(record):
            self._take(record)

    def _take(self, record: Record) -> None:
        first = not self.ledger.side
        self.ledger.take(record)
        self.zone_data.take(record)
        entry, seen = record.entry, Sighting(record.side, record.n, written(record.entry.at))
        if first and isinstance(entry, Checkpoint):
            self._begin(Beginning.of(record, entry), seen)
        self.first, self.end = self.first or seen, seen
        self._time(record, seen)
        if isinstance(entry, BatchClosed):
            for frame in entry.frames:
                self._own(frame, seen)
        elif isinstance(entry, FrameReceived) and entry.verdict == VERIFIED:
            self._received(entry, seen)
        for effect in record.effects:
            if isinstance(effect, Queue):
                self.queued[Reference(record.side, self.ledger.epoch, effect.message.seq)] = seen
            elif isinstance(effect, Apply):
                self.applied.setdefault(Reference(effect.sender, self.ledger.epoch, effect.message.seq), seen)

    def covers(self, reference: Reference) -> bool:
        """Return whether this journal begins after the message, so that it need not contain it."""
        return self.beginning is not None and self.beginning.covers(reference)

    def stepped_back(self, after: int, upto: int) -> Millis:
        """Return by how much the clock was set back in the records after `after`, up to `upto`."""
        return sum(by for record, by in self._steps if after < record <= upto)

    # --- internal -------------------------------------------------------------------------------------------------

    def _begin(self, beginning: Beginning, seen: Sighting) -> None:
        self.beginning = beginning
        for party, (upto, head) in beginning.streams.items():
            if upto:
                self._version(Reference(party, beginning.epoch, upto), head, seen)
        for frame in beginning.sealed:
            self._own(frame, seen)

    def _time(self, record: Record, seen: Sighting) -> None:
        """Note when the clock goes back, unless the same batch explains it: by steps as large, or by a start."""
        at, entry = record.entry.at, record.entry
        if self._before is not None and at < self._before[1] - CLOCK_TOLERANCE_MS:
            n, before = self._before
            self._fall = self._fall or (Sighting(record.side, n, written(before)), seen)
            self._unexplained += before - at
        self._before = record.n, at
        if isinstance(entry, ClockStepped) and entry.step_ms < 0:
            self._steps.append((record.n, -entry.step_ms))
            self._unexplained += entry.step_ms
        elif isinstance(entry, Started):
            # while no service ran, the clock may have been set to anything
            self._steps.append((record.n, max(self._unexplained, 0)))
            self._fall, self._unexplained = None, 0
        elif isinstance(entry, BatchClosed):
            if self._fall is not None and self._unexplained > CLOCK_TOLERANCE_MS:
                self.falls.append(self._fall)
            self._fall, self._unexplained = None, 0

    def _own(self, frame: bytes, seen: Sighting) -> None:
        try:
            opened = envelope.parse(frame)
        except RemoteProtocolError:
            return
        channel: Channel = "receipt" if opened.payload_type == PAYLOAD_TYPES["receipt"] else "message"
        digest = sha256(opened.payload).digest()
        if (channel, digest) not in self.sealed:
            self.sealed[channel, digest] = seen
            self._content(HeldFrame(signer=self.side, channel=channel, digest=digest, seen=seen), opened.payload)

    def _received(self, event: FrameReceived, seen: Sighting) -> None:
        try:
            payload = envelope.parse(event.frame).payload
        except RemoteProtocolError:
            # a false verdict, which the audit names
            return
        digest = sha256(payload).digest()
        if (event.sender, event.channel, digest) in self._seen:
            return
        self._seen.add((event.sender, event.channel, digest))
        frame = HeldFrame(signer=event.sender, channel=event.channel, digest=digest, seen=seen)
        if (read := self._content(frame, payload)) is not None:
            self.held.append(read)

    def _content(self, frame: HeldFrame, payload: bytes) -> HeldFrame | None:
        """Note the versions of messages and the receipt in a payload; return the frame with its content.

        Returns None for a frame of another link, whose key is enrolled here too.
        """
        signer, channel, seen = frame.signer, frame.channel, frame.seen
        try:
            read: MessagePayload | ReceiptPayload
            read = read_message_payload(payload) if channel == "message" else read_receipt_payload(payload)
        except RemoteProtocolError as error:
            return structs.replace(frame, unreadable=error.reason)
        if read.link != self.ledger.link:
            return None
        if isinstance(read, ReceiptPayload):
            receipt = self._receipt(signer, read, Claim(read.upto, read.head, read.at), seen)
            return structs.replace(frame, receipt=receipt)
        references = tuple(Reference(signer, read.epoch, message.seq) for message in read.messages)
        first = read.messages[0]
        if first.seq > 1:
            self._version(Reference(signer, read.epoch, first.seq - 1), first.prev, seen)
        for reference, message in zip(references, read.messages, strict=True):
            self._version(reference, message_digest(message), seen)
        riding = None if read.receipt is UNSET else self._receipt(signer, read, read.receipt, seen)
        return structs.replace(frame, messages=references, receipt=riding)

    def _receipt(
        self, signer: str, payload: MessagePayload | ReceiptPayload, claim: Claim, seen: Sighting
    ) -> SignedReceipt:
        receipt = SignedReceipt(
            signer=signer,
            party=payload.recipient,
            epoch=payload.epoch,
            upto=claim.upto,
            head=claim.head,
            at=parsed(claim.at),
            seen=seen,
        )
        self.receipts.append(receipt)
        if claim.upto:
            self._version(receipt.last, claim.head, seen)
        return receipt

    def _version(self, reference: Reference, digest: Digest, seen: Sighting) -> None:
        self.versions.setdefault(reference, {}).setdefault(digest, seen)


def evidence_of(records: Iterable[Record]) -> Evidence:
    """Return the evidence in the records of a whole journal."""
    evidence = Evidence()
    for record in records:
        evidence.take(record)
    return evidence
