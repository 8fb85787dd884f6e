r"""Escapes foreign text for a terminal, so that it cannot move the cursor, change colours or reverse the text.

The text of a refused frame, a foreign link file or a broker's reason may contain any character.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_LINE_ENDS = {"Zl", "Zp"}
_MARKS = {"Mn", "Me"}
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters, marks and symbols that show nothing: fillers, joiners, variation selectors and the empty Braille cell."""


HANGING = 4
"""How much further a row is indented where it is continued: no row begins there."""
MARKS_MAX = 4
"""How many combining marks one character may carry; more of them cover the lines above and below."""


def printable(text: str) -> str:
    r"""Return `text` with control, format, invisible and unassigned characters escaped, such as `\x1b`.

    Newlines are kept. Format characters include right-to-left overrides. Of many combining marks on one character,
    those beyond `MARKS_MAX` are escaped.
    """
    if (text.isascii() and text.isprintable()) or all(map(_plain, set(text))):
        return text
    marks, shown = 0, []
    for character in text:
        marks = marks + 1 if _cells(character) == 0 else 0
        shown.append(character if _harmless(character) and marks <= MARKS_MAX else _escaped(character))
    return "".join(shown)


def one_line(text: str) -> str:
    r"""Return `text` as `printable` does, with its line breaks spelt out as `\n`: it cannot begin another row."""
    return printable(text).replace("\n", "\\n")


@lru_cache(maxsize=4_096)
def _plain(character: str) -> bool:
    """Return whether a character is shown as it is wherever it stands."""
    return _harmless(character) and _cells(character) != 0


@lru_cache(maxsize=4_096)
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
        lines += [f"| {part}" for part in folded(line, None if columns is None else max(columns - 2, 1))]
    return lines


def fits(line: str, columns: int) -> bool:
    """Return whether a line fits into the columns of a terminal."""
    return sum(map(_cells, line)) <= columns


def folded(line: str, columns: int | None) -> list[str]:
    """Return a line in parts that fit into `columns`, broken at a space, which is left out, where there is one."""
    if columns is None:
        return [line]
    parts, begin, end, cells = [], 0, 0, 0
    while end < len(line):
        cells += _cells(line[end])
        if cells <= columns or end == begin:
            end += 1
            continue
        space = line.rfind(" ", begin + 1, end + 1)
        end = end if space < 0 else space
        parts.append(line[begin:end])
        end += space >= 0
        begin, cells = end, 0
    return [*parts, line[begin:]]


@lru_cache(maxsize=4_096)
def _cells(character: str) -> int:
    """Return how many columns of a terminal a character takes."""
    if unicodedata.category(character) in _MARKS:
        return 0
    return 1 + (unicodedata.east_asian_width(character) in {"W", "F"})
