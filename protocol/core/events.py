"""What happened: events, past-tense nouns, the core's only input.

Every event carries `at` (UTC, milliseconds since 1970) and `mono` (milliseconds of a clock that counts through
sleep and never steps). Other instants inside are in their written form, for those who read the journal.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from protocol.wire.messages import (
    Area,
    Category,
    Count,
    Decision,
    Identifier,
    Precedence,
    Reference,
    RefusalReason,
    Seq,
    Status,
    Text,
    Texts,
    Utc,
    Word,
)
from protocol.wire.policy import EnrolledKey, Terms


class Event(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="event",
    tag=True,
):
    """Something that happened at `at`/`mono`."""

    at: int
    mono: int


# --- the service's own life ---------------------------------------------------------------------------------------


class EpochOpened(Event, frozen=True, kw_only=True):
    """The service found these terms in the link file and they are new to the journal (SPEC E1, E2)."""

    terms: Terms


class KeysEnrolled(Event, frozen=True, kw_only=True):
    """The link file's keys, by party: what an audit of this journal verifies frames with."""

    keys: dict[Identifier, tuple[EnrolledKey, ...]]


class Started(Event, frozen=True, kw_only=True):
    """The service came up. `slots` are the instants planned from the last record's time on (SPEC W5)."""

    software: str
    slots: tuple[Utc, ...]
    # slots are complete up to here
    slots_until: Utc
    # the version of the time zone database that they were computed with
    tzdata: str


class Stopped(Event, frozen=True, kw_only=True):
    """The service is about to stop cleanly."""


class Resumed(Event, frozen=True, kw_only=True):
    """The machine or the process slept, or stood still, since `since`: the watch was blind (SPEC W5)."""

    since: Utc


class SlotsPlanned(Event, frozen=True, kw_only=True):
    """More slots were computed: all up to `slots_until`."""

    slots: tuple[Utc, ...]
    slots_until: Utc
    tzdata: str


class ClockStepped(Event, frozen=True, kw_only=True):
    """The wall clock moved against the monotonic one, by `step_ms` (forward positive). `at` is after the step."""

    step_ms: int


class DeadlineReached(Event, frozen=True, kw_only=True):
    """The instant that `next_deadline()` named has come."""

    # eight drawn bytes, hexadecimal: the words of a line test that may be placed now
    nonce: str


class BatchClosed(Event, frozen=True, kw_only=True):
    """A batch ends: the frames, sealed by the shell, of exactly the payloads that `unsealed()` asked for."""

    frames: tuple[bytes, ...] = ()


class SpaceLow(Event, frozen=True, kw_only=True):
    """The journal's disk is nearly full: new alerts are refused from now on."""

    free_bytes: Count


class SpaceOk(Event, frozen=True, kw_only=True):
    """There is room again."""

    free_bytes: Count


class NotificationDone(Event, frozen=True, kw_only=True):
    """A notification has reached everyone whom the settings name, or was given up after its last try."""

    id: str
    delivered: bool


# --- the broker and the peer --------------------------------------------------------------------------------------


class TransportConnected(Event, frozen=True, kw_only=True):
    """The broker has accepted the session and the subscriptions."""


class TransportLost(Event, frozen=True, kw_only=True):
    """The connection to the broker is gone, or the attempt failed the first time."""

    reason: str


class IdentityTakenOver(Event, frozen=True, kw_only=True):
    """Somebody else connected to the broker with this endpoint's certificate, repeatedly."""

    times: Count


class PublishRefused(Event, frozen=True, kw_only=True):
    """The broker refused a publish of ours with this MQTT 5 reason code."""

    channel: Literal["message", "receipt"]
    code: int
    reason: str


class FrameReceived(Event, frozen=True, kw_only=True):
    """A frame arrived; the shell has judged its signature (SPEC F3) and says so in `verdict`."""

    channel: Literal["message", "receipt"]
    # the party whom the topic names
    sender: Identifier
    # at most FRAME_MAX_BYTES + 1 of its bytes
    frame: bytes
    # `verified`, or the reason of refusal
    verdict: str


