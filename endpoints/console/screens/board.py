"""The board: the whole link at one glance, for the duty officer and for a wall display."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from endpoints.console.facts import Facts
from endpoints.console.screen import EVERYBODY, Screen
from endpoints.texts.i18n import Translator


class BoardView(Struct, frozen=True, kw_only=True):
    """What the board shows."""

    reasons: tuple[str, ...]


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> BoardView:
    """Return the board."""
    del query
    reasons = () if facts.status is None else facts.status.reasons
    return BoardView(reasons=tuple(t.say(each.text, each.said or None) for each in reasons))


SCREEN = Screen(name="board", title="Board", key="b", view=view, roles=EVERYBODY)
