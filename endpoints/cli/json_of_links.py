"""Types of the documents about a running link, its officers and its settings: see `json_outputs`."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from endpoints.control.open_items import OpenItem, WaitingDraft
from endpoints.control.reasons import LinkState, PresenceState, Reason
from endpoints.control.status import LastTest, OutboxCounts
from protocol.core.alarms import Alarm
from protocol.core.duty import Confirmation, OnWatch
from protocol.core.event_fields import SinkName
from protocol.core.link_keys import KeyChange
from protocol.core.staleness import Staleness
from protocol.wire.messages import Category, Digest, Identifier, Precedence, Status, Texts, Utc
from protocol.wire.policy import Channel


class StatusOutput(TypedDict):
    """`status --json`: one line for each link, with `--follow` one at each change."""

    link: Identifier
    status: Status
    side: Identifier
    # `unknown` if no process answers: then the fields below are null
    state: LinkState
    reasons: list[Reason]
    broker: Literal["connected", "disconnected"] | None
    # a hint from the broker, not evidence
    peer: PresenceState | None
    presence_age_s: int | None
    # when the peer's last signed word came
    last_signed_at: Utc | None
    last_test: LastTest | None
    next_slot: Utc | None
    outbox: OutboxCounts | None
    alarms: list[Alarm] | None
    open: list[OpenItem] | None
    awaited: list[OpenItem] | None
    drafts: list[WaitingDraft] | None
    on_watch: OnWatch | None
    confirmed: Confirmation | None
    keys_changed: NotRequired[KeyChange | None]
    # whether the exit code is the one of this link's state; absent with `--follow`
    decides: NotRequired[bool]


class AlarmsOutput(TypedDict):
    """`alarms list --json`."""

    alarms: list[Alarm]
    status: Literal["actual", "exercise"]
    keys_changed: NotRequired[KeyChange]
    # the other channels, if an alarm is critical
    channels: NotRequired[list[Channel]]


class AlarmDone(TypedDict):
    """`alarms acknowledge --json`."""

    # the code and the subject
    alarm: str


class ActDone(TypedDict):
    """`alert`, `release`, `discard`, `answer`, `acknowledge`, `refuse`, `cancel` and `test` with `--json`: line 1.

    With `--wait`, a line for each step of the delivery follows: `delivery`.
    """

    # `eucom/1/42`, or `draft/3`
    reference: str
    # of a draft: false, since nothing was sent yet
    sent: NotRequired[bool]
    may_release: NotRequired[list[Identifier]]
    expires_at: NotRequired[Utc]


class WaitingRow(TypedDict):
    """Something that waits for an officer here."""

    reference: str
    kind: Literal["alert", "heartbeat", "draft"]
    precedence: Precedence | None
    category: Category | None
    change: Literal["update", "correction", "cancellation"] | None
    received_at: Utc
    due_at: Utc | None
    stale: Staleness | None
    waits_for: NotRequired[Identifier]
    # who wrote a draft
    officer: NotRequired[Identifier]
    body: dict[str, Any]
    seen: Digest | None


class OpenOutput(TypedDict):
    """`messages --open --json`."""

    link: Identifier
    status: Literal["actual", "exercise"]
    side: Identifier
    # the most urgent first
    open: list[WaitingRow]
    # how many more there are, with `--limit`
    left_out: int


class DraftRow(TypedDict):
    """A waiting draft."""

    draft: str
    officer: Identifier
    category: Category
    precedence: Precedence
    expires_at: Utc
    text: Texts
    at: Utc
    status: Status
    event_at: Utc
    area: dict[str, Any] | None
    references: list[dict[str, Any]]
    changes: dict[str, Any] | None
    change_kind: Literal["update", "correction"] | None
    cancellation: Texts | None
    # the whole alert as it would be sent, without `released_by`
    item: dict[str, Any]
    seen: Digest
    may_release: list[Identifier]


class DraftsOutput(TypedDict):
    """`drafts --json`."""

    link: Identifier
    side: Identifier
    drafts: list[DraftRow]


class ScheduleOutput(TypedDict):
    """`schedule --json`."""

    link: Identifier
    # the version of the time zone database
    tzdata: str
    placed_by: Literal["service", "officer"]
    caller: Identifier
    grace_s: int
    # `slot` in UTC, and by the id of each side its local time
    slots: list[dict[str, str]]


class ChannelsOutput(TypedDict):
    """`channels --json`."""

    link: Identifier
    epoch: int
    channels: list[Channel]


class DoctorFinding(TypedDict):
    """One finding, or one hint."""

    check: str
    severity: str
    where: str
    finding: str
    remedy: str
    # both in one
    what: str


class DoctorOutput(TypedDict):
    """`doctor --json`."""

    ok: bool
    checks: int
    checked: list[str]
    findings: list[DoctorFinding]
    hints: list[DoctorFinding]


class ReceiverTried(TypedDict):
    """One receiver of notifications that was tried."""

    sink: SinkName
    delivered: bool
    why: str | None


class NotifyTestOutput(TypedDict):
    """`notify test --json`."""

    id: str
    text: str
    sinks: list[ReceiverTried]
