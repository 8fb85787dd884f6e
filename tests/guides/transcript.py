"""Compares what a command prints with what a guide says, and fills in the words that a guide keeps.

White space and line ends count as one blank, `...` is anything, `{name}` a word without blanks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TYPED = re.compile(r"<([^<>]+)>")
_PIECE = re.compile(r"\s*\.\.\.\s*|\{([a-z][a-z-]*)\}|\s+")
_KEPT = re.compile(r"\{([a-z][a-z-]*)\}")
_NUMBERED = re.compile(r"(?:^|(?<=\s))(\d{1,2}) (\w+)")
_ALL_WORDS = re.compile(r"the words of (\S+), from word (\d+)")
_SOME_WORDS = re.compile(r"words (\d+) to (\d+) of (\S+)")
WORDS = 16
"""The words of a fingerprint."""


@dataclass(frozen=True)
class Part:
    """What a command prints up to a point at which something is typed, or up to its end, where nothing is."""

    prints: str
    typed: str


def parts(prints: str) -> tuple[Part, ...]:
    """Return what a guide says below a command, divided where something is typed."""
    pieces = _TYPED.split(prints)
    return (*(Part(*pair) for pair in zip(pieces[:-1:2], pieces[1::2], strict=True)), Part(pieces[-1], ""))


def match(expected: str, found: str, *, whole: bool = True) -> tuple[int, dict[str, str]] | None:
    """Return the end of `expected` in `found`, which begins with it, and the words kept; None if it is not there.

    With `whole`, nothing but white space may follow in `found`.
    """
    pattern, names = [r"\s*"], []
    position = 0
    text = expected.strip()
    for piece in _PIECE.finditer(text):
        pattern.append(re.escape(text[position : piece.start()]))
        position = piece.end()
        if piece[1]:
            names.append(piece[1])
            pattern.append(r"(\S+)")
        else:
            pattern.append(".*?" if "..." in piece[0] else r"\s+")
    pattern += [re.escape(text[position:]), r"\s*\Z" if whole else ""]
    there = re.compile("".join(pattern), re.DOTALL).match(found)
    return there and (there.end(), dict(zip(names, there.groups(), strict=True)))


def filled(text: str, kept: Mapping[str, str]) -> str:
    """Return `text` with the words kept in the place of their names; other names stay as they are."""
    return _KEPT.sub(lambda name: kept.get(name[1], name[0]), text)


def fingerprint(printed: str) -> tuple[str, ...]:
    """Return the sixteen English words of a fingerprint that a command has printed, none if it has printed none."""
    words: dict[int, str] = {}
    for line in printed.splitlines():
        if not re.match(r"(en|  ) +\d", line):
            if words:
                break
            continue
        words |= {int(number): word for number, word in _NUMBERED.findall(line)}
    return tuple(words[number] for number in sorted(words)) if len(words) == WORDS else ()


def spoken(typed: str, heard: Mapping[str, Sequence[str]]) -> str:
    """Return what is typed: the words of a machine that it names, or the text itself. Raises KeyError."""
    if named := _ALL_WORDS.fullmatch(typed):
        words, first = heard[named[1]], int(named[2]) - 1
        return " ".join((*words[first:], *words[:first]))
    if named := _SOME_WORDS.fullmatch(typed):
        return " ".join(heard[named[3]][int(named[1]) - 1 : int(named[2])])
    return typed
