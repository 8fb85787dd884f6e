"""What is said on the wire: payloads of frames, messages, and their bodies (SPEC M1, M2, R1, B1 to B6).

Every type is strict: unknown fields, wrong types, over-long texts and integers beyond 2^53 are refused by msgspec
while it decodes. Bodies stay plain canonical values in `Message` until their turn comes (SPEC M7).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

MESSAGE_TYPE = "application/vnd.deconfliction.message.v1+json"
RECEIPT_TYPE = "application/vnd.deconfliction.receipt.v1+json"
FRAME_MAX_BYTES = 65_536
"""A frame's size limit (SPEC F6.1)."""

# SPEC F4.8: the kinds of values
INTEGER_MAX = 2**53 - 1
Count = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Seq = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Utc = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z")]
"""An instant in its written form; `protocol.wire.instants.parsed` refuses what the pattern cannot (month 13)."""
Identifier = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z")]
"""A link, a party, an officer, a channel: lower case, digits and hyphens, so that it is safe in topics and paths."""
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
    """Names one message for ever: whose, in which epoch, which (SPEC B6.1). Written `eucom/1/42`."""

    sender: Identifier
    epoch: Seq
    seq: Seq

    def __str__(self) -> str:
        return f"{self.sender}/{self.epoch}/{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the reference that `text` writes. Raises ValueError with what would be right."""
        sender, _, rest = text.partition("/")
        epoch, _, seq = rest.partition("/")
        if not (epoch.isascii() and epoch.isdigit() and seq.isascii() and seq.isdigit()):
            raise ValueError(f"not a reference of the form eucom/1/42: {text[:60]!r}")
        try:
            return msgspec.convert({"sender": sender, "epoch": int(epoch), "seq": int(seq)}, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"not a reference of the form eucom/1/42: {text[:60]!r}") from error


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True):
    """What a message says: one of the kinds below, told apart by `type`."""


class Heartbeat(Body, tag="heartbeat", frozen=True, kw_only=True):
    """The line test (SPEC B1.1): of a scheduled slot, or unscheduled when `slot` is absent."""

    status: Status
    language: Language
    text: Text
    challenge: tuple[Word, Word, Word]
    slot: Utc | UnsetType = UNSET


class HeartbeatAnswer(Body, tag="heartbeat_answer", frozen=True, kw_only=True):
    """The answer to a line test (SPEC B2.1): by an officer when `officer` is there, else by the service."""

    of: Reference
    language: Language
    text: Text
    read_back: tuple[Word, Word, Word]
    officer: Identifier | UnsetType = UNSET


class Area(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A circle on the ground: integers of micro-degrees and metres (SPEC F4.8)."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    latitude_udeg: Annotated[int, Meta(ge=-90_000_000, le=90_000_000)]
    longitude_udeg: Annotated[int, Meta(ge=-180_000_000, le=180_000_000)]
    radius_m: Annotated[int, Meta(ge=0, le=20_100_000)]


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Says that an alert changes an earlier one of the same sender (SPEC B3.3)."""

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
    """A duty officer's word that he has understood, acts, or will reply (SPEC B4.1)."""

    of: Reference
    officer: Identifier
    decision: Decision
    text: Texts | UnsetType = UNSET


class Refusal(Body, tag="refusal", frozen=True, kw_only=True):
    """A message is refused by the service or an officer, perhaps referred to another channel (SPEC B5.1)."""

    of: Reference
    by: Literal["service", "officer"]
    reason: RefusalReason
    officer: Identifier | UnsetType = UNSET
    referral: Identifier | UnsetType = UNSET
    text: Texts | UnsetType = UNSET


AnyBody = Heartbeat | HeartbeatAnswer | Alert | Acknowledgement | Refusal


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """One link of a stream's hash chain (SPEC M2.1). `body` stays plain values until its turn (SPEC M7.1)."""

    seq: Seq
    prev: Digest
    at: Utc
    body: dict[str, Any]


class Claim(Struct, frozen=True, forbid_unknown_fields=True):
    """What a receipt claims: your stream is verified and on disk up to `upto`, whose hash is `head` (SPEC R1.1)."""

    upto: Count
    head: Digest
    at: Utc


class MessagePayload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The payload of a message frame: a run of messages under one signature (SPEC M1.1)."""

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
