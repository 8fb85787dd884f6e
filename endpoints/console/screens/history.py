"""The history of the link: a hundred rows a page by record, with filters, and a jump to an instant."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, get_args

from msgspec import Struct

from endpoints.console.facts import Facts
from endpoints.console.frame import SEVERITY_LEVELS, Level
from endpoints.console.screen import Screen
from endpoints.console.screens.journal_notes import JournalNote, journal_notes
from endpoints.console.screens.message_card import BARS, shortened
from endpoints.console.screens.moments import EXAMPLE, Moment, Moments, typed
from endpoints.texts.happening_words import HappeningWords
from endpoints.texts.i18n import Translator
from endpoints.texts.wording import decoded, wording_of
from protocol.core.alarms import SEVERITY, AlarmCode
from protocol.errors import LinkError
from protocol.phrases import worded
from protocol.record.happenings import MESSAGE_STEPS, Happening
from protocol.record.ledger import Ledger
from protocol.record.ledger_entries import LedgerEntry
from protocol.wire.instants import parsed
from protocol.wire.messages import Precedence, Reference, Status

ROWS: Final = 100
SAID_MAX: Final = 400
"""How much a row shows of a message: a hundred alerts of 4,000 letters in each language are a page of a megabyte."""
TEXT_MAX: Final = 100
"""Letters of a text that is searched for."""
Group = Literal["messages", "alerts", "tests", "drafts", "alarms", "officers", "line"]
_OF_GROUP: Final[Mapping[str, Group]] = {
    "draft_held": "drafts",
    "draft_released": "drafts",
    "draft_discarded": "drafts",
    "draft_expired": "drafts",
    "alarm_raised": "alarms",
    "alarm_acknowledged": "alarms",
    "alarm_cleared": "alarms",
    "officers_enrolled": "officers",
    "watch_taken": "officers",
    "watch_left": "officers",
    "credentials_refused": "officers",
    "link_confirmed": "officers",
    "session_began": "officers",
    "session_ended": "officers",
    "listeners_missing": "officers",
    "listeners_back": "officers",
}
"""The groups of what is not a step of a message; everything else is about the line."""
_GRAVE: Final[Mapping[str, Level]] = {
    "alarm_cleared": "normal",
    "blind": "serious",
    "clock_set": "serious",
    "disconnected": "serious",
    "refused": "serious",
    "frame_refused": "serious",
    "publish_refused": "serious",
    "identity_taken_over": "serious",
    "notice_failed": "serious",
    "sink_failed": "serious",
    "journal_restored": "serious",
    "keys_changed": "serious",
    "credentials_refused": "caution",
    "space_low": "serious",
}


class Filters(Struct, frozen=True, kw_only=True):
    """What is asked for; empty for everything."""

    sender: str = ""
    kind: str = ""
    precedence: str = ""
    status: str = ""
    officer: str = ""
    text: str = ""

    @property
    def any(self) -> bool:
        """Whether anything is left out."""
        return any((self.sender, self.kind, self.precedence, self.status, self.officer, self.text))


class HistoryRow(Struct, frozen=True, kw_only=True):
    """One row: one step of a message, or one fact about the line.

    Attributes:
        id: of the row, `r-N-K`: the record, and its place among the rows of that record.
        record: the number of the record.
        at: when the journal recorded it.
        level: how grave it is; empty for what is ordinary.
        what: in words; texts of other people are not in it.
        said: the beginning of what a new message says, on one line; its own page has all of it.
        message: the parts of its reference; empty for none.
        precedence, bars, status, is_test: of an alert.
    """

    id: str
    record: int
    at: Moment
    level: Level | Literal[""]
    what: str
    said: str
    message: tuple[str, ...]
    precedence: str
    bars: int
    status: str
    is_test: bool


class SelectOption(Struct, frozen=True, kw_only=True):
    """One option of a filter."""

    value: str
    word: str
    here: bool


class SelectField(Struct, frozen=True, kw_only=True):
    """One filter with its choices."""

    name: str
    title: str
    choices: tuple[SelectOption, ...]


class HistoryView(Struct, frozen=True, kw_only=True):
    """What the screen shows.

    Attributes:
        rows: oldest first.
        older, newer: the cursors of the pages around this one; empty for none.
        filters: what is asked for; `kept` has the same for an address, without what is empty.
        fields: the filters with their choices.
        at, error: the instant that was typed, and what is wrong with it.
        newest: whether this is the end of the history, which grows.
        upto: the last record.
        notes: what the journal lacks.
    """

    rows: tuple[HistoryRow, ...]
    older: str
    newer: str
    filters: Filters
    kept: Mapping[str, str]
    fields: tuple[SelectField, ...]
    at: str
    error: str
    example: str
    newest: bool
    upto: int
    notes: tuple[JournalNote, ...]


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> HistoryView:
    """Return one page.

    Of the query, `before=N.K` asks for the rows before a row, `after=N.K` for those after it, `at=TIME` for those from
    an instant on; without them, the last rows. The other names are filters.
    """
    history = facts.history
    ledger = Ledger() if history is None else history.ledger
    filters = Filters(**{name: query.get(name, "")[:TEXT_MAX].strip() for name in Filters.__struct_fields__})
    at, error = query.get("at", "")[:TEXT_MAX].strip(), ""
    since = None
    if at:
        try:
            since = typed(at, t("time (UTC)"))
        except LinkError as wrong:
            error = t.say(worded(wrong))
    matching = _Matching(ledger, filters)
    found, older, newer = _page(matching, query, since)
    moments = Moments(facts, t)
    words = HappeningWords(ledger.entries, t)
    return HistoryView(
        rows=tuple(_row(place, facts, t, moments, words, matching) for place in found),
        older=matching.cursor(found[0]) if older else "",
        newer=matching.cursor(found[-1]) if newer else "",
        filters=filters,
        kept={name: value for name in filters.__struct_fields__ if (value := getattr(filters, name))},
        fields=tuple(_fields(ledger, facts, filters, t)),
        at=at,
        error=error,
        example=EXAMPLE,
        newest=not newer and not at,
        upto=0 if history is None else history.upto,
        notes=journal_notes(facts, t),
    )


class _Matching:
    """The happenings that filters let through, by their place in the ledger's list."""

    def __init__(self, ledger: Ledger, filters: Filters) -> None:
        self.listed: Sequence[Happening] = ledger.happenings.listed
        self._entries = {str(reference): entry for reference, entry in ledger.entries.items()}
        self._filters = filters
        self._text = filters.text.casefold()
        # of each message, whether its own part of the filters lets it through
        self._known: dict[str, bool] = {}

    def __call__(self, place: int) -> bool:
        filters = self._filters
        if not filters.any:
            return True
        happening = self.listed[place]
        entry = self.entry(happening)
        if filters.kind and filters.kind not in _groups(happening, entry):
            return False
        if filters.officer and happening.officer != filters.officer:
            return False
        if filters.sender or filters.precedence or filters.status:
            if entry is None:
                return False
            if not self._lets_through(happening.subject, entry):
                return False
        return not self._text or self._says(happening, entry)

    def entry(self, happening: Happening) -> LedgerEntry | None:
        """Return the message that a happening is a step of, None for other happenings."""
        return self._entries.get(happening.subject) if happening.what in MESSAGE_STEPS else None

    def _lets_through(self, subject: str, entry: LedgerEntry) -> bool:
        known = self._known.get(subject)
        if known is None:
            filters, body = self._filters, entry.body
            known = self._known[subject] = (
                filters.sender in {"", entry.reference.sender}
                # in a body that this version does not know, these may be anything, also what no set takes
                and (not filters.precedence or filters.precedence == body.get("precedence"))
                and (not filters.status or filters.status == body.get("status"))
            )
        return known

    def _says(self, happening: Happening, entry: LedgerEntry | None) -> bool:
        said = f"{happening.subject}\n{happening.officer}\n{happening.detail}"
        if self._text in said.casefold():
            return True
        if entry is None:
            return False
        key = f"text {happening.subject}"
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = any(self._text in each.casefold() for each in _strings(entry.body))
        return known

    def cursor(self, place: int) -> str:
        """Return the cursor of a row: its record, and its place among the rows of that record."""
        record, k = self.listed[place].record, 0
        while place - k > 0 and self.listed[place - k - 1].record == record:
            k += 1
        return f"{record}.{k}"

    def place(self, cursor: str) -> int | None:
        """Return the place of the row that a cursor names, or of the first one after it; None for no cursor."""
        record, _, k = cursor.partition(".")
        if not (record.isdecimal() and record.isascii() and k.isdecimal() and k.isascii()):
            return None
        begin = bisect_left(self.listed, int(record[:15]), key=lambda each: each.record)
        return min(begin + int(k[:6]), len(self.listed))


