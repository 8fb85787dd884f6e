"""Says what a screen that is made from the journal lacks: that it can't be read, is being read, or begins later."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from endpoints.console.facts import Facts
from endpoints.console.frame import Level
from endpoints.texts.i18n import Translator


class JournalNote(Struct, frozen=True, kw_only=True):
    """One note; `again` if it will soon be otherwise."""

    level: Level
    text: str
    again: bool = False


def journal_notes(facts: Facts, t: Translator) -> tuple[JournalNote, ...]:
    """Return what the journal of this link lacks on this screen; nothing if it is whole."""
    return tuple(_notes(facts, t))


def _notes(facts: Facts, t: Translator) -> Iterator[JournalNote]:
    history = facts.history
    if history is None:
        yield JournalNote(level="unknown", text=t("The journal of this link is not read here."))
        return
    if history.trouble:
        text = t(
            "The journal can't be read beyond record {record}: {why}", record=history.upto, why=t.say(history.trouble)
        )
        yield JournalNote(level="serious", text=text)
    elif history.catching_up:
        text = t("The journal is being read: {record} records so far.", record=history.upto)
        yield JournalNote(level="standby", text=text, again=True)
    if history.begins > 1:
        text = t("Records before {record} are not shown here; the command line has them.", record=history.begins)
        yield JournalNote(level="unknown", text=text)
