"""Words for the rows, slots and intervals of a timeline, for its views as text and as a page.

Nothing that another party wrote can begin another line: what is inline is on one line, and texts are fields of a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from endpoints.texts.happening_words import HappeningWords
from endpoints.texts.i18n import Translator
from endpoints.texts.item_page import ItemPage, PageField, body_fields
from endpoints.texts.printable import one_line
from endpoints.texts.wording import utc
from protocol.core.drafts import draft_item
from protocol.errors import RemoteProtocolError
from protocol.record.clock_difference import ClockDifference, Exchange
from protocol.record.ledger_entries import SERVICE
from protocol.record.line_proof import LineInterval
from protocol.record.timeline import USES, Account, PastSlotState, Row, SlotRow
from protocol.wire.instants import Millis
from protocol.wire.messages import Reference, Utc
from protocol.wire.payloads import read_body

_SAID = frozenset({"queued", "received", "refused"})
"""Steps at which a message is shown in full, if it was not before."""


class RowWriter:
    """Puts rows into words, in their order: each message and draft is shown in full where it first occurs.

    Attributes:
        rows: those that are shown. The arrival of a notification is told in the row of the notification.
    """

    def __init__(self, account: Account, t: Translator) -> None:
        self._account = account
        self._t = t
        self._words = HappeningWords(account.messages, t)
        self._shown: set[str] = set()
        self.rows, self._arrived = _without_deliveries(account.rows)

    def what(self, row: Row) -> str:
        """Return what a row says, in one line."""
        t, said = self._t, self._words.what(row.happening)
        arrived = self._arrived.get(id(row.happening))
        return said if arrived is None else f"{said}; {t('arrived {when}', when=time_of(arrived, row.happening.at))}"

    def fields(self, row: Row) -> list[PageField]:
        """Return what is shown below a row: the message or draft, at its first row."""
        happening = row.happening
        if happening.what == "draft_held":
            return self._draft(row.journal, happening.subject)
        if happening.what not in _SAID or happening.subject in self._shown:
            return []
        path = self._account.messages.get(Reference.parse(happening.subject))
        if path is None:
            return []
        self._shown.add(happening.subject)
        return _fields(happening.subject, path.kind, path.body, self._t)

    def _draft(self, side: str, name: str) -> list[PageField]:
        draft = self._account.drafts.get((side, name))
        if draft is None:
            return []
        item = draft_item(draft.draft, draft.raised, draft.raised.status or "test").item
        body = {key: value for key, value in item.items() if key != "cancellation"}
        page = ItemPage(
            reference=name,
            kind="alert",
            state="",
            body=body,
            cancellation=item.get("cancellation"),
            author=draft.raised.officer,
            seen="",
        )
        return body_fields(page, self._t, "UTC")


def _fields(reference: str, kind: str, body: Mapping[str, Any], t: Translator) -> list[PageField]:
    """Return the fields of a message; of one whose kind or fields are unknown, its JSON."""
    try:
        read_body(dict(body))
    except RemoteProtocolError:
        shown: Mapping[str, Any] | str = msgspec.json.encode(body).decode()
    else:
        shown = body
    page = ItemPage(reference=reference, kind=kind, state="", body=shown, seen="")
    return body_fields(page, t, "UTC")


# --- the summary --------------------------------------------------------------------------------------------------


def summary_lines(account: Account, t: Translator) -> list[str]:
    """Return the summary of an account: tests, the state of the line, its use, the clocks."""
    states: tuple[PastSlotState, ...] = ("met", "late", "missed", "unknown", "open")
    counts = [
        f"{t.term('slot', state)} {count}" for state in states if (count := account.slots_in(state)) or state != "open"
    ]
    tests = t.plural("{count} line test due", "{count} line tests due", len(account.slots))
    lines = [f"{tests}: {', '.join(counts)}"]
    if account.unscheduled:
        lines.append(
            t.plural(
                "{count} line test outside the schedule", "{count} line tests outside the schedule", account.unscheduled
            )
        )
    times = (
        f"{t.term('line', state)} {length(account.length_ms(state))}" for state in ("proven", "not_proven", "blind")
    )
    lines.append(t("line (h:mm:ss): {times}", times=", ".join(times)))
    lines.append(use_words(account, t))
    lines += [clock_words(each, t) for each in account.clocks] or [
        t("difference between the clocks: nothing crossed the line that bounds it")
    ]
    return lines


def use_words(account: Account, t: Translator) -> str:
    """Return how the line was used beyond its tests; also that it was not (a fact of its own)."""
    if account.used:
        kinds = ", ".join(f"{t.term('uses', kind)} {count}" for kind in USES if (count := account.uses[kind]))
        return t("The line was used beyond its tests: {kinds}.", kinds=kinds)
    proven = bool(account.length_ms("proven"))
    if not account.complete:
        open_ = t("The line was open.") if proven else t("No journal proves that the line was open.")
        rest = t(
            "No use beyond its tests is recorded, but the journals do not cover both sides and the whole interval."
        )
        return f"{open_} {rest}"
    if proven:
        return t("The line was open and not used: neither side sent anything but line tests and their answers.")
    return t("The line was not used, and no journal proves that it was open.")


def clock_words(each: ClockDifference, t: Translator) -> str:
    """Return the bounds of the difference between both clocks, and what they rest on."""
    rests = t.plural("{count} message or receipt", "{count} messages and receipts", each.exchanges)
    values: dict[str, object] = {"one": each.one, "other": each.other, "rests": rests}
    if each.least is None and each.most is not None:
        values |= {"most": seconds(each.most.bound_ms), "message": _carrier(each.most, t)}
        return t("clock of {other} against {one}: at most {most} s ({rests}; most: {message})", **values)
    if each.most is None and each.least is not None:
        values |= {"least": seconds(each.least.bound_ms), "message": _carrier(each.least, t)}
        return t("clock of {other} against {one}: at least {least} s ({rests}; least: {message})", **values)
    assert each.least is not None
    assert each.most is not None
    values |= {
        "least": seconds(each.least.bound_ms),
        "most": seconds(each.most.bound_ms),
        "first": _carrier(each.least, t),
        "second": _carrier(each.most, t),
    }
    if each.changed_by_ms:
        by = seconds(each.changed_by_ms)
        return t(
            "clock of {other} against {one}: at least {least} s at {first}, at most {most} s at {second}: it changed "
            "by {by} s or more, and no journal records that it was set ({rests})",
            by=by,
            **values,
        )
    return t(
        "clock of {other} against {one}: {least} to {most} s (+ is ahead; {rests}; least: {first}, most: {second})",
        **values,
    )


def _carrier(exchange: Exchange, t: Translator) -> str:
    """Return the message that a bound rests on. The first receipts come before any message."""
    return str(exchange.message) if exchange.message.seq else t("a receipt before the first message")


def slot_words(slot: SlotRow, t: Translator) -> str:
    """Return a slot's test: who placed it, when it arrived, who answered, and where the journals differ."""
    said = []
    if slot.test is not None:
        placed = t("the service") if slot.placed_by == SERVICE else slot.placed_by
        said.append(t("{test} placed by {who}", test=slot.test, who=placed) if placed else str(slot.test))
        if slot.received_at:
            said.append(t("received {when}", when=time_of(slot.received_at, slot.due)))
        if slot.answered_by and slot.answered_at:
            who = t("the service") if slot.answered_by == SERVICE else slot.answered_by
            said.append(t("answered {when} by {who}", when=time_of(slot.answered_at, slot.due), who=who))
        else:
            said.append(t("not answered"))
    if len(set(slot.views.values())) > 1:
        views = ", ".join(f"{side} {t.term('slot', state)}" for side, state in slot.views.items())
        said.append(t("by journal: {views}", views=views))
    return one_line("; ".join(said))


