"""Reads a catalogue of translations (`.po`) a hundred times as fast as Babel, whose reader keeps what an editor needs.

Only what the catalogues here use is known: comments, `msgctxt`, `msgid`, `msgid_plural`, `msgstr`, continued lines and
the usual escapes. A test compares the result with Babel's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from gettext import c2py
from pathlib import Path

_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_PLURAL = re.compile(r"^Plural-Forms:.*?plural=(.+?);?$", re.MULTILINE)


class Catalogue:
    """The translations of one language. A text without one is returned as it is."""

    def __init__(self, path: Path) -> None:
        """Read a catalogue. Raises ValueError for what is not as the catalogues here are written, OSError."""
        # by context and text: the translation, or its plural forms
        self._forms: dict[tuple[str | None, str], tuple[str, ...]] = _read(path.read_text(encoding="utf-8"))
        header = _PLURAL.search(self._forms.pop((None, ""), ("",))[0])
        self._plural: Callable[[int], int] = c2py(header[1] if header else "n != 1")

    @property
    def forms(self) -> dict[tuple[str | None, str], tuple[str, ...]]:
        """Every translation by its context and text: one form, or one for each kind of number."""
        return dict(self._forms)

    def gettext(self, text: str) -> str:
        """Return the translation of `text`."""
        return self._forms.get((None, text), (text,))[0]

    def pgettext(self, context: str, text: str) -> str:
        """Return the translation of `text` in a context."""
        return self._forms.get((context, text), (text,))[0]

    def ngettext(self, one: str, many: str, count: int) -> str:
        """Return the form for `count`."""
        forms = self._forms.get((None, one))
        if forms is None:
            return one if count == 1 else many
        return forms[self._plural(count)]


def _read(text: str) -> dict[tuple[str | None, str], tuple[str, ...]]:
    found: dict[tuple[str | None, str], tuple[str, ...]] = {}
    for number, block in enumerate(text.split("\n\n"), 1):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if not line or line.startswith("#"):
                continue
            quoted = line
            if not line.startswith('"'):
                name, _, quoted = line.partition(" ")
                fields[name] = ""
            if len(quoted) < len('""') or quoted[0] != '"' or quoted[-1] != '"' or not name:
                raise ValueError(f"block {number} of the catalogue: {line[:60]!r}")
            part = quoted[1:-1]
            fields[name] += part if "\\" not in part else _ESCAPE.sub(lambda each: _ESCAPED[each[1]], part)
        if not fields:
            continue
        forms = tuple(each for key, each in fields.items() if key.startswith("msgstr"))
        if all(forms):
            # of a text that is there twice, the first one counts, as for Babel
            found.setdefault((fields.get("msgctxt"), fields["msgid"]), forms)
    return found
