"""What to do: effects, imperatives, the core's only output. They are performed after their record is on disk."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from protocol.core.alarms import Alarm, AlarmCode
from protocol.wire.messages import Count, Digest, Message, Reference, Seq


class Effect(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="effect",
    tag=True,
):
    """Something to be done."""


class Queue(Effect, frozen=True, kw_only=True):
    """A message of our own joined the stream: it has its place from now on, and is never taken back."""

    message: Message


class HoldDraft(Effect, frozen=True, kw_only=True):
    """An alert waits for a second officer (SPEC P1)."""

    draft: Seq


class Seal(Effect, frozen=True, kw_only=True):
    """Publish the frame at `index` of this `BatchClosed`: messages `first` to `last`, or a receipt alone."""

    index: Count
    channel: Literal["message", "receipt"]
    first: Seq | UnsetType = UNSET
    last: Seq | UnsetType = UNSET
    # the claim that it carries
    upto: Count | UnsetType = UNSET


class Resend(Effect, frozen=True, kw_only=True):
    """Publish once more the very bytes of the unreceipted frame that begins with message `first` (SPEC M4)."""

    first: Seq


class Apply(Effect, frozen=True, kw_only=True):
    """A message of the peer was applied: exactly once and in order (SPEC M3), or refused in its turn (SPEC M7)."""

    sender: str
    message: Message
    # why it has no effect, if it has none
    refused: str | UnsetType = UNSET


class Settle(Effect, frozen=True, kw_only=True):
    """The peer's receipt covers our stream up to `upto`: the outbox lets go of it."""

    upto: Count
    head: Digest


class RejectFrame(Effect, frozen=True, kw_only=True):
    """The frame of this event is refused and consumes nothing (SPEC M6)."""

    reason: str
    detail: str = ""


class RaiseAlarm(Effect, frozen=True, kw_only=True):
    """An alarm is raised, or raised anew after it had been cleared."""

    alarm: Alarm


class ClearAlarm(Effect, frozen=True, kw_only=True):
    """What the alarm stands for is over. It stays until it is acknowledged too (SPEC W4)."""

    code: AlarmCode
    subject: str


class Notify(Effect, frozen=True, kw_only=True):
    """Tell the duty officer. At least once, under a stable id, until `NotificationDone`.

    `kind` says which of the others is there: `alarm` -> `alarm`; `message` -> `reference` and `body`: an alert, a line
    test to be answered, an answer, an acknowledgement, a refusal.
    """

    id: str
    kind: Literal["alarm", "message"]
    alarm: Alarm | UnsetType = UNSET
    reference: Reference | UnsetType = UNSET
    body: dict[str, Any] | UnsetType = UNSET


AnyEffect = Queue | HoldDraft | Seal | Resend | Apply | Settle | RejectFrame | RaiseAlarm | ClearAlarm | Notify
