"""The board at an instant of the past, with the track of what the journal recorded, and steps along it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, Literal

from msgspec import Struct

from endpoints.console.facts import Facts
from endpoints.console.frame import LEVELS, Level
from endpoints.console.screen import Screen
from endpoints.console.screens import board
from endpoints.console.screens.journal_notes import JournalNote, journal_notes
from endpoints.console.screens.moments import EXAMPLE, Moment, Moments, typed
from endpoints.texts.happening_words import HappeningWords
from endpoints.texts.i18n import Translator
from protocol.errors import LinkError
from protocol.phrases import worded
from protocol.record.happenings import MESSAGE_STEPS, Happening
from protocol.record.ledger import Ledger
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Reference, Utc

WIDTH: Final = 1_000
"""Of the track."""
STEPS: Final = 500
"""How many places the scrubber has."""
AROUND: Final = 6
"""How many happenings are listed before the instant, and how many after it."""
TYPED_MAX: Final = 40
_SECOND: Final = 1_000
_DIGITS_MAX: Final = 15
_TICK: Final = 3
"""The width of a mark that takes no time."""
LaneName = Literal["tests", "alerts", "alarms", "blind", "watch"]
_LANES: Final[Mapping[str, LaneName]] = {
    "alarm_raised": "alarms",
    "blind": "blind",
    "watch_taken": "watch",
    "watch_left": "watch",
}
_NEW: Final = frozenset({"queued", "received", "refused"})
_SPANS: Final[Mapping[str, Millis | None]] = {"all": None, "day": 86_400 * _SECOND, "hour": 3_600 * _SECOND}


class Lane(Struct, frozen=True, kw_only=True):
    """The marks of one kind on the track: their places and widths, of `WIDTH`, and how many there are."""

    name: LaneName
    title: str
    count: int
    marks: tuple[tuple[int, int], ...]


class Near(Struct, frozen=True, kw_only=True):
    """One happening near the instant; `here` if it is the last one up to it."""

    at: Moment
    what: str
    here: bool


class TrackStep(Struct, frozen=True, kw_only=True):
    """One step along the track; `at` is empty if there is nowhere to go."""

    name: Literal["first", "previous", "next", "last"]
    sign: str
    title: str
    at: str


class SpanOption(Struct, frozen=True, kw_only=True):
    """How much of the journal the track shows."""

    name: str
    title: str
    here: bool


class Track(Struct, frozen=True, kw_only=True):
    """The part of the journal's time that is shown, in milliseconds since 1970.

    Attributes:
        begins, ends, shown: the track, and the instant on it; `step` is what the scrubber moves by.
        place: of the instant, of `WIDTH`.
        from_, to: its beginning and end, in words.
        lanes: the marks.
        spans: how much of the journal it can show.
    """

    begins: Millis
    ends: Millis
    shown: Millis
    step: Millis
    place: int
    from_: Moment
    to: Moment
    lanes: tuple[Lane, ...]
    spans: tuple[SpanOption, ...]


class ReplayView(Struct, frozen=True, kw_only=True):
    """What the screen shows.

    Attributes:
        at, error, example: the instant as it was typed or as it is shown, and what is wrong with it.
        moment: the instant; None if nothing is shown.
        then, board: the link at the instant, and its board.
        record, hash: the last record before.
        track: None while the journal has no record.
        steps: along the track.
        span: how much it shows.
        near: what happened around the instant.
        now_level, now: the present state, in words.
        notes: what the journal lacks.
    """

    at: str
    error: str
    example: str
    moment: Moment | None
    then: Facts | None
    board: board.BoardView | None
    record: int
    track: Track | None
    steps: tuple[TrackStep, ...]
    span: str
    near: tuple[Near, ...]
    now_level: Level
    now: str
    notes: tuple[JournalNote, ...]


def instant_asked(facts: Facts, query: Mapping[str, str]) -> Millis | None:
    """Return the instant that is asked for: typed (`at`), a place on the track (`to`), or that of the last record.

    None if what was typed is no instant, or if there is no record.
    """
    try:
        return _asked(facts, query, "")
    except LinkError:
        return None


def _asked(facts: Facts, query: Mapping[str, str], name: str) -> Millis | None:
    """Return the instant that is asked for; `name` is that of the field. Raises LinkError."""
    if text := query.get("at", "")[: 2 * TYPED_MAX].strip():
        return typed(text, name)
    place = query.get("to", "")
    if place.isascii() and place.isdecimal() and len(place) <= _DIGITS_MAX:
        return int(place)
    if place:
        return typed(place, name)
    last = None if facts.history is None else facts.history.ledger.last_at
    return None if last is None else parsed(last)


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> ReplayView:
    """Return the board at the instant that the query asks for, as `instant_asked` reads it; `span` is the track's."""
    replayed = facts.replayed
    then = None if replayed is None else replayed.then
    ledger = Ledger() if facts.history is None else facts.history.ledger
    listed = sorted(ledger.happenings.listed, key=attrgetter("at"))
    span = query.get("span", "") if query.get("span", "") in _SPANS else "all"
    moments = Moments(facts, t)
    status = facts.status
    current = status is not None and facts.condition.current
    state = status.state if status is not None and current else "unknown"
    return ReplayView(
        at=_typed_words(query) or ("" if then is None else written(then.now)[:19].replace("T", " ")),
        error=_error(facts, query, t),
        example=EXAMPLE,
        moment=None if then is None else moments.of(written(then.now)),
        then=then,
        board=None if then is None else board.view(then, {}, t),
        record=0 if then is None else then.upto,
        track=_track(listed, ledger, facts, span, moments, t) if listed else None,
        steps=tuple(_steps(listed, ledger, facts.now if then is None else then.now, t)),
        span=span,
        near=tuple(_near(listed, ledger, then, moments, t)) if then is not None else (),
        now_level=LEVELS[state],
        now=_now_words(facts, t.term("state", state), t),
        notes=journal_notes(facts, t),
    )


