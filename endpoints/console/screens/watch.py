"""The watch: who has it, the sheet for the officer who takes it, and how it is taken, handed over and left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from msgspec import Struct

from endpoints.console.facts import Facts
from endpoints.console.screen import Screen
from endpoints.console.screens.journal_notes import JournalNote, journal_notes
from endpoints.console.screens.moments import Moment, Moments
from endpoints.console.screens.settings import sounds
from endpoints.console.screens.sheet import Sheet, sheet_of
from endpoints.texts.happening_words import HappeningWords
from endpoints.texts.i18n import Translator

CHANGES_MAX: Final = 5
"""How many changes of the watch are listed: the history has all of them."""


class WatchChange(Struct, frozen=True, kw_only=True):
    """That the watch was taken or left."""

    at: Moment
    what: str


class WatchView(Struct, frozen=True, kw_only=True):
    """What the screen shows.

    Attributes:
        known: whether it is known who has the watch now.
        officer: who has it, empty for nobody; `since` when.
        left: when and why the last officer left it, while nobody has it; None if that is not recorded.
        sounds: that the officer who takes it hears, by number, in words.
        sheet: for the officer who takes it; None before the endpoint has said anything.
        changes: the last ones, newest first.
        notes: what the journal lacks.
    """

    known: bool
    officer: str
    since: Moment | None
    left: WatchChange | None
    sounds: tuple[tuple[int, str], ...]
    sheet: Sheet | None
    changes: tuple[WatchChange, ...]
    notes: tuple[JournalNote, ...]


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> WatchView:
    """Return the watch."""
    del query
    moments = Moments(facts, t)
    on_watch = None if facts.status is None else facts.status.on_watch
    changes = tuple(islice(_changes(facts, t, moments), CHANGES_MAX))
    return WatchView(
        known=facts.snapshot is not None and facts.condition.current,
        officer="" if on_watch is None else on_watch.officer,
        since=None if on_watch is None else moments.of(on_watch.since),
        left=changes[0] if on_watch is None and changes else None,
        sounds=sounds(t),
        sheet=sheet_of(facts, t),
        changes=changes,
        notes=journal_notes(facts, t),
    )


def _changes(facts: Facts, t: Translator, moments: Moments) -> Iterator[WatchChange]:
    """Yield that the watch was taken or left, newest first."""
    if facts.history is None:
        return
    ledger = facts.history.ledger
    words = HappeningWords(ledger.entries, t)
    for each in reversed(ledger.happenings.listed):
        if each.what in {"watch_taken", "watch_left"}:
            yield WatchChange(at=moments.of(each.at), what=words.what(each))


SCREEN = Screen(name="watch", title="Watch", key="w", view=view)
