r"""What others wrote, made fit for a terminal: nothing in it moves the cursor, changes colours, or turns text around.

A refused frame, a link file from elsewhere, a broker's reason: their text is shown to people, and may hold anything.
"""

from __future__ import annotations

import unicodedata

_LINE_ENDS = {"Zl", "Zp"}


def printable(text: str) -> str:
    r"""Return `text` with control, format (such as right-to-left overrides) and unassigned characters as `\x1b`.

    Newlines stay.
    """
    if text.isprintable():
        return text
    return "".join(character if _harmless(character) else _escaped(character) for character in text)


def _harmless(character: str) -> bool:
    category = unicodedata.category(character)
    return character == "\n" or not (category.startswith("C") or category in _LINE_ENDS)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
