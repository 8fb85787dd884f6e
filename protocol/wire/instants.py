"""Converts instants between milliseconds since 1970 and RFC 3339 in UTC with milliseconds and `Z` (SPEC F4.7).

The written forms sort in the order of the instants. Leap seconds (`:60`) are never written and are refused.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from protocol.phrases import phrase

Millis = int
"""Milliseconds; for an instant, counted from 1970-01-01T00:00:00Z."""

# an instant has one written form: 24:00, which newer versions of Python read as the next midnight, is excluded
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d\.\d{3}Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)


@lru_cache(maxsize=64)  # one event formats its own instant several times
def written(instant: Millis) -> str:
    """Return an instant in the form `2022-11-29T16:00:00.000Z`. Raises OverflowError outside the years 1 to 9999."""
    seconds, milliseconds = divmod(instant, 1_000)
    return f"{_seconds_written(seconds)}.{milliseconds:03}Z"


@lru_cache(maxsize=64)  # consecutive events mostly fall in the same second
def _seconds_written(seconds: int) -> str:
    return (_EPOCH + seconds * _SECOND).isoformat()[:19]


@lru_cache(maxsize=1_024)  # a watch parses the same slots at every event
def parsed(text: str) -> Millis:
    """Return the instant that `text` denotes. Raises ValueError unless it has exactly the form of SPEC F4.7."""
    if not _WRITTEN.fullmatch(text):
        raise ValueError(phrase("not an instant of the form 2022-11-29T16:00:00.000Z: {text}", text=repr(text[:40])))
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except ValueError:
        raise ValueError(_fault(text)) from None


def _fault(text: str) -> str:
    """Return the first part of an instant that the calendar does not have.

    Refusals quote this text, and replays compare them. Python's own wording differs between its versions.
    """
    if text.startswith("0000"):
        return phrase("year 0 is out of range")
    if not "01" <= text[5:7] <= "12":
        return phrase("month must be in 1..12")
    try:
        datetime.fromisoformat(text[:10])
    except ValueError:
        return phrase("day is out of range for month")
    return phrase("minute must be in 0..59") if text[14:16] > "59" else phrase("second must be in 0..59")