def _typed_words(query: Mapping[str, str]) -> str:
    return query.get("at", "")[:TYPED_MAX].strip()


def _error(facts: Facts, query: Mapping[str, str], t: Translator) -> str:
    """Return why no past instant is shown, empty if one is."""
    if facts.replayed is not None:
        return t.say(facts.replayed.trouble)
    try:
        _asked(facts, query, t("time (UTC)"))
    except LinkError as error:
        return t.say(worded(error))
    return ""


def _now_words(facts: Facts, state: str, t: Translator) -> str:
    """Return the present state, and what waits, in one line."""
    alarms = () if facts.status is None else facts.status.alarms
    new = sum(not each.acknowledged_by for each in alarms)
    words = [
        t("now: {state}", state=state),
        t.plural("{count} alarm not acknowledged", "{count} alarms not acknowledged", new) if new else "",
    ]
    return " · ".join(each for each in words if each)


# --- the track ----------------------------------------------------------------------------------------------------


def _lane_of(happening: Happening, ledger: Ledger) -> LaneName | None:
    """Return the lane on which a happening is marked, None for none."""
    if happening.what not in MESSAGE_STEPS:
        return _LANES.get(happening.what)
    if happening.what not in _NEW:
        return None
    entry = ledger.entries.get(Reference.parse(happening.subject))
    test = entry is not None and entry.kind in {"heartbeat", "heartbeat_answer"}
    return "tests" if test else "alerts"


