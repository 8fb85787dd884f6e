"""The investigator's page: an interval, what it contains, the verdict of `log verify`, and what can be taken away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from endpoints.console import exports
from endpoints.console.facts import Facts
from endpoints.console.frame import Level
from endpoints.console.screen import Download, NoSuchThing, Screen
from endpoints.console.screens.history import TEXT_MAX
from endpoints.console.screens.journal_notes import JournalNote, journal_notes
from endpoints.console.screens.moments import EXAMPLE, Moment, Moments, typed
from endpoints.texts.exporting import TOOL, Head, Interval
from endpoints.texts.i18n import Translator
from protocol.errors import LinkError, LocalProtocolError
from protocol.phrases import phrase, worded
from protocol.wire.messages import Reference

_LEVELS: Final[Mapping[str, Level]] = {
    "running": "standby",
    "intact": "normal",
    "incomplete": "serious",
    "changed": "critical",
    "failed": "unknown",
}


class VerdictView(Struct, frozen=True, kw_only=True):
    """The verdict in words; `lines` as `log verify` wrote them, `upto` the record at which it was asked."""

    level: Level
    word: str
    running: bool
    upto: int
    lines: tuple[str, ...]


class InvestigationView(Struct, frozen=True, kw_only=True):
    """What the page shows.

    Attributes:
        since, until: the interval as it was typed; `error` is what is wrong with it.
        begins, ends: the interval in words; None for the beginning and end of the journal.
        counted: what the interval contains, each with its number.
        files: the downloads: name in the address, and what it is.
        kept: the interval, for an address.
        upto, head: the last record that was read.
        verdict: what `log verify` said; None before it was asked.
        tool: the version of this program.
        left_out: what no download has.
        notes: what the journal lacks.
    """

    since: str
    until: str
    example: str
    error: str
    begins: Moment | None
    ends: Moment | None
    counted: tuple[tuple[str, int], ...]
    files: tuple[tuple[str, str], ...]
    kept: Mapping[str, str]
    upto: int
    head: str
    verdict: VerdictView | None
    tool: str
    left_out: tuple[str, ...]
    notes: tuple[JournalNote, ...]


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> InvestigationView:
    """Return the page of an interval. With `verify` in the query, the journal begins to be judged.

    Raises NoSuchThing for a file that is not offered.
    """
    if facts.rest:
        raise NoSuchThing(phrase("there is no such file; the page of the investigation has all that there are"))
    history = facts.history
    interval, error = Interval(), ""
    try:
        interval = interval_of(query, t)
    except LinkError as wrong:
        error = t.say(worded(wrong))
    wanted = query.get("verify", "")
    if history is not None and wanted.isdecimal() and wanted.isascii():
        # the number of the button's page: the page that is fetched again begins nothing anew
        history.judge.judge(min(int(wanted[:15]), history.upto), t.language)
    moments = Moments(facts, t)
    since, until = (query.get(name, "")[:TEXT_MAX].strip() for name in ("from", "to"))
    return InvestigationView(
        since=since,
        until=until,
        example=EXAMPLE,
        error=error,
        begins=moments.maybe(interval.first),
        ends=moments.maybe(interval.last),
        counted=() if error else tuple(_counted(facts, interval, t)),
        files=(
            ("timeline.html", t("the account of the interval, as a page for reading and printing")),
            ("timeline.csv", t("the account of the interval, as a table")),
            ("journal.jsonl", t("the records of the interval, byte for byte")),
        ),
        kept={name: value for name, value in (("from", since), ("to", until)) if value},
        upto=0 if history is None else history.upto,
        head="" if history is None else history.head,
        verdict=_verdict(facts, t),
        tool=TOOL,
        left_out=(
            t(
                "the journals of the other side and of the independent watch: compare them with {command}",
                command="deconflict timeline A B W",
            ),
            t("what is outside the interval"),
        ),
        notes=journal_notes(facts, t),
    )


def interval_of(query: Mapping[str, str], t: Translator) -> Interval:
    """Return the interval that a query names. Raises LocalProtocolError."""
    since, until = query.get("from", "").strip(), query.get("to", "").strip()
    interval = Interval(
        since=typed(since, t("from (UTC)")) if since else None, until=typed(until, t("to (UTC)")) if until else None
    )
    if interval.since is not None and interval.until is not None and interval.since >= interval.until:
        raise LocalProtocolError("malformed", phrase("the interval ends before it begins; exchange the two times"))
    return interval


def _counted(facts: Facts, interval: Interval, t: Translator) -> list[tuple[str, int]]:
    if facts.history is None:
        return []
    ledger = facts.history.ledger
    counts: Counter[str] = Counter()
    for each in ledger.happenings.listed:
        if not interval.contains(each.at):
            continue
        counts["rows"] += 1
        if each.what in {"queued", "received", "refused"}:
            entry = ledger.entries.get(Reference.parse(each.subject))
            counts["unknown" if entry is None else entry.kind] += 1
        elif each.what in {"alarm_raised", "blind"}:
            counts[each.what] += 1
    return [
        (t("alerts"), counts["alert"]),
        (t("line tests"), counts["heartbeat"]),
        (t("alarms"), counts["alarm_raised"]),
        (t("times without observation"), counts["blind"]),
        (t("rows in all"), counts["rows"]),
    ]


def _verdict(facts: Facts, t: Translator) -> VerdictView | None:
    found = None if facts.history is None else facts.history.judge.last
    if found is None:
        return None
    words = {
        "running": t("being judged"),
        "intact": t("INTACT"),
        "incomplete": t("INCOMPLETE"),
        "changed": t("DAMAGED"),
        "failed": t("the check itself failed"),
    }
    return VerdictView(
        level=_LEVELS[found.state],
        word=words[found.state],
        running=found.state == "running",
        upto=found.upto,
        lines=found.lines,
    )


def _download(form: str, media_type: str) -> Callable[[Facts, Mapping[str, str], Translator], Download]:
    """Return the handler of a download."""

    def handler(facts: Facts, query: Mapping[str, str], t: Translator) -> Download:
        interval = interval_of(query, t)
        link, side = facts.settings, facts.side
        history = facts.history
        head = Head(0, "") if history is None else Head(history.upto, history.head)
        parts = (
            exports.records(link, side, interval) if form == "jsonl" else exports.account(link, interval, form, t, head)
        )
        return Download(exports.file_name(link, side, interval, form), media_type, parts)

    return handler


SCREEN = Screen(
    name="investigate",
    title="Investigation",
    key="",
    view=view,
    downloads={
        "journal.jsonl": _download("jsonl", "application/x-ndjson"),
        "timeline.csv": _download("csv", "text/csv; charset=utf-8"),
        "timeline.html": _download("html", "text/html; charset=utf-8"),
    },
)
