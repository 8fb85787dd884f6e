"""Publishes once a beat, on every link, what shows that we are here, and checks whether others are silent."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection

from endpoints.mqtt.presence import Presence

SHARES_MAX = 100
"""In how many parts the links are served within one beat."""


class Beats:
    """The timers of one transport's presence."""

    def __init__(
        self,
        links: Collection[str],
        beat_s: float,
        publish: Callable[[str], None],
        presence: Presence,
        now_s: Callable[[], float],
    ) -> None:
        """Prepare the timers.

        Args:
            links: the links, in the order in which they are served.
            beat_s: how often each link is served, in seconds.
            publish: publishes what shows that we are here on a link.
            presence: what is known of the others; it is told to check for silence.
            now_s: reads the clock that `presence` goes by.
        """
        self._links = links
        self._beat_s = beat_s
        self._publish = publish
        self._presence = presence
        self._now_s = now_s
        self._fail: Callable[[Exception], None]
        self._timers: dict[str, asyncio.TimerHandle] = {}
        # the share that is next, and when the last one was due; kept from one connection to the next
        self._share = 0
        self._last_s: float | None = None

    def start(self, fail: Callable[[Exception], None]) -> None:
        """Begin: the first links are served after a share of a beat. `fail` takes what `publish` raises.

        Again after a brief loss, it goes on where it was: others wait for a sign no longer than usual.
        """
        self._fail = fail
        self._after(self._now_s() if self._last_s is None else self._last_s)
        self._check()

    def stop(self) -> None:
        """End: nothing is published or checked any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _after(self, last_s: float) -> None:
        """Serve the next share of the links in a while, after the last one was due at `last_s`: each link once a beat.

        All of a thousand links at a time would take the loop from the frames for many milliseconds. Delays do not add
        up from share to share, and what is late by more than a beat is left out.
        """
        now_s, shares = self._now_s(), max(1, min(len(self._links), SHARES_MAX))
        self._last_s = last_s
        due_s = max(last_s + self._beat_s / shares, now_s - self._beat_s)
        self._in("beat", max(due_s - now_s, 0), lambda: self._serve(shares, due_s))

    def _serve(self, shares: int, due_s: float) -> None:
        share = self._share % shares
        self._share = share + 1

        def publish() -> None:
            for link in itertools.islice(self._links, share, None, shares):
                self._publish(link)

        self._guarded(publish)
        self._after(due_s)

    def _check(self) -> None:
        self._guarded(lambda: self._presence.check(self._now_s()))
        self._in("check", self._presence.check_every_s, self._check)

    def _in(self, name: str, pause_s: float, what: Callable[[], None]) -> None:
        self._timers[name] = asyncio.get_running_loop().call_later(pause_s, what)

    def _guarded(self, what: Callable[[], object]) -> None:
        try:
            what()
        except Exception as error:  # noqa: BLE001 - the connection ends with it
            self._fail(error)
