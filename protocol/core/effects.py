"""Effects: the core's only output. The shell performs them after their record is on disk."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from protocol.core.alarms import Alarm, AlarmCode
from protocol.wire.messages import Count, Digest, Message, Reference, Seq, Utc


class Effect(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="effect",
    tag=True,
):
    """An action for the shell."""


class Queue(Effect, frozen=True, kw_only=True):
    """Append a message to our own stream. Its place in the stream is final."""

    message: Message


class HoldDraft(Effect, frozen=True, kw_only=True):
    """Hold an alert until a second officer releases it (SPEC P1)."""

    draft: Seq


class ExpireDraft(Effect, frozen=True, kw_only=True):
    """Record that the alert of a draft expired before a second officer released it (SPEC P1.6)."""

    draft: Seq


class Seal(Effect, frozen=True, kw_only=True):
    """Publish the frame at `index` of this `BatchClosed`: messages `first` to `last`, or a receipt alone."""

    index: Count
    channel: Literal["message", "receipt"]
    first: Seq | UnsetType = UNSET
    last: Seq | UnsetType = UNSET
    # how many of the peer's messages the receipt in it covers
    upto: Count | UnsetType = UNSET


class Resend(Effect, frozen=True, kw_only=True):
    """Publish the identical bytes of the unreceipted frame that begins with message `first` again (SPEC M4)."""

    first: Seq


class Apply(Effect, frozen=True, kw_only=True):
    """Record that a message of the peer was applied (SPEC M3), or refused in its place (SPEC M7)."""

    sender: str
    message: Message
    # the reason, if it was refused
    refused: str | UnsetType = UNSET


class Settle(Effect, frozen=True, kw_only=True):
    """Record that the peer's receipt covers our stream up to `upto`; the outbox discards those messages."""

    upto: Count
    head: Digest


class RejectFrame(Effect, frozen=True, kw_only=True):
    """Refuse the frame of this event: it consumes no place in a stream (SPEC M6)."""

    reason: str
    detail: str = ""


class RaiseAlarm(Effect, frozen=True, kw_only=True):
    """Raise an alarm, perhaps one that was raised and cleared before."""

    alarm: Alarm


class ClearAlarm(Effect, frozen=True, kw_only=True):
    """Clear an alarm: its cause is over. It stays listed until it is acknowledged too (SPEC W4)."""

    code: AlarmCode
    subject: str


class Notify(Effect, frozen=True, kw_only=True):
    """Notify the duty officer, at least once and under a stable id, until `NotificationDone`.

    `kind` names the fields that are set. For `alarm`: `alarm`, which may be cleared meanwhile, and `repeat`. For
    `message`, an alert, a line test to answer, an answer, an acknowledgement or a refusal: the reference, the body and
    its times, which records of rules 2 lack. For `slot`, a line test that an officer has to place: `slot`, `until` and
    `repeat`.
    """

    id: str
    kind: Literal["alarm", "message", "slot"]
    alarm: Alarm | UnsetType = UNSET
    reference: Reference | UnsetType = UNSET
    body: dict[str, Any] | UnsetType = UNSET
    # the message's `at`, by its sender's clock, and when it was applied here
    sent_at: Utc | UnsetType = UNSET
    received_at: Utc | UnsetType = UNSET
    # the slot that has opened, and the end of its grace
    slot: Utc | UnsetType = UNSET
    until: Utc | UnsetType = UNSET
    # how often the same was notified before; of an alarm, and of a slot
    repeat: Count = 0


AnyEffect = (
    Queue | HoldDraft | ExpireDraft | Seal | Resend | Apply | Settle | RejectFrame | RaiseAlarm | ClearAlarm | Notify
)
