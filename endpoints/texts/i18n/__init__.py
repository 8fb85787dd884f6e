"""Translates phrases, terms, plurals and dates into English and Russian.

```python
t = translator("ru")            # always named `t`: the test of the catalogues looks for calls of `t`
t("line {link}: next test {when}", link="eucom-ndmc", when=t.instant(at, "Europe/Moscow"))
t.term("alarm", "heartbeat_missed")
t.plural("{count} alarm", "{count} alarms", count)
t.say(error.args[0])           # a phrase (`protocol.phrases`), which an error, an alarm or a finding carries
```

The catalogues (`en.po`, `ru.po`) are read directly, without a compiled copy that could be outdated, and only when the
first text is translated: most commands in English need none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from endpoints.errors import UserError
from endpoints.texts.i18n.catalogue import Catalogue
from endpoints.texts.printable import one_line
from protocol.phrases import Phrase, filled, phrase, rephrased
from protocol.wire.instants import Millis, parsed

if TYPE_CHECKING:
    from babel import Locale
    from babel.dates import DateTimePattern

LANGUAGES = ("en", "ru")
VARIABLE = "DECONFLICT_LANG"
_LOCALES = {"en": "en_GB", "ru": "ru"}
"""British English, for the day before the month and the 24-hour clock."""

_SECOND: Millis = 1_000
_UTC = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d{3})?(?:Z| UTC)", re.ASCII)
"""An instant as a value of a phrase, which is the same in every language."""
_TERM_VALUES = ("decision", "reason")
"""The values of phrases that are terms of the protocol; a reason can be another text as well."""


class Translator:
    """Translates into one language. `translator` returns one."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, phrase: str, **values: Any) -> str:
        """Return the translation of the English `phrase`, with `values` in its braces."""
        return self.fixed(phrase).format(**values)

    def fixed(self, text: str) -> str:
        """Return the translation of a whole English text that stands in a table, such as a command's purpose."""
        # the empty text is the key of a catalogue's own header
        return self._catalogue.gettext(text) if text and self.language != LANGUAGES[0] else text

    def say(self, text: str, made_from: object = None) -> str:
        """Return the translation of a phrase: of `text` itself, or of what a record or an answer says it was made from.

        A value that is an instant in UTC is put as the language writes it. What cannot be translated is returned in
        English: another text, a template without a translation, and a `made_from` that is not what `text` says. A
        journal and a socket can be forged, so their templates are only looked up in the catalogue.
        """
        made = text if isinstance(text, Phrase) else rephrased(text, made_from)
        return self._said(made) if isinstance(made, Phrase) else text

    def _said(self, made: Phrase) -> str:
        return filled(self.fixed(made.template), {name: self._value(name, each) for name, each in made.values.items()})

    def _value(self, name: str, value: str | int) -> str | int:
        if isinstance(value, Phrase):
            return self._said(value)
        if isinstance(value, str) and (instant := _UTC.fullmatch(value)) is not None:
            return self._utc(value, f"{instant[1]}T{instant[2]}.000Z")
        is_term = name in _TERM_VALUES and isinstance(value, str) and self.language != LANGUAGES[0]
        return self.term(name, str(value)) if is_term else value

    def _utc(self, found: str, written: str) -> str:
        """Return an instant in UTC in words; as it was found, if the calendar has no such instant."""
        try:
            return f"{self.instant(parsed(written), 'UTC')} UTC"
        except (ValueError, OverflowError):
            return found

    def term(self, kind: str, word: str) -> str:
        """Return the translation of a term of the protocol: `term("category", "air_pursuit")`.

        An unknown term, such as a newer peer's, is returned as it is, on one line: a line break in it is spelt out.
        """
        return one_line(self._catalogue.pgettext(kind, word))

    def alarm(self, code: str, subject: str) -> str:
        """Return the term of an alarm. A broker that refuses what is published can be reached (SPEC W3)."""
        refused = code == "broker_unreachable" and subject.startswith("publish/")
        return self.term("alarm", "publish_refused" if refused else code)

    def plural(self, one: str, many: str, count: int, **values: Any) -> str:
        """Return the plural form for `count`, with `count` and `values` in its braces."""
        return self._catalogue.ngettext(one, many, count).format(count=count, **values)

    def instant(self, at: Millis, zone: str) -> str:
        """Return date and time of `at` on the wall clock of `zone`: `29 Nov 2022, 17:00:00`."""
        return _instant(self.language, at // _SECOND, zone)[0]

    def time(self, at: Millis, zone: str) -> str:
        """Return the time of day of `at` on the wall clock of `zone`: `17:00:00`."""
        return _instant(self.language, at // _SECOND, zone)[1]

    def ago(self, seconds: float) -> str:
        """Return how long ago something was, rounded: `3 days ago`."""
        from babel.dates import format_timedelta

        return format_timedelta(-max(1, int(seconds)), locale=_locale(self.language), threshold=1.5, add_direction=True)

    def duration(self, seconds: float) -> str:
        """Return a rounded duration: `15 minutes`."""
        from babel.dates import format_timedelta

        return format_timedelta(int(seconds), locale=_locale(self.language), threshold=1.5)

    @cached_property
    def _catalogue(self) -> Catalogue:
        return Catalogue(Path(__file__).with_name(f"{self.language}.po"))


def translator(language: str | None = None, environment: Mapping[str, str] = os.environ) -> Translator:
    """Return the translator of `language`; by default of DECONFLICT_LANG, else of the locale, else English.

    Raises UserError for a language without a catalogue.
    """
    wanted = language or environment.get(VARIABLE)
    if wanted:
        if wanted not in LANGUAGES:
            supported = ", ".join(LANGUAGES)
            raise UserError(
                phrase("language {name} is not supported; supported: {all}", name=repr(wanted[:20]), all=supported)
            )
        return _translator(wanted)
    named = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := environment.get(name))), "")
    return _translator(named[:2] if named[:2] in LANGUAGES else LANGUAGES[0])


