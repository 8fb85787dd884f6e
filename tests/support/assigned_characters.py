"""Generates the table in protocol/wire/characters.py, under Python 3.11: `python -m tests.support.assigned_characters`.

Python 3.11 has the data of Unicode 14.0, the version that SPEC F4.4 names.
"""

import sys
import textwrap
import unicodedata
from itertools import groupby
from pathlib import Path

from protocol.wire.characters import UNICODE

MODULE = Path(__file__).parents[2] / "protocol" / "wire" / "characters.py"
_QUOTES = '"""\n'
_TABLE = f"_ASSIGNED = {_QUOTES}"


def assigned() -> list[tuple[int, int]]:
    """Return the ranges of code points that this Python's Unicode assigns, except surrogates."""
    codes = (code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in {"Cn", "Cs"})
    ranges = [[code for _, code in run] for _, run in groupby(enumerate(codes), lambda each: each[1] - each[0])]
    return [(run[0], run[-1]) for run in ranges]


def renewed(text: str, ranges: list[tuple[int, int]]) -> str:
    """Return the module's text with `ranges` as its table."""
    before, mark, rest = text.partition(_TABLE)
    words = " ".join(f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in ranges)
    table = textwrap.fill(words, width=120, break_on_hyphens=False)
    return before + mark + table + "\n" + _QUOTES + rest.partition(_QUOTES)[2]


if __name__ == "__main__":
    if not unicodedata.unidata_version.startswith(UNICODE):
        sys.exit(
            f"this Python has Unicode {unicodedata.unidata_version}: run it under Python 3.11, which has {UNICODE}"
        )
    MODULE.write_text(renewed(MODULE.read_text(), assigned()))
