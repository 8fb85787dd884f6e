"""Keepalive, back-off and presence intervals of the transports, in real time even during an exercise."""

from __future__ import annotations

import secrets

from msgspec import Struct

_DOUBLINGS_MAX = 16


class Intervals(Struct, frozen=True, kw_only=True):
    """Intervals in seconds. Only tests change the defaults."""

    # a silent broker is noticed after twice this time
    keepalive_s: int = 10
    back_off_min_s: float = 1.0
    back_off_max_s: float = 30.0
    # a connection that lasted this long resets the back-off
    stable_s: float = 30.0
    # how often a connected endpoint publishes its presence
    presence_s: float = 30.0
    # the will's delay: the broker publishes "gone" for us if we have not reconnected by then, at the first attempt
    gone_after_s: int = 2

    def pause_s(self, failures: int) -> float:
        """Return how long to wait before the next attempt, after `failures` in a row."""
        longest_s = min(self.back_off_min_s * 2.0 ** min(failures, _DOUBLINGS_MAX), self.back_off_max_s)
        # jitter: two clients that lost the same broker must not reconnect in step
        return longest_s * secrets.SystemRandom().uniform(0.5, 1.0)
