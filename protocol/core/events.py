"""Events: the core's only input.

Every event carries `at` (UTC, milliseconds since 1970) and `mono` (milliseconds of a clock that counts through sleep
and never steps). Other instants in events are in their written form, for readers of the journal.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from protocol.core.event import Event
from protocol.core.event_fields import (
    CertificateOwner,
    CredentialSource,
    SessionId,
    SessionRole,
    SinkName,
    Times,
    Why,
)
from protocol.core.start_events import (
    EpochOpened,
    JournalRestored,
    KeysChanged,
    KeysEnrolled,
    LinkConfirmed,
    OfficersEnrolled,
    WordsChosen,
)
from protocol.phrases import Said
from protocol.wire.messages import (
    Area,
    Category,
    Count,
    Decision,
    Digest,
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


class Started(Event, frozen=True, kw_only=True):
    """The service started. `slots` are the instants planned from the time of the last record on (SPEC W5)."""

    software: str
    slots: tuple[Utc, ...]
    # slots are complete up to here
    slots_until: Utc
    # the version of the time zone database
    tzdata: str


class Stopped(Event, frozen=True, kw_only=True):
    """The service is stopping in order."""


class Resumed(Event, frozen=True, kw_only=True):
    """The machine or the process was suspended from `since` until now, so nobody watched (SPEC W5)."""

    since: Utc


class SlotsPlanned(Event, frozen=True, kw_only=True):
    """More slots were computed; they are complete up to `slots_until`."""

    slots: tuple[Utc, ...]
    slots_until: Utc
    tzdata: str


class ClockStepped(Event, frozen=True, kw_only=True):
    """The wall clock was set, by `step_ms` against the monotonic clock (forward positive). `at` is after the step."""

    step_ms: int


class DeadlineReached(Event, frozen=True, kw_only=True):
    """The deadline that `next_deadline()` returned is reached."""

    # eight random bytes, hexadecimal: the words of a line test that may be placed now derive from them
    nonce: str


class BatchClosed(Event, frozen=True, kw_only=True):
    """A batch ended. The shell has sealed a frame of each payload that `unsealed()` returned."""

    frames: tuple[bytes, ...] = ()


class SpaceLow(Event, frozen=True, kw_only=True):
    """The journal's disk is nearly full, so new alerts are refused from now on."""

    free_bytes: Count


class SpaceOk(Event, frozen=True, kw_only=True):
    """The journal's disk has room again."""

    free_bytes: Count


class NotificationDone(Event, frozen=True, kw_only=True):
    """A notification has reached all recipients, or was given up after the last attempt."""

    id: str
    delivered: bool


class SinkFailed(Event, frozen=True, kw_only=True):
    """Something outside that this process reports to does not take what it is given, since this first failure."""

    sink: SinkName
    # in a few words, without an address, which may hold a secret
    why: Why
    said: Said | UnsetType = UNSET  # what `why` was made from


class SinkReached(Event, frozen=True, kw_only=True):
    """A sink that failed takes what it is given again."""

    sink: SinkName


class ListenersMissing(Event, frozen=True, kw_only=True):
    """For a while, no screen of a console has had its sound on, although one is expected to."""


class ListenersBack(Event, frozen=True, kw_only=True):
    """A screen has its sound on again, or none is expected to any more."""


class CertificateSeen(Event, frozen=True, kw_only=True):
    """The service read a certificate that the connection depends on: daily, and whenever another one is in use."""

    whose: CertificateOwner
    # on the clock of `at`: an exercise's differs from the clock that the certificate goes by
    ends_at: Utc


class CredentialsRefused(Event, frozen=True, kw_only=True):
    """`count` attempts to act as an officer were refused for a wrong credential."""

    count: Times
    source: CredentialSource


# --- the broker and the peer --------------------------------------------------------------------------------------


class TransportConnected(Event, frozen=True, kw_only=True):
    """The broker has accepted the session and the subscriptions."""


class TransportLost(Event, frozen=True, kw_only=True):
    """The connection to the broker was lost, or an attempt failed for this reason, and for another one before."""

    reason: str
    said: Said | UnsetType = UNSET  # what `reason` was made from


class IdentityTakenOver(Event, frozen=True, kw_only=True):
    """Another client connected to the broker with this endpoint's certificate, repeatedly."""

    times: Count


class PublishRefused(Event, frozen=True, kw_only=True):
    """The broker refused a message that we published, with this MQTT 5 reason code."""

    channel: Literal["message", "receipt"]
    code: int
    reason: str


class FrameReceived(Event, frozen=True, kw_only=True):
    """A frame arrived. The shell has verified its signatures (SPEC F3) with the result `verdict`."""

    channel: Literal["message", "receipt"]
    # the party whom the topic names
    sender: Identifier
    # at most FRAME_MAX_BYTES + 1 of its bytes
    frame: bytes
    # `verified`, or the reason of refusal
    verdict: str


