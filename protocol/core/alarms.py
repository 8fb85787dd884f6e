"""The alarm codes, their severities, and the life of one alarm (SPEC W3, W4)."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import UNSET, Struct, UnsetType, structs

from protocol.core.staleness import Staleness
from protocol.phrases import Said
from protocol.wire.messages import Utc

Severity = Literal["critical", "major", "warning"]


class AlarmCode(StrEnum):
    """The causes of alarms (SPEC W3)."""

    HEARTBEAT_MISSED = "heartbeat_missed"
    HEARTBEAT_UNRECEIPTED = "heartbeat_unreceipted"
    HEARTBEAT_UNANSWERED = "heartbeat_unanswered"
    ALERT_UNACKNOWLEDGED = "alert_unacknowledged"
    BROKER_UNREACHABLE = "broker_unreachable"
    PEER_DISCONNECTED = "peer_disconnected"
    CLOCK_SKEW = "clock_skew"
    CLOCK_STEP = "clock_step"
    BAD_FRAMES = "bad_frames"
    EQUIVOCATION = "equivocation"
    FORK = "fork"
    JOURNAL_BEHIND = "journal_behind"
    POLICY_MISMATCH = "policy_mismatch"
    SCHEDULE_DISAGREEMENT = "schedule_disagreement"
    IDENTITY_IN_USE = "identity_in_use"
    SPACE_LOW = "space_low"
    JOURNAL_FAILURE = "journal_failure"
    UNDELIVERED = "undelivered"
    WATCH_BLIND = "watch_blind"
    KEYS_CHANGED = "keys_changed"
    CERTIFICATE_EXPIRING = "certificate_expiring"
    CREDENTIALS_REFUSED = "credentials_refused"
    SINK_FAILING = "sink_failing"
    NOBODY_LISTENING = "nobody_listening"


SEVERITY: dict[AlarmCode, Severity] = {
    AlarmCode.HEARTBEAT_MISSED: "critical",
    AlarmCode.HEARTBEAT_UNRECEIPTED: "critical",
    AlarmCode.HEARTBEAT_UNANSWERED: "critical",
    AlarmCode.ALERT_UNACKNOWLEDGED: "critical",
    AlarmCode.BROKER_UNREACHABLE: "critical",
    AlarmCode.PEER_DISCONNECTED: "warning",
    AlarmCode.CLOCK_SKEW: "major",
    AlarmCode.CLOCK_STEP: "major",
    AlarmCode.BAD_FRAMES: "major",
    AlarmCode.EQUIVOCATION: "critical",
    AlarmCode.FORK: "critical",
    AlarmCode.JOURNAL_BEHIND: "critical",
    AlarmCode.POLICY_MISMATCH: "critical",
    AlarmCode.SCHEDULE_DISAGREEMENT: "major",
    AlarmCode.IDENTITY_IN_USE: "critical",
    AlarmCode.SPACE_LOW: "major",
    AlarmCode.JOURNAL_FAILURE: "critical",
    AlarmCode.UNDELIVERED: "critical",
    AlarmCode.WATCH_BLIND: "major",
    AlarmCode.KEYS_CHANGED: "critical",
    AlarmCode.CERTIFICATE_EXPIRING: "major",
    AlarmCode.CREDENTIALS_REFUSED: "warning",
    AlarmCode.SINK_FAILING: "major",
    AlarmCode.NOBODY_LISTENING: "warning",
}
"""The severity of each code."""


class Alarm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One alarm. `raised_at` is the missed deadline, `detected_at` the time at which the core noticed it (SPEC W4)."""

    code: AlarmCode
    severity: Severity
    # the subject: a slot's instant, a reference, a party, `broker`, ...
    subject: str
    raised_at: Utc
    detected_at: Utc
    # what happened, in one line for an officer
    detail: str = ""
    # what `detail` was made from, for views in other languages; rules 1 to 3 lack it
    said: Said | UnsetType = UNSET
    # the place, from 1, of the first of the three words of a fingerprint with which it has to be acknowledged
    words_from: int | UnsetType = UNSET
    acknowledged_by: str | UnsetType = UNSET
    acknowledged_at: Utc | UnsetType = UNSET
    cleared_at: Utc | UnsetType = UNSET
    # why the message that it is about was not news when it was raised (SPEC M8.4)
    stale: Staleness | UnsetType = UNSET

    @property
    def active(self) -> bool:
        """Whether its cause still exists."""
        return self.cleared_at is UNSET

    @property
    def finished(self) -> bool:
        """Whether it is cleared and acknowledged, so that it is no longer listed."""
        return not self.active and self.acknowledged_at is not UNSET

    def acknowledge(self, officer: str, at: Utc) -> Alarm:
        """Return the alarm as acknowledged by `officer`."""
        return structs.replace(self, acknowledged_by=officer, acknowledged_at=at)

    def clear(self, at: Utc) -> Alarm:
        """Return the alarm as cleared."""
        return structs.replace(self, cleared_at=at)