def _page(matching: _Matching, query: Mapping[str, str], since: int | None) -> tuple[list[int], bool, bool]:
    """Return the places of the rows of a page, oldest first, and whether there are rows before and after it."""
    last = len(matching.listed)
    if since is not None:
        begin = next((i for i, each in enumerate(matching.listed) if parsed(each.at) >= since), last)
        return _forwards(matching, begin)
    if (after := matching.place(query.get("after", ""))) is not None:
        return _forwards(matching, after + 1)
    before = matching.place(query.get("before", ""))
    return _backwards(matching, last if before is None else before)


def _forwards(matching: _Matching, begin: int) -> tuple[list[int], bool, bool]:
    found = _first(filter(matching, range(begin, len(matching.listed))), ROWS + 1)
    older = bool(_first(filter(matching, range(begin - 1, -1, -1)), 1))
    return found[:ROWS], older and bool(found), len(found) > ROWS


def _backwards(matching: _Matching, end: int) -> tuple[list[int], bool, bool]:
    found = _first(filter(matching, range(end - 1, -1, -1)), ROWS + 1)
    newer = bool(_first(filter(matching, range(end, len(matching.listed))), 1))
    return found[:ROWS][::-1], len(found) > ROWS, newer and bool(found)


def _first(places: Iterator[int], most: int) -> list[int]:
    found: list[int] = []
    for place in places:
        found.append(place)
        if len(found) == most:
            break
    return found


