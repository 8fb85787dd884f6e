"""Defines the types on the wire: frame payloads, messages and their bodies (SPEC M1, M2, R1, B1 to B6).

Every type is strict: while decoding, msgspec refuses unknown fields, wrong types, texts that are too long and integers
beyond 2^53. In `Message`, the body stays a plain canonical value until the message is processed (SPEC M7).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from protocol.phrases import phrase

MESSAGE_TYPE = "application/vnd.deconfliction.message.v1+json"
RECEIPT_TYPE = "application/vnd.deconfliction.receipt.v1+json"
FRAME_MAX_BYTES = 65_536
"""Maximum size of a frame (SPEC F6.1)."""
MESSAGE_MAX_BYTES = 44_000
"""Maximum size of a message, so that a frame of it and a receipt, in base64 and signed by either suite, stays below
65,536 bytes (SPEC F6.2)."""

# SPEC F4.8: the value types
INTEGER_MAX = 2**53 - 1
Count = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Seq = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Utc = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z")]
"""An instant in its written form; the pattern admits month 13, `protocol.wire.instants.parsed` does not."""
Identifier = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z")]
"""The id of a link, party, officer or channel: lower case, digits and hyphens, which are safe in topics and paths."""
Text = Annotated[str, Meta(min_length=1, max_length=4_000)]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2}\Z")]
Texts = Annotated[dict[Language, Text], Meta(min_length=1, max_length=4)]
Word = Annotated[str, Meta(min_length=1, max_length=40)]

Status = Literal["actual", "exercise", "test"]
Precedence = Literal["flash", "immediate", "priority", "routine"]
Category = Literal[
    "critical_infrastructure",
    "stray_munition",
    "airspace_transit",
    "air_pursuit",
    "evacuation_of_nationals",
    "unintended_clash",
    "airspace_operation",
]
Decision = Literal["understood", "acting", "will_reply"]
RefusalReason = Literal[
    "out_of_scope",
    "unintelligible",
    "expired",
    "not_authorised",
    "unsupported",
    "unknown_reference",
    "not_permitted",
]


class Reference(Struct, frozen=True, forbid_unknown_fields=True):
    """A permanent reference to one message: its sender, epoch and number, written `eucom/1/42` (SPEC B6.1)."""

    sender: Identifier
    epoch: Seq
    seq: Seq

    def __str__(self) -> str:
        return f"{self.sender}/{self.epoch}/{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the reference that `text` denotes. Raises ValueError with the expected form."""
        sender, _, rest = text.partition("/")
        epoch, _, seq = rest.partition("/")
        if not (epoch.isascii() and epoch.isdigit() and seq.isascii() and seq.isdigit()):
            raise ValueError(phrase("not a reference of the form eucom/1/42: {text}", text=repr(text[:60])))
        try:
            return msgspec.convert({"sender": sender, "epoch": int(epoch), "seq": int(seq)}, cls)
        except msgspec.ValidationError as error:
            raise ValueError(phrase("not a reference of the form eucom/1/42: {text}", text=repr(text[:60]))) from error


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True):
    """The body of a message: one of the types below, distinguished by `type`."""


class Heartbeat(Body, tag="heartbeat", frozen=True, kw_only=True):
    """A line test (SPEC B1.1), for the scheduled `slot`, or unscheduled if `slot` is absent."""

    status: Status
    language: Language
    text: Text
    challenge: tuple[Word, Word, Word]
    slot: Utc | UnsetType = UNSET


class HeartbeatAnswer(Body, tag="heartbeat_answer", frozen=True, kw_only=True):
    """The answer to a line test (SPEC B2.1), from `officer`, or from the service if `officer` is absent."""

    of: Reference
    language: Language
    text: Text
    read_back: tuple[Word, Word, Word]
    officer: Identifier | UnsetType = UNSET


class Area(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A circle on the ground, in integer micro-degrees and metres (SPEC F4.8)."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    latitude_udeg: Annotated[int, Meta(ge=-90_000_000, le=90_000_000)]
    longitude_udeg: Annotated[int, Meta(ge=-180_000_000, le=180_000_000)]
    radius_m: Annotated[int, Meta(ge=0, le=20_100_000)]


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Marks an alert as a change of an earlier alert of the same sender (SPEC B3.3)."""

    of: Reference
    kind: Literal["update", "correction", "cancellation"]


class Alert(Body, tag="alert", frozen=True, kw_only=True):
    """An alert within the agreed scope (SPEC B3.1)."""

    status: Status
    category: Category
    precedence: Precedence
    event_at: Utc
    expires_at: Utc
    text: Texts
    released_by: Annotated[tuple[Identifier, ...], Meta(min_length=1, max_length=8)]
    area: Area | UnsetType = UNSET
    references: Annotated[tuple[Reference, ...], Meta(max_length=16)] | UnsetType = UNSET
    change: Change | UnsetType = UNSET


class Acknowledgement(Body, tag="acknowledgement", frozen=True, kw_only=True):
    """A duty officer's statement that they have understood, are acting, or will reply (SPEC B4.1)."""

    of: Reference
    officer: Identifier
    decision: Decision
    text: Texts | UnsetType = UNSET


class Refusal(Body, tag="refusal", frozen=True, kw_only=True):
    """A refusal of a message by the service or an officer, optionally with a referral (SPEC B5.1)."""

    of: Reference
    by: Literal["service", "officer"]
    reason: RefusalReason
    officer: Identifier | UnsetType = UNSET
    referral: Identifier | UnsetType = UNSET
    text: Texts | UnsetType = UNSET


AnyBody = Heartbeat | HeartbeatAnswer | Alert | Acknowledgement | Refusal


def references_of(body: AnyBody) -> tuple[Reference, ...]:
    """Return the messages to which `body` refers."""
    match body:
        case HeartbeatAnswer() | Acknowledgement() | Refusal():
            return (body.of,)
        case Alert():
            change = () if body.change is UNSET else (body.change.of,)
            return (*change, *(body.references or ()))
        case _:
            return ()


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """One element of a stream's hash chain (SPEC M2.1). `body` is decoded when it is processed (SPEC M7.1)."""

    seq: Seq
    prev: Digest
    at: Utc
    body: dict[str, Any]


class Claim(Struct, frozen=True, forbid_unknown_fields=True):
    """A receipt's claim: the peer's stream is verified and on disk up to `upto`, whose hash is `head` (SPEC R1.1)."""

    upto: Count
    head: Digest
    at: Utc


class MessagePayload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The payload of a message frame: consecutive messages under one signature (SPEC M1.1)."""

    link: Identifier
    epoch: Seq
    sender: Identifier
    recipient: Identifier
    policy: Digest
    floor: Count
    messages: Annotated[tuple[Message, ...], Meta(min_length=1)]
    receipt: Claim | UnsetType = UNSET


class ReceiptPayload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payload of a receipt frame (SPEC R1.1)."""

    link: Identifier
    epoch: Seq
    sender: Identifier
    recipient: Identifier
    policy: Digest
    upto: Count
    head: Digest
    at: Utc
