"""The handover sheet: what the officer who takes the watch has to know, on a screen and on paper."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct

from endpoints.console.facts import Facts
from endpoints.console.frame import LEVELS, SEVERITY_LEVELS, Level
from endpoints.console.screens.board import Line, reasons_of
from endpoints.console.screens.line_test import SlotCard, slot_card
from endpoints.console.screens.moments import Moment, Moments
from endpoints.console.screens.slot_marks import TEST_LEVELS
from endpoints.control.open_items import OpenItem
from endpoints.texts.happening_words import HappeningWords
from endpoints.texts.i18n import Translator
from endpoints.texts.wording import age_warning
from protocol.core.alarms import Alarm
from protocol.core.staleness import Staleness
from protocol.record.happenings import Happening
from protocol.record.ledger import Ledger
from protocol.wire.instants import Millis, parsed, written

BACK_MS: Final[Millis] = 12 * 3_600_000
"""How much of the past the sheet tells: a watch."""
ROWS_MAX: Final = 60
"""How many rows of it: the history has all of them."""
_LEFT_OUT: Final = frozenset(
    {
        *("sent", "receipt_sent", "receipted", "presence", "frame_refused", "session_began", "session_ended"),
        *("notified", "notice_delivered", "certificate_seen", "words_chosen", "sink_reached", "space_ok"),
    }
)
"""What a machine does by the way; the messages themselves are told."""


class SheetAlarm(Struct, frozen=True, kw_only=True):
    """One alarm: how grave, what, as the runbook names it, since when, until when, acknowledged by whom."""

    level: Level
    what: str
    name: str
    since: Moment
    over: Moment | None
    seen_by: str


class SheetItem(Struct, frozen=True, kw_only=True):
    """One alert or line test that waits for an officer.

    Attributes:
        reference: `eucom/1/42`; `parts` are its parts, for an address.
        what: precedence and category, in words.
        here: whether an officer of this side has to act, else the other side's.
        since: when it came or was sent.
        due: its deadline; `over` if that is past.
        warning: what makes it old news.
    """

    reference: str
    parts: tuple[str, ...]
    what: str
    here: bool
    since: Moment
    due: Moment | None
    over: bool
    warning: str


class SheetDraft(Struct, frozen=True, kw_only=True):
    """One draft: it stays its author's when the watch is handed over."""

    draft: str
    what: str
    officer: str
    written: Moment
    expires: Moment


class SheetRow(Struct, frozen=True, kw_only=True):
    """One thing that the journal has recorded."""

    at: Moment
    what: str


class Sheet(Struct, frozen=True, kw_only=True):
    """The sheet.

    Attributes:
        at: of when it is.
        level, state: of the link; `reasons` why it is not fine.
        alarms: the open ones, the gravest first.
        items: what waits for an officer, of this side first.
        drafts: alerts that wait for their release.
        slot: the open or next slot.
        last_test: the last line test, and `test_level` how grave that is.
        unreceipted: how many messages of this side have no receipt, in words, and since when; empty for none.
        rows: the last twelve hours, oldest first; `left_out` says how many earlier ones are not among them.
    """

    at: Moment
    level: Level
    state: str
    reasons: tuple[Line, ...]
    alarms: tuple[SheetAlarm, ...]
    items: tuple[SheetItem, ...]
    drafts: tuple[SheetDraft, ...]
    slot: SlotCard | None
    last_test: str
    last_test_at: Moment | None
    test_level: Level
    unreceipted: str
    unreceipted_since: Moment | None
    rows: tuple[SheetRow, ...]
    left_out: str


def sheet_of(facts: Facts, t: Translator) -> Sheet | None:
    """Return the sheet; None before the endpoint has said anything."""
    status, snapshot, moments = facts.status, facts.snapshot, Moments(facts, t)
    if status is None or snapshot is None:
        return None
    state = status.state if facts.condition.current else "unknown"
    rows = [] if facts.history is None else _recorded(facts.history.ledger, facts.now)
    words = HappeningWords({} if facts.history is None else facts.history.ledger.entries, t)
    test, ours = status.last_test, snapshot.ours
    open_, earlier = 0 if ours is None else ours.waiting + ours.in_flight, len(rows) - ROWS_MAX
    return Sheet(
        at=moments.of(written(facts.now)),
        level=LEVELS[state],
        state=t.term("state", state),
        reasons=tuple(reasons_of(facts, t)),
        alarms=tuple(_alarm(each, t, moments) for each in sorted(status.alarms, key=_gravity)),
        items=tuple(_item(each, facts, t, moments) for each in (*status.open, *status.awaited)),
        drafts=tuple(
            SheetDraft(
                draft=each.draft,
                what=f"{t.term('precedence', each.precedence)}, {t.term('category', each.category)}",
                officer=each.officer,
                written=moments.of(each.at),
                expires=moments.of(each.expires_at),
            )
            for each in status.drafts
        ),
        slot=slot_card(snapshot, facts, t, moments),
        last_test="" if test is None else f"{test.reference}: {t.term('test', test.state)}",
        last_test_at=None if test is None else moments.of(test.at),
        test_level="unknown" if test is None else TEST_LEVELS[test.state],
        unreceipted=t.plural("{count} message without a receipt", "{count} messages without a receipt", open_)
        if open_
        else "",
        unreceipted_since=None if ours is None else moments.maybe(ours.oldest_at),
        rows=tuple(SheetRow(at=moments.of(each.at), what=words.what(each)) for each in rows[-ROWS_MAX:]),
        left_out=t.plural("{count} earlier row is in the history", "{count} earlier rows are in the history", earlier)
        if earlier > 0
        else "",
    )


def _gravity(alarm: Alarm) -> tuple[bool, int, str]:
    return not alarm.active, list(SEVERITY_LEVELS).index(alarm.severity), alarm.raised_at


def _alarm(alarm: Alarm, t: Translator, moments: Moments) -> SheetAlarm:
    return SheetAlarm(
        level=SEVERITY_LEVELS[alarm.severity],
        what=t.alarm(alarm.code, alarm.subject),
        name=f"{alarm.code}/{alarm.subject}",
        since=moments.of(alarm.raised_at),
        over=moments.maybe(alarm.cleared_at or None),
        seen_by="" if alarm.acknowledged_by is UNSET else alarm.acknowledged_by,
    )


def _item(item: OpenItem, facts: Facts, t: Translator, moments: Moments) -> SheetItem:
    alarms = () if facts.status is None else facts.status.alarms
    # once its alarm is raised, no deadline runs any more
    missed = next((each.raised_at for each in alarms if each.active and each.subject == item.reference), None)
    due = item.due_at or missed
    words = [
        t.term("precedence", item.precedence) if item.precedence else t.term("kind", item.kind),
        *([t.term("category", item.category)] if item.category else []),
        *([t.term("change", item.change)] if item.change else []),
    ]
    return SheetItem(
        reference=item.reference,
        parts=tuple(item.reference.split("/")),
        what=", ".join(words),
        here=item.waits_for == facts.side,
        since=moments.of(item.received_at),
        due=moments.maybe(due),
        over=due is not None and parsed(due) <= facts.now,
        warning=age_warning(item.stale or Staleness(), t, facts.now).removesuffix(": "),
    )


def _recorded(ledger: Ledger, now: Millis) -> list[Happening]:
    """Return what the journal has recorded in the last watch, oldest first."""
    since = written(now - BACK_MS)
    return [each for each in ledger.happenings.listed if each.at >= since and each.what not in _LEFT_OUT]
