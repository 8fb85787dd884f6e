r"""Escapes foreign text for a terminal, so that it cannot move the cursor, change colours or reverse the text.

The text of a refused frame, a foreign link file or a broker's reason may contain any character.
"""

from __future__ import annotations

import re
import unicodedata

_LINE_ENDS = {"Zl", "Zp"}
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters, marks and symbols that show nothing: fillers, joiners, variation selectors and the empty Braille cell."""


def printable(text: str) -> str:
    r"""Return `text` with control, format, invisible and unassigned characters escaped, such as `\x1b`.

    Newlines are kept. Format characters include right-to-left overrides.
    """
    if text.isprintable() and not _INVISIBLE.search(text):
        return text
    return "".join(character if _harmless(character) else _escaped(character) for character in text)


def one_line(text: str) -> str:
    r"""Return `text` as `printable` does, with its line breaks spelt out as `\n`: it cannot begin another row."""
    return printable(text).replace("\n", "\\n")


def _harmless(character: str) -> bool:
    category = unicodedata.category(character)
    return character == "\n" or not (category.startswith("C") or category in _LINE_ENDS or _INVISIBLE.match(character))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def barred(text: str, columns: int | None = None) -> list[str]:
    r"""Return the lines of a foreign text, each escaped and behind a bar, so that none of them can pass for our own.

    Args:
        text: any text.
        columns: the room for the bar and the text, in which long lines are folded; None folds nothing.
    """
    lines: list[str] = []
    for line in printable(text).split("\n"):
        lines += [f"| {part}" for part in _folded(line, None if columns is None else max(columns - 2, 1))]
    return lines


def _folded(line: str, columns: int | None) -> list[str]:
    """Return a line in parts that fit into `columns`, broken after a space where there is one."""
    parts: list[str] = []
    while columns is not None and _cells(line) > columns:
        end, cells = 0, 0
        while end < len(line) and (cells := cells + _cells(line[end])) <= columns:
            end += 1
        end = max(end, 1)
        # the space of a break is left out
        end = line.rfind(" ", 1, end + 1) if " " in line[1 : end + 1] else end
        parts.append(line[:end])
        line = line[end:].removeprefix(" ")
    return [*parts, line]


def _cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in {"W", "F"}) for each in text
    )
