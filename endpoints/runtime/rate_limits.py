"""Caps on how often the journal takes in what an outsider can repeat at will (SPEC M6.2, W3).

They count in seconds of real time, whatever an exercise clock says.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

REFUSALS_PER_WINDOW = 10
"""Refused frames of one reason that are journaled in full within one window; enough to see what it is."""
WINDOW_S = 60
REPEATS_PER_WINDOW = 1_000
"""Honest repeats come one a minute while we are away, and the broker delivers those of half a day at once."""
REPEATS_REMEMBERED = 1_024
PRESENCE_PAUSE_S = 5
"""The least time between two journaled changes of presence: a flapping peer costs 12 lines a minute."""


class RefusalCap:
    """Counts refused frames by reason, and says which are too many to be journaled one by one."""

    def __init__(self) -> None:
        self._since_s: int | None = None
        self._seen: Counter[str] = Counter()
        self._suppressed: Counter[str] = Counter()

    def admits(self, reason: str, now_s: int) -> bool:
        """Return whether a frame refused for `reason` is to be journaled; if not, it has been counted."""
        if self._since_s is None:
            self._since_s = now_s
        self._seen[reason] += 1
        if self._seen[reason] <= REFUSALS_PER_WINDOW:
            return True
        self.count(reason, now_s)
        return False

    def count(self, reason: str, now_s: int) -> None:
        """Count a frame that is not journaled for `reason`."""
        if self._since_s is None:
            self._since_s = now_s
        self._suppressed[reason] += 1

    def due(self, now_s: int) -> dict[str, int]:
        """Return what was suppressed, by reason, if the window is over; the next refusal opens a new one."""
        if self._since_s is None or now_s - self._since_s < WINDOW_S:
            return {}
        return self.flush()

    def flush(self) -> dict[str, int]:
        """Return what was suppressed, by reason, and begin anew."""
        suppressed = dict(self._suppressed)
        self._since_s = None
        self._seen.clear()
        self._suppressed.clear()
        return suppressed


class PresenceCap:
    """Turns a party's presence, which may flap, into rare changes."""

    def __init__(self) -> None:
        self._seen: bool | None = None
        self._told: bool | None = None
        self._told_s: int | None = None

    def see(self, *, present: bool) -> None:
        """Note what the transport says of the party now."""
        self._seen = present

    def due(self, now_s: int) -> bool | None:
        """Return the presence to be journaled now, or None if nothing changed or the last change is too near."""
        if self._seen is None or self._seen == self._told:
            return None
        if self._told_s is not None and now_s - self._told_s < PRESENCE_PAUSE_S:
            return None
        self._told, self._told_s = self._seen, now_s
        return self._told


class RepeatCap:
    """Lets the very same bytes through a few times: more often than honest resends need (SPEC M4)."""

    def __init__(self) -> None:
        self._since_s = 0
        self._seen: dict[bytes, int] = {}

    def admits(self, frame: bytes, now_s: int) -> bool:
        """Return whether `frame` is to be judged and journaled once more within this window."""
        if now_s - self._since_s >= WINDOW_S:
            self._since_s = now_s
            self._seen.clear()
        digest = sha256(frame).digest()
        times = self._seen.pop(digest, 0) + 1
        # the last seen stand last: what is repeated stays, what came once makes room
        self._seen[digest] = times
        if len(self._seen) > REPEATS_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return times <= REPEATS_PER_WINDOW