def interval_words(interval: LineInterval, t: Translator) -> str:
    """Return why the line was not proven, or who was blind."""
    return "; ".join(f"{side}: {t.term('line', reason)}" for side, reason in interval.reasons)


def proof_words(row: Row, t: Translator) -> str:
    """Return what proves a row."""
    return t("signed by {side}", side=row.signed_by) if row.signed_by else t("this journal alone")


# --- times --------------------------------------------------------------------------------------------------------


def time_of(at: Utc, beside: Utc) -> str:
    """Return the time of day of an instant, with its date if that is not the date of `beside`."""
    return utc(at) if at[:10] != beside[:10] else utc(at)[11:]


def length(milliseconds: Millis) -> str:
    """Return a length of time, exact to the second: `26:04:09`."""
    minutes, rest = divmod(milliseconds // 1_000, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def seconds(milliseconds: Millis) -> str:
    """Return signed seconds to the millisecond: `+0.250`."""
    return f"{milliseconds / 1_000:+.3f}"


def _without_deliveries(rows: Iterable[Row]) -> tuple[list[Row], dict[int, Utc]]:
    """Return rows without the arrivals of notifications, and when each notification arrived, by its happening."""
    shown: list[Row] = []
    arrived: dict[int, Utc] = {}
    under_way: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        key = row.journal, row.happening.subject
        if row.happening.what == "notified":
            under_way.setdefault(key, []).append(id(row.happening))
        elif row.happening.what == "notice_delivered" and under_way.get(key):
            arrived[under_way[key].pop(0)] = row.happening.at
            continue
        shown.append(row)
    return shown, arrived


def by_day(rows: Iterable[Row]) -> Sequence[tuple[str, list[Row]]]:
    """Return rows in groups of successive ones with one date (UTC)."""
    days: list[tuple[str, list[Row]]] = []
    for row in rows:
        day = row.happening.at[:10]
        if not days or days[-1][0] != day:
            days.append((day, []))
        days[-1][1].append(row)
    return days