def _track(
    listed: Sequence[Happening], ledger: Ledger, facts: Facts, span: str, moments: Moments, t: Translator
) -> Track:
    now = facts.now
    first = parsed(listed[0].at)
    then = None if facts.replayed is None else facts.replayed.then
    shown = now if then is None else then.now
    begins, ends = min(first, shown), max(now, first + _SECOND)
    if (length := _SPANS[span]) is not None and length < ends - begins:
        begins = max(begins, min(shown - length // 2, ends - length))
        ends = begins + length
    begins -= begins % _SECOND
    step = max(_SECOND, (ends - begins) // STEPS // _SECOND * _SECOND)
    place = _place(shown, begins, ends)
    titles = {"all": t("the whole journal"), "day": t("a day"), "hour": t("an hour")}
    return Track(
        begins=begins,
        ends=ends,
        shown=shown,
        step=step,
        place=place,
        from_=moments.of(written(begins)),
        to=moments.of(written(ends)),
        lanes=tuple(_lanes(listed, ledger, facts, begins, ends, t)),
        spans=tuple(SpanOption(name=name, title=titles[name], here=name == span) for name in _SPANS),
    )


def _place(at: Millis, begins: Millis, ends: Millis) -> int:
    return min(max((at - begins) * WIDTH // max(ends - begins, 1), 0), WIDTH - 1)


def _lanes(
    listed: Sequence[Happening], ledger: Ledger, facts: Facts, begins: Millis, ends: Millis, t: Translator
) -> Iterator[Lane]:
    marks: dict[LaneName, dict[int, int]] = {"tests": {}, "alerts": {}, "alarms": {}, "blind": {}, "watch": {}}
    counts = dict.fromkeys(marks, 0)
    for lane, since, until in _marks(listed, ledger, facts, begins):
        if since <= ends:
            counts[lane] += 1
            place = _place(since, begins, ends)
            marks[lane][place] = max(marks[lane].get(place, 0), _place(until, begins, ends) - place, _TICK)
    titles: dict[LaneName, str] = {
        "tests": t("line tests"),
        "alerts": t("alerts and replies"),
        "alarms": t("alarms"),
        "blind": t("nobody watched here"),
        "watch": t("changes of the watch"),
    }
    for name, title in titles.items():
        yield Lane(name=name, title=title, count=counts[name], marks=tuple(sorted(marks[name].items())))


def _marks(
    listed: Sequence[Happening], ledger: Ledger, facts: Facts, begins: Millis
) -> Iterator[tuple[LaneName, Millis, Millis]]:
    """Yield what is marked from an instant on: its lane, its beginning, and its end."""
    for each in listed[bisect_left(listed, written(begins), key=attrgetter("at")) :]:
        lane = _lane_of(each, ledger)
        if lane is not None:
            until = parsed(each.at)
            yield lane, parsed(each.since) if lane == "blind" and each.since else until, until
    if not facts.condition.current and ledger.last_at is not None:
        # the absence that lasts has no record yet
        yield "blind", max(facts.heard_at or 0, parsed(ledger.last_at)), facts.now


def _steps(listed: Sequence[Happening], ledger: Ledger, shown: Millis, t: Translator) -> Iterator[TrackStep]:
    """Yield the steps from an instant: to marks alone, since a record of every second is no place to go to."""
    marked = [each.at for each in listed if _lane_of(each, ledger) is not None]
    at = written(shown)
    before, after = bisect_left(marked, at) - 1, bisect_right(marked, at)
    first: Utc = listed[0].at if listed else ""
    yield TrackStep(name="first", sign="|◀", title=t("first record"), at=first if first != at else "")
    yield TrackStep(name="previous", sign="◀", title=t("mark before"), at=marked[before] if before >= 0 else "")
    yield TrackStep(name="next", sign="▶", title=t("mark after"), at=marked[after] if after < len(marked) else "")
    yield TrackStep(name="last", sign="▶|", title=t("last mark"), at=marked[-1] if marked and marked[-1] != at else "")


def _near(listed: Sequence[Happening], ledger: Ledger, then: Facts, moments: Moments, t: Translator) -> Iterator[Near]:
    """Yield what happened around the instant."""
    words = HappeningWords(ledger.entries, t)
    upto = bisect_right(listed, written(then.now), key=attrgetter("at"))
    for number in range(max(0, upto - AROUND), min(len(listed), upto + AROUND)):
        each = listed[number]
        yield Near(at=moments.of(each.at), what=words.what(each), here=number == upto - 1)


SCREEN = Screen(name="replay", title="Replay", key="", view=view, menu=False, replays=instant_asked)
