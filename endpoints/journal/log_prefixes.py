"""Learns what a log system puts in front of each line, to find where the next piece of a split line begins."""

from __future__ import annotations

import re
from typing import Final

PREFIX_MAX_BYTES: Final = 256
LEARNED_MAX: Final = 64

_TIME: Final = re.compile(
    rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
    rb"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?"
    rb"|\d\d:\d\d:\d\d(?:[.,]\d+)?|\d{10,19}(?:\.\d+)?"
)
_TIME_PATTERN: Final = b"(?:" + _TIME.pattern + b")"


class Prefixes:
    """The prefixes of the records in one log. Two that differ in their times alone are the same."""

    def __init__(self) -> None:
        self._learned: dict[bytes, re.Pattern[bytes]] = {}
        # without the last word: for systems that take a piece for a message of its own, which has no tag
        self._shorter: dict[bytes, re.Pattern[bytes]] = {}

    def learn(self, prefix: bytes) -> bytes:
        """Return the name of a prefix that stands in front of a record, and recognise it from now on."""
        literals = _TIME.split(prefix)
        name = b"\0".join(literals)
        if name not in self._learned and len(self._learned) < LEARNED_MAX and len(prefix) <= PREFIX_MAX_BYTES:
            self._learned[name] = _pattern(literals)
            last = re.fullmatch(rb"(.*\S\s+)\S+\s+", literals[-1], re.DOTALL)
            if last is not None:
                self._shorter[name] = _pattern([*literals[:-1], last[1]])
        return name

    def strip(self, text: bytes) -> tuple[bytes, bytes]:
        """Return the name of the longest prefix that a text begins with, and the rest; an empty name for none."""
        for patterns in (self._learned, self._shorter):
            found = [(match.end(), name) for name, each in patterns.items() if (match := each.match(text)) is not None]
            if found and (longest := max(found))[0]:
                return longest[1], text[longest[0] :]
        return b"", text


def _pattern(literals: list[bytes]) -> re.Pattern[bytes]:
    return re.compile(_TIME_PATTERN.join(re.escape(each) for each in literals), re.DOTALL)
