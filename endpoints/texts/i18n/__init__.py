"""Translates phrases, terms, plurals and dates into English and Russian.

```python
t = translator("ru")            # always named `t`: the test of the catalogues looks for calls of `t`
t("line {link}: next test {when}", link="eucom-ndmc", when=t.instant(at, "Europe/Moscow"))
t.term("alarm", "heartbeat_missed")
t.plural("{count} alarm", "{count} alarms", count)
```

The catalogues (`en.po`, `ru.po`) are read directly, without a compiled copy that could be outdated.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from babel import Locale
from babel.dates import format_datetime, format_time, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

from endpoints.clocks import slots
from endpoints.errors import UserError
from endpoints.texts.printable import one_line
from protocol.wire.instants import Millis

LANGUAGES = ("en", "ru")
_LOCALES = {"en": "en_GB", "ru": "ru"}
"""British English, for the day before the month and the 24-hour clock."""


class Translator:
    """Translates into one language. `translator` returns one."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._locale = Locale.parse(_LOCALES[language])
        self._catalogue = _catalogue(language)

    def __call__(self, phrase: str, **values: Any) -> str:
        """Return the translation of the English `phrase`, with `values` in its braces."""
        return str(self._catalogue.gettext(phrase)).format(**values)

    def term(self, kind: str, word: str) -> str:
        """Return the translation of a term of the protocol: `term("category", "air_pursuit")`.

        An unknown term, such as a newer peer's, is returned as it is, on one line: a line break in it is spelt out.
        """
        return one_line(str(self._catalogue.pgettext(kind, word)))

    def plural(self, one: str, many: str, count: int, **values: Any) -> str:
        """Return the plural form for `count`, with `count` and `values` in its braces."""
        return str(self._catalogue.ngettext(one, many, count)).format(count=count, **values)

    def instant(self, at: Millis, zone: str) -> str:
        """Return date and time of `at` on the wall clock of `zone`: `29 Nov 2022, 17:00:00`."""
        return format_datetime(slots.local(at, zone), "medium", locale=self._locale)

    def time(self, at: Millis, zone: str) -> str:
        """Return the time of day of `at` on the wall clock of `zone`: `17:00:00`."""
        return format_time(slots.local(at, zone), "HH:mm:ss", locale=self._locale)

    def ago(self, seconds: float) -> str:
        """Return how long ago something was, rounded: `3 days ago`."""
        return format_timedelta(-max(1, int(seconds)), locale=self._locale, threshold=1.5, add_direction=True)

    def duration(self, seconds: float) -> str:
        """Return a rounded duration: `15 minutes`."""
        return format_timedelta(int(seconds), locale=self._locale, threshold=1.5)


def translator(language: str | None = None, environment: Mapping[str, str] = os.environ) -> Translator:
    """Return the translator of `language`; by default of DECONFLICT_LANG, else of the locale, else English.

    Raises UserError for a language without a catalogue.
    """
    wanted = language or environment.get("DECONFLICT_LANG")
    if wanted:
        if wanted not in LANGUAGES:
            raise UserError(f"language {wanted[:20]!r} is not supported; supported: {', '.join(LANGUAGES)}")
        return _translator(wanted)
    named = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := environment.get(name))), "")
    return _translator(named[:2] if named[:2] in LANGUAGES else LANGUAGES[0])


@cache
def _translator(language: str) -> Translator:
    return Translator(language)


def _catalogue(language: str) -> Translations:
    with Path(__file__).with_name(f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language, abort_invalid=True)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)
