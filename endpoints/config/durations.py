"""Reads and writes durations such as `30s`, `10m`, `2h`, `7d` (SPEC E1.4)."""

from __future__ import annotations

import re

from protocol.phrases import phrase

_UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WRITTEN = re.compile(r"(\d{1,9})([smhd])", re.ASCII)


def parse_s(text: str) -> int:
    """Return the duration `text` in seconds. Raises ValueError, which shows the right form."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(phrase("not a duration such as 30s, 10m, 2h or 7d: {text}", text=repr(text[:40])))
    return int(match[1]) * _UNITS_S[match[2]]


def write_s(seconds: int) -> str:
    """Return `seconds` in the largest unit that divides it: 900 is `15m`, 5400 is `90m`."""
    for unit, factor in _UNITS_S.items():
        if seconds and seconds % factor == 0:
            return f"{seconds // factor}{unit}"
    return f"{seconds}s"