def _groups(happening: Happening, entry: LedgerEntry | None) -> tuple[Group, ...]:
    """Return the groups that a happening belongs to."""
    if happening.what not in MESSAGE_STEPS:
        return (_OF_GROUP.get(happening.what, "line"),)
    kind = "" if entry is None else entry.kind
    return ("messages", "tests" if kind in {"heartbeat", "heartbeat_answer"} else "alerts")


def _strings(value: object) -> Iterator[str]:
    """Yield every text in a body."""
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _strings(each)
        case list() | tuple():
            for each in value:
                yield from _strings(each)
        case _:
            return


def _row(
    place: int,
    facts: Facts,
    t: Translator,
    moments: Moments,
    words: HappeningWords,
    matching: _Matching,
) -> HistoryRow:
    happening = matching.listed[place]
    entry = matching.entry(happening)
    new = entry is not None and happening.what in {"queued", "received", "refused"}
    body = {} if entry is None else entry.body
    known = entry is not None and decoded(body) is not None
    return HistoryRow(
        id=f"r-{matching.cursor(place).replace('.', '-')}",
        record=happening.record,
        at=moments.of(happening.at),
        level=_level(happening),
        what=words.what(happening),
        said=shortened(wording_of(decoded(body), body, t, "UTC"), SAID_MAX) if new and facts.texts else "",
        message=() if entry is None else _parts(entry.reference),
        precedence=t.term("precedence", body["precedence"]) if known and "precedence" in body else "",
        bars=BARS.get(body.get("precedence", ""), 0) if known else 0,
        status=t.term("status", body["status"]) if known and "status" in body else "",
        is_test=known and body.get("status") == "test",
    )


def _level(happening: Happening) -> Level | Literal[""]:
    """Return how grave a happening is: an alarm as its code is, as on the screen of the alarms."""
    if happening.what != "alarm_raised":
        return _GRAVE.get(happening.what, "")
    code = happening.subject.partition("/")[0]
    return SEVERITY_LEVELS[SEVERITY[AlarmCode(code)]] if code in {*AlarmCode} else "serious"


def _parts(reference: Reference) -> tuple[str, ...]:
    return (reference.sender, str(reference.epoch), str(reference.seq))


def _fields(ledger: Ledger, facts: Facts, filters: Filters, t: Translator) -> Iterator[SelectField]:
    """Yield the filters that have a few values, each with all of them and with everything first."""
    groups = {
        "messages": t("messages"),
        "alerts": t("alerts and replies"),
        "tests": t("line tests"),
        "drafts": t("drafts"),
        "alarms": t("alarms"),
        "officers": t("officers and the watch"),
        "line": t("the line and the service"),
    }
    yield _field("kind", t("kind"), groups, filters.kind, t)
    yield _field("sender", t("sender"), {each: each for each in facts.link.parties}, filters.sender, t)
    precedences = {each: t.term("precedence", each) for each in get_args(Precedence)}
    yield _field("precedence", t("precedence"), precedences, filters.precedence, t)
    statuses = {each: t.term("status", each) for each in get_args(Status)}
    yield _field("status", t("status"), statuses, filters.status, t)
    yield _field("officer", t("officer"), {each: each for each in sorted(ledger.officers)}, filters.officer, t)


def _field(name: str, title: str, words: Mapping[str, str], now: str, t: Translator) -> SelectField:
    # what was asked for in the address and is not an option stays visible
    every = {"": t("everything"), **words, **({now: now} if now and now not in words else {})}
    options = tuple(SelectOption(value=value, word=word, here=value == now) for value, word in every.items())
    return SelectField(name=name, title=title, choices=options)


SCREEN = Screen(name="history", title="History", key="h", view=view)
