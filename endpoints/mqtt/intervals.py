"""The transports' intervals of real time: keepalive, back-off, presence. Never of the exercise clock."""

from __future__ import annotations

import secrets

from msgspec import Struct

_DOUBLINGS_MAX = 16


class Timing(Struct, frozen=True, kw_only=True):
    """Intervals in seconds; only tests need others."""

    # a silent broker is noticed after twice as long
    keepalive_s: int = 10
    back_off_min_s: float = 1.0
    back_off_max_s: float = 30.0
    # a connection that lived so long resets the back-off
    stable_s: float = 30.0
    # how often a present endpoint says so
    presence_s: float = 30.0
    # the broker says "gone" for us when we have not come back for so long
    gone_after_s: int = 10

    def pause_s(self, failures: int) -> float:
        """Return how long to wait before the next attempt, after `failures` in a row."""
        longest_s = min(self.back_off_min_s * 2.0 ** min(failures, _DOUBLINGS_MAX), self.back_off_max_s)
        # jitter: two who lost the same broker do not come back in step
        return longest_s * secrets.SystemRandom().uniform(0.5, 1.0)