class FramesSuppressed(Event, frozen=True, kw_only=True):
    """`count` more frames were refused for `reason` than are journaled one by one (SPEC M6.2)."""

    reason: str
    count: Count


class PeerPresenceChanged(Event, frozen=True, kw_only=True):
    """A party's presence topic changed: a hint, not evidence (SPEC W3)."""

    party: Identifier
    present: bool


# --- officers -----------------------------------------------------------------------------------------------------


class Request(Event, frozen=True, kw_only=True):
    """A request over the control socket. Repeating it with the same `request` id changes nothing."""

    request: str


class OfficerRaisedAlert(Request, frozen=True, kw_only=True):
    """An officer wrote an alert. If it needs two officers, it waits as a draft (SPEC P1)."""

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
    # the prepared text of its cancellation; a standing text if absent
    cancellation: Texts | UnsetType = UNSET


class OfficerReleased(Request, frozen=True, kw_only=True):
    """A second officer released draft `draft`."""

    officer: Identifier
    draft: Seq
    # the digest of what the officer saw of the draft (SPEC P2.1)
    seen: Digest | UnsetType = UNSET


class OfficerAnswered(Request, frozen=True, kw_only=True):
    """The duty officer answered a line test and retyped its three words (SPEC B2)."""

    officer: Identifier
    of: Reference
    read_back: tuple[Word, Word, Word]
    text: Text | UnsetType = UNSET
    # the digest of what the officer saw of the test (SPEC P2.1)
    seen: Digest | UnsetType = UNSET


class OfficerAcknowledged(Request, frozen=True, kw_only=True):
    """The duty officer acknowledged an alert (SPEC B4)."""

    officer: Identifier
    of: Reference
    decision: Decision
    text: Texts | UnsetType = UNSET
    # the digest of what the officer saw of the alert (SPEC P2.1)
    seen: Digest | UnsetType = UNSET


class OfficerRefused(Request, frozen=True, kw_only=True):
    """The duty officer refused an alert, perhaps with a referral (SPEC B5)."""

    officer: Identifier
    of: Reference
    reason: RefusalReason
    referral: Identifier | UnsetType = UNSET
    text: Texts | UnsetType = UNSET
    # the digest of what the officer saw of the alert (SPEC P2.1)
    seen: Digest | UnsetType = UNSET


class OfficerCancelled(Request, frozen=True, kw_only=True):
    """An officer cancelled alert `of` of their own side, or discarded draft `draft`."""

    officer: Identifier
    of: Reference | UnsetType = UNSET
    draft: Seq | UnsetType = UNSET
    # the digest of what the officer saw of the alert or the draft (SPEC P2.1)
    seen: Digest | UnsetType = UNSET


class LineTestRequested(Request, frozen=True, kw_only=True):
    """An officer placed a line test: of the open slot where the policy says `placed_by = officer`, else unscheduled."""

    nonce: str
    officer: Identifier | UnsetType = UNSET


class AlarmAcknowledged(Request, frozen=True, kw_only=True):
    """An officer acknowledged an alarm (SPEC W4)."""

    officer: Identifier
    code: str
    subject: str
    # for `keys_changed`: the three words of the new fingerprint that the alarm asks for
    words: tuple[Word, Word, Word] | UnsetType = UNSET


class WatchTaken(Request, frozen=True, kw_only=True):
    """An officer took the watch: from now on they answer for what the link reports."""

    officer: Identifier
    # the officer who hands the watch over; absent if nobody had it
    relieves: Identifier | UnsetType = UNSET


class WatchLeft(Request, frozen=True, kw_only=True):
    """The officer on watch left it, and nobody took it from them; `why` is such as `log-out`, `session ended`."""

    officer: Identifier
    why: Why


class SessionBegan(Request, frozen=True, kw_only=True):
    """A session of a console began: an officer logged in, or a link for a board or an investigator was used."""

    session: SessionId
    role: SessionRole
    # of role `officer` alone
    officer: Identifier | UnsetType = UNSET


class SessionEnded(Request, frozen=True, kw_only=True):
    """A session of a console ended; `why` is such as `log-out`, `expired`."""

    session: SessionId
    role: SessionRole
    # of role `officer` alone, who may not be enrolled any more
    officer: Identifier | UnsetType = UNSET
    why: Why


AnyEvent = (
    EpochOpened
    | KeysEnrolled
    | KeysChanged
    | OfficersEnrolled
    | WordsChosen
    | LinkConfirmed
    | JournalRestored
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
    | SinkFailed
    | SinkReached
    | ListenersMissing
    | ListenersBack
    | CertificateSeen
    | CredentialsRefused
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
    | WatchTaken
    | WatchLeft
    | SessionBegan
    | SessionEnded
)