def translator_for(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> Translator:
    """Return the translator for what is said about a command line before, or instead of, running it: help and errors.

    It is the one that `translator` returns for the command's `--lang`; a language without a catalogue is left out.
    """
    wanted = ""
    for word, following in pairwise((*words, "")):
        if word == "--":
            break
        if word == "--lang" or word.startswith("--lang="):
            wanted = word.removeprefix("--lang").removeprefix("=") or following
    named = wanted if wanted in LANGUAGES else environment.get(VARIABLE, "")
    return translator(named if named in LANGUAGES else None, {**environment, VARIABLE: ""})


@cache
def _translator(language: str) -> Translator:
    return Translator(language)


@cache
def _locale(language: str) -> Locale:
    from babel import Locale

    return Locale.parse(_LOCALES[language])


@cache
def _patterns(language: str) -> tuple[str, DateTimePattern, DateTimePattern]:
    """Return what joins a date and a time of day, and the pattern of each, as `babel.dates.format_datetime` has them.

    Babel looks them up, parses them and converts the time anew for each instant, which takes most of its time.
    """
    from babel.dates import get_date_format, get_datetime_format, get_time_format

    locale = _locale(language)
    joined = str(get_datetime_format("medium", locale=locale)).replace("'", "")
    return joined, get_date_format("medium", locale), get_time_format("medium", locale)


@lru_cache(maxsize=512)  # a text names the same instants on several wall clocks, and the next text often the same ones
def _instant(language: str, seconds: int, zone: str) -> tuple[str, str]:
    """Return date and time, and the time alone, of the instant `seconds` after 1970 on the wall clock of `zone`."""
    from endpoints.clocks import slots

    joined, date, time = _patterns(language)
    local, locale = slots.local(seconds * _SECOND, zone), _locale(language)
    of_day = time.apply(local, locale)
    return joined.replace("{0}", of_day).replace("{1}", date.apply(local, locale)), local.isoformat()[11:19]
