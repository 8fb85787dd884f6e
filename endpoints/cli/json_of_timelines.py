"""Types of the documents about an account of several journals: see `json_outputs`."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from endpoints.cli.json_of_journals import Disagreements, PathRow, VerifyOutput
from protocol.phrases import Said
from protocol.wire.messages import Identifier, Status, Utc


class SlotCounts(TypedDict):
    """How many slots were due, and what became of them."""

    due: int
    met: int
    late: int
    missed: int
    unknown: int
    open: int
    unscheduled: int


class LineLengths(TypedDict):
    """How long the line was in each state, in ms."""

    proven: int
    not_proven: int
    blind: int


class AccountSummary(TypedDict):
    """The figures of an account."""

    tests: SlotCounts
    line_ms: LineLengths
    # beyond line tests
    used: bool
    uses: dict[str, int]


class LineReason(TypedDict):
    """Why the line was not proven, by one journal."""

    side: Identifier
    reason: str


class LineStretch(TypedDict):
    """A stretch of time in which the line was in one state."""

    state: Literal["proven", "not_proven", "blind"]
    since: Utc
    until: Utc
    reasons: list[LineReason]


class ClockBound(TypedDict):
    """What one message proves about the difference of two clocks."""

    ahead_ms: int
    message: str
    by: Literal["receipt", "message"]
    at: Utc


class ClocksRow(TypedDict):
    """The difference between both sides' clocks while neither was set."""

    one: Identifier
    other: Identifier
    least: ClockBound | None
    most: ClockBound | None
    exchanges: int
    changed_by_ms: int | None


class TimelineDraft(TypedDict):
    """A draft of one side."""

    side: Identifier
    draft: str
    officer: Identifier
    held_at: Utc
    item: dict[str, Any]
    end: dict[str, Any] | None


class TimelineRow(TypedDict):
    """One step of a message, or one fact about the line, as one journal records it."""

    what: str
    at: Utc
    record: int
    subject: str
    officer: str
    since: Utc | None
    detail: str
    said: Said | None
    journal: Identifier
    proof: str
    signed_by: Identifier | None


class SlotOutcome(TypedDict):
    """One slot that was due, as the journals know it in the end."""

    due: Utc
    state: str
    views: dict[Identifier, str]
    test: str | None
    placed_by: str | None
    placed_at: Utc | None
    received_at: Utc | None
    receipted_at: Utc | None
    answered_by: str | None
    answered_at: Utc | None
    answer: str | None


class TimelineOutput(TypedDict):
    """`timeline --json`."""

    agree: bool
    journals: list[VerifyOutput]
    link: Identifier
    statuses: dict[str, Status]
    since: Utc
    until: Utc
    summary: AccountSummary
    slots: list[SlotOutcome]
    line: list[LineStretch]
    clocks: list[ClocksRow]
    messages: list[PathRow]
    drafts: list[TimelineDraft]
    rows: list[TimelineRow]
    comparison: Disagreements
