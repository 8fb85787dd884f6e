"""Decides when free disk space is too low for new alerts, and when it suffices again."""

from __future__ import annotations

from typing import Final

from protocol.core.events import SpaceLow, SpaceOk
from protocol.wire.instants import Millis

SPACE_LOW_BYTES: Final = 64 << 20
"""Below this, new alerts are refused. The rest is reserved for receipts, acknowledgements and alarms: some 60,000
records, and the zeros of the next segment."""
SPACE_OK_BYTES: Final = 96 << 20
"""From here on alerts are accepted again. The distance keeps the alarm from being raised and cleared repeatedly."""


class SpaceWatch:
    """Compares free space with the two limits. `low` is what the core believes at start-up."""

    def __init__(self, *, low: bool = False, low_bytes: int = SPACE_LOW_BYTES, ok_bytes: int = SPACE_OK_BYTES) -> None:
        self._low = low
        self._low_bytes = low_bytes
        self._ok_bytes = ok_bytes

    def judge(self, free_bytes: int, at: Millis, mono: Millis) -> SpaceLow | SpaceOk | None:
        """Return the event to hand to the core if `free_bytes` crosses a limit, else None."""
        if not self._low and free_bytes < self._low_bytes:
            self._low = True
            return SpaceLow(at=at, mono=mono, free_bytes=free_bytes)
        if self._low and free_bytes >= self._ok_bytes:
            self._low = False
            return SpaceOk(at=at, mono=mono, free_bytes=free_bytes)
        return None
