"""Limits how often events that an outsider can repeat at will reach the journal (SPEC M6.2, W3).

They count seconds of real time; an exercise clock does not change them.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

REFUSALS_PER_WINDOW = 10
"""Refusals of one reason that are journaled one by one within one window: enough for a diagnosis."""
WINDOW_S = 60
REPEATS_PER_WINDOW = 1_000
"""A peer resends a frame once a minute while we are away: after half a day, the broker delivers 720 copies at once."""
REPEATS_REMEMBERED = 1_024
PRESENCE_PAUSE_S = 5
"""The least time between two journaled changes of presence (SPEC Q2.4): a flapping peer costs 12 records a minute."""


class RefusalCap:
    """Limits refusals by reason, of frames or of credentials, and counts those above the limit."""

    def __init__(self) -> None:
        self._since_s: int | None = None
        self._seen: Counter[str] = Counter()
        self._suppressed: Counter[str] = Counter()

    def admits(self, reason: str, now_s: int) -> bool:
        """Return whether to journal a refusal for `reason` by itself; if not, count it."""
        if self._since_s is None:
            self._since_s = now_s
        self._seen[reason] += 1
        if self._seen[reason] <= REFUSALS_PER_WINDOW:
            return True
        self.count(reason, now_s)
        return False

    def count(self, reason: str, now_s: int) -> None:
        """Count a refusal for `reason` that is not journaled by itself."""
        if self._since_s is None:
            self._since_s = now_s
        self._suppressed[reason] += 1

    def due(self, now_s: int) -> dict[str, int]:
        """Return the suppressed refusals by reason if the window is over; the next refusal opens a new one."""
        if self._since_s is None or now_s - self._since_s < WINDOW_S:
            return {}
        return self.flush()

    def flush(self) -> dict[str, int]:
        """Return the suppressed refusals by reason, and start a new window."""
        suppressed = dict(self._suppressed)
        self._since_s = None
        self._seen.clear()
        self._suppressed.clear()
        return suppressed


class PresenceCap:
    """Limits how often a party's presence, which may flap, changes."""

    def __init__(self) -> None:
        self._seen: bool | None = None
        self._journaled: bool | None = None
        self._journaled_s: int | None = None

    def see(self, *, present: bool) -> None:
        """Take the presence that the transport reports."""
        self._seen = present

    def due(self, now_s: int) -> bool | None:
        """Return the presence to journal now, None if it has not changed or the last change is too recent."""
        if self._seen is None or self._seen == self._journaled:
            return None
        if self._journaled_s is not None and now_s - self._journaled_s < PRESENCE_PAUSE_S:
            return None
        self._journaled, self._journaled_s = self._seen, now_s
        return self._journaled


class RepeatCap:
    """Limits identical frames, to more than honest resends need (SPEC M4)."""

    def __init__(self) -> None:
        self._since_s = 0
        self._seen: dict[bytes, int] = {}

    def admits(self, frame: bytes, now_s: int) -> bool:
        """Return whether to verify and journal `frame` once more within this window."""
        if now_s - self._since_s >= WINDOW_S:
            self._since_s = now_s
            self._seen.clear()
        digest = sha256(frame).digest()
        times = self._seen.pop(digest, 0) + 1
        # ordered by the last arrival: repeated frames stay, single ones are dropped first
        self._seen[digest] = times
        if len(self._seen) > REPEATS_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return times <= REPEATS_PER_WINDOW