class FramesSuppressed(Event, frozen=True, kw_only=True):
    """`count` more frames were refused for `reason` than the journal takes in (SPEC M6.2)."""

    reason: str
    count: Count


class PeerPresenceChanged(Event, frozen=True, kw_only=True):
    """A party's presence topic changed: a hint, never evidence (SPEC W3)."""

    party: Identifier
    present: bool


# --- officers -----------------------------------------------------------------------------------------------------


class Request(Event, frozen=True, kw_only=True):
    """A request over the control socket. Repeating one with the same `request` id changes nothing."""

    request: str


class OfficerRaisedAlert(Request, frozen=True, kw_only=True):
    """An officer wrote an alert. Under four eyes it waits as a draft (SPEC P1)."""

    officer: Identifier
    # the policy's if absent
    status: Status | UnsetType = UNSET
    category: Category
    precedence: Precedence
    event_at: Utc
    expires_at: Utc
    text: Texts
    area: Area | UnsetType = UNSET
    references: tuple[Reference, ...] = ()
    # an update or a correction of an earlier alert of our own
    changes: Reference | UnsetType = UNSET
    change_kind: Literal["update", "correction"] | UnsetType = UNSET
    # the text of the cancellation that is prepared with it; a standing text if absent
    cancellation: Texts | UnsetType = UNSET


class OfficerReleased(Request, frozen=True, kw_only=True):
    """A second officer released draft `draft`."""

    officer: Identifier
    draft: Seq


class OfficerAnswered(Request, frozen=True, kw_only=True):
    """The duty officer answered a line test and retyped its three words (SPEC B2)."""

    officer: Identifier
    of: Reference
    read_back: tuple[Word, Word, Word]
    text: Text | UnsetType = UNSET


class OfficerAcknowledged(Request, frozen=True, kw_only=True):
    """The duty officer acknowledged an alert (SPEC B4)."""

    officer: Identifier
    of: Reference
    decision: Decision
    text: Texts | UnsetType = UNSET


class OfficerRefused(Request, frozen=True, kw_only=True):
    """The duty officer refused an alert, perhaps with a referral (SPEC B5)."""

    officer: Identifier
    of: Reference
    reason: RefusalReason
    referral: Identifier | UnsetType = UNSET
    text: Texts | UnsetType = UNSET


class OfficerCancelled(Request, frozen=True, kw_only=True):
    """An officer cancelled his side's alert `of`, or discarded draft `draft`."""

    officer: Identifier
    of: Reference | UnsetType = UNSET
    draft: Seq | UnsetType = UNSET


class LineTestRequested(Request, frozen=True, kw_only=True):
    """An officer placed a line test: of the open slot where the policy says `placed_by = officer`, else unscheduled."""

    nonce: str
    officer: Identifier | UnsetType = UNSET


class AlarmAcknowledged(Request, frozen=True, kw_only=True):
    """An officer has seen an alarm (SPEC W4)."""

    officer: Identifier
    code: str
    subject: str


BEFORE_STARTED = (EpochOpened, KeysEnrolled)
"""What may come before `Started`: it is still part of the absence that `Started` measures, and needs no epoch."""

AnyEvent = (
    EpochOpened
    | KeysEnrolled
    | Started
    | Stopped
    | Resumed
    | SlotsPlanned
    | ClockStepped
    | DeadlineReached
    | BatchClosed
    | SpaceLow
    | SpaceOk
    | NotificationDone
    | TransportConnected
    | TransportLost
    | IdentityTakenOver
    | PublishRefused
    | FrameReceived
    | FramesSuppressed
    | PeerPresenceChanged
    | OfficerRaisedAlert
    | OfficerReleased
    | OfficerAnswered
    | OfficerAcknowledged
    | OfficerRefused
    | OfficerCancelled
    | LineTestRequested
    | AlarmAcknowledged
)
