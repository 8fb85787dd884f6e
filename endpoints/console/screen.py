"""What a screen is: a pure view of the facts, and a template of the same name."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from endpoints.console.facts import Facts, Role
from endpoints.texts.i18n import Translator
from protocol.errors import LinkError
from protocol.wire.instants import Millis

READERS: frozenset[Role] = frozenset({"officer", "investigator"})
EVERYBODY: frozenset[Role] = frozenset({"board", "officer", "investigator"})

View = Callable[[Facts, Mapping[str, str], Translator], Any]
"""Returns what the template shows, from the facts, the query of the address and the language."""


class NoSuchThing(LinkError):  # noqa: N818 - names a state
    """There is nothing at this address; the text says what would be right."""


class Download(Struct, frozen=True):
    """A file that a screen offers: its name, its type, and its parts."""

    name: str
    media_type: str
    parts: Iterable[bytes] | AsyncIterable[bytes]


class Screen(Struct, frozen=True, kw_only=True):
    """One screen.

    Attributes:
        name: in the address, and of the template.
        title: in the menu, in English; a text of the catalogues.
        key: the key that opens it, empty for none.
        view: makes what the template shows. May raise NoSuchThing.
        roles: who may see it.
        menu: whether the menu lists it.
        reads_history: whether its view reads the journal, up to its last record.
        replays: returns the past instant at which it shows the link, None for none; None if it shows the present.
        downloads: files by their name in the address, below the screen's.
    """

    name: str
    title: str
    key: str
    view: View
    roles: frozenset[Role] = READERS
    menu: bool = True
    reads_history: bool = True
    replays: Callable[[Facts, Mapping[str, str]], Millis | None] | None = None
    downloads: Mapping[str, Callable[[Facts, Mapping[str, str], Translator], Download]] = {}
