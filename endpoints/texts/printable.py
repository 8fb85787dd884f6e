r"""Escapes foreign text for a terminal, so that it cannot move the cursor, change colours or reverse the text.

The text of a refused frame, a foreign link file or a broker's reason may contain any character.
"""

from __future__ import annotations

import unicodedata

_LINE_ENDS = {"Zl", "Zp"}


def printable(text: str) -> str:
    r"""Return `text` with control, format and unassigned characters escaped, such as `\x1b`; newlines are kept.

    Format characters include right-to-left overrides.
    """
    if text.isprintable():
        return text
    return "".join(character if _harmless(character) else _escaped(character) for character in text)


def one_line(text: str) -> str:
    r"""Return `text` as `printable` does, with its line breaks spelt out as `\n`: it cannot begin another row."""
    return printable(text).replace("\n", "\\n")


def _harmless(character: str) -> bool:
    category = unicodedata.category(character)
    return character == "\n" or not (category.startswith("C") or category in _LINE_ENDS)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
