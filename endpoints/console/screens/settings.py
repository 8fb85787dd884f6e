"""How this browser shows the console: language, colours, size, keys. It concerns no link and no other browser."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from endpoints.console.facts import Facts
from endpoints.console.preferences import Preferences
from endpoints.console.screen import EVERYBODY, Screen
from endpoints.texts.i18n import LANGUAGES, Translator

OWN_NAMES = {"en": "English", "ru": "Русский"}
"""Each language in itself: who reads no other one finds it."""


class Option(Struct, frozen=True, kw_only=True):
    """One value of a setting; `language` of its word, empty for that of the screen."""

    value: str
    word: str
    here: bool
    language: str = ""


class Setting(Struct, frozen=True, kw_only=True):
    """One setting and its values."""

    name: str
    title: str
    choices: tuple[Option, ...]


class SettingsView(Struct, frozen=True, kw_only=True):
    """What the screen shows; `sounds` are those that a screen makes, by number, in words."""

    settings: tuple[Setting, ...]
    sounds: tuple[tuple[int, str], ...]


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> SettingsView:
    """Return the settings of this browser."""
    del query
    look: Preferences = facts.preferences
    themes = {"system": t("as the system"), "light": t("light"), "dark": t("dark")}
    sizes = {"normal": t("normal"), "large": t("large"), "larger": t("larger")}
    keys = {"on": t("on"), "off": t("off")}
    languages = tuple(
        Option(value=each, word=OWN_NAMES[each], here=each == look.lang, language=each) for each in LANGUAGES
    )
    return SettingsView(
        settings=(
            Setting(name="lang", title=t("language"), choices=languages),
            Setting(name="theme", title=t("colours"), choices=_options(themes, look.theme)),
            Setting(name="size", title=t("size of the letters"), choices=_options(sizes, look.size)),
            Setting(
                name="keys",
                title=t("single letters as keys (b, m, c, t, a, w, h, x)"),
                choices=_options(keys, look.keys),
            ),
        ),
        sounds=sounds(t),
    )


def sounds(t: Translator) -> tuple[tuple[int, str], ...]:
    """Return the sounds that a screen makes, by number, in words."""
    return (
        (1, t("flash or immediate alert received")),
        (2, t("critical alarm")),
        (3, t("line test to answer, other messages")),
        (4, t("this screen has lost its news")),
    )


def _options(words: Mapping[str, str], now: str) -> tuple[Option, ...]:
    return tuple(Option(value=value, word=word, here=value == now) for value, word in words.items())


SCREEN = Screen(name="settings", title="This screen", key="", view=view, roles=EVERYBODY)
