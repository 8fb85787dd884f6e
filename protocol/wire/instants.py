"""Instants: integers of milliseconds since 1970 inside, RFC 3339 UTC with milliseconds and `Z` outside (SPEC F4.7).

The written form sorts as the instants do. Leap seconds (`:60`) are not written and are refused.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

Millis = int
"""Milliseconds: since 1970-01-01T00:00:00Z for an instant, plain for a duration."""

# no 24:00, which newer versions of Python read as the next midnight: an instant has one written form
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d\.\d{3}Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)


@lru_cache(maxsize=64)  # one event writes its own instant several times
def written(instant: Millis) -> str:
    """Return an instant as `2022-11-29T16:00:00.000Z`. Raises OverflowError outside of the years 1 to 9999."""
    seconds, milliseconds = divmod(instant, 1_000)
    return f"{_seconds_written(seconds)}.{milliseconds:03}Z"


@lru_cache(maxsize=64)  # and the next event is of the same second
def _seconds_written(seconds: int) -> str:
    return (_EPOCH + seconds * _SECOND).isoformat()[:19]


@lru_cache(maxsize=1_024)  # a watch asks for the same slots at every event
def parsed(text: str) -> Millis:
    """Return the instant that `text` writes. Raises ValueError if it is not exactly of the form of SPEC F4.7."""
    if not _WRITTEN.fullmatch(text):
        raise ValueError(f"not an instant of the form 2022-11-29T16:00:00.000Z: {text[:40]!r}")
    return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
