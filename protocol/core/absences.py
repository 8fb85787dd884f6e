"""Accounts for times in which nobody watched, and for a wall clock that was set (SPEC W5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from protocol.core.alarms import AlarmCode
from protocol.core.books import Books
from protocol.core.deadlines import SECOND, Turn
from protocol.core.environment import BROKER, GONE, QUIET
from protocol.core.events import ClockStepped, Resumed, SlotsPlanned, Started
from protocol.core.peer_clocks import PeerClocks
from protocol.core.watch import SETTLE_MS, Watch
from protocol.phrases import Phrase, phrase
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Identifier

UNKNOWN_LISTED = 64
"""How many unjudged slots and deadlines a `watch_blind` alarm lists by name; it counts the others."""


class Absences:
    """Handles starts, sleeps, late slot plans and clock steps of one core."""

    def __init__(self, side: Identifier, watch: Watch, clocks: PeerClocks, books: Books) -> None:
        self._side = side
        self._watch = watch
        self._clocks = clocks
        self._books = books

    def started(self, turn: Turn, event: Started) -> None:
        """Account for the time since the last event; give the broker its time; repeat pending notifications."""
        since = self._books.deadlines.state.at
        if turn.at < since:
            self._clock_moved(turn, turn.at - since)
        self._watch.plan(turn, event.slots, event.slots_until, event.tzdata, after=turn.at)
        if since:
            self._was_blind(turn, since)
        self._books.environment.started(turn)
        self._books.notifications.repeat(turn)

    def resumed(self, turn: Turn, event: Resumed) -> None:
        """Account for a sleep of the machine or the process."""
        self._was_blind(turn, min(parsed(event.since), turn.at))

    def slots_planned(self, turn: Turn, event: SlotsPlanned) -> None:
        """Take more slots; those that already lie in the past were not watched."""
        since = self._watch.state.slots_until
        self._watch.plan(turn, event.slots, event.slots_until, event.tzdata, after=since)
        if since <= turn.at:
            self._was_blind(turn, since, age_too=False)

    def clock_stepped(self, turn: Turn, event: ClockStepped) -> None:
        """Judge the slots anew; a forward step has passed over some unwatched."""
        self._clock_moved(turn, event.step_ms)
        if event.step_ms > 0:
            self._was_blind(turn, turn.at - event.step_ms, age_too=False)

    def _clock_moved(self, turn: Turn, step_ms: Millis) -> None:
        self._books.alarms.raise_passing(
            turn,
            AlarmCode.CLOCK_STEP,
            turn.utc,
            detail=phrase("the wall clock moved by {seconds} s", seconds=f"{step_ms / SECOND:+.3f}"),
        )
        self._watch.clock_moved(turn, step_ms)
        self._clocks.own_clock_moved(self._side, step_ms)

    def _was_blind(self, turn: Turn, since: Millis, *, age_too: bool = True) -> None:
        """Raise one alarm for all that fell due since `since`, and give it time to settle (SPEC W5.2).

        `age_too`: durations ran on as well, as in an absence; not where only the wall clock was set.
        """
        unknown = {"slot": self._watch.blind(turn, since)}
        if age_too:
            for key in self._books.deadlines.postpone(turn, SETTLE_MS):
                kind, _, subject = key.partition("/")
                if kind not in {QUIET, BROKER, GONE}:
                    unknown.setdefault(kind, []).append(subject)
        if any(unknown.values()):
            interval = f"{written(since)}..{turn.utc}"
            self._books.alarms.raise_passing(
                turn, AlarmCode.WATCH_BLIND, interval, written(since), detail=_listed(unknown)
            )


def _listed(unknown: Mapping[str, Sequence[str]]) -> Phrase:
    """Return the detail of `watch_blind`: what is unknown, by kind, the first `UNKNOWN_LISTED` by name."""
    room, parts = UNKNOWN_LISTED, []
    for kind, subjects in unknown.items():
        listed = ", ".join(subjects[:room])
        room -= min(room, len(subjects))
        if listed:
            parts.append(_part(kind, listed, one=len(subjects) == 1))
    detail = phrase("unknown: {what}", what=reduce(_joined, parts))
    more = sum(map(len, unknown.values())) - UNKNOWN_LISTED
    return phrase("{detail} and {count} more", detail=detail, count=more) if more > 0 else detail


def _joined(first: Phrase, then: Phrase) -> Phrase:
    return phrase("{first}; {then}", first=first, then=then)


def _part(kind: str, listed: str, *, one: bool) -> Phrase:
    match kind:
        case "slot" if one:
            return phrase("slot {listed}", listed=listed)
        case "slot":
            return phrase("slots {listed}", listed=listed)
        case "receipt":
            return phrase("receipts of {listed}", listed=listed)
        case "answer":
            return phrase("answers to {listed}", listed=listed)
        case _:
            return phrase("acknowledgements of {listed}", listed=listed)
