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

    def start(self, fail: Callable[[Exception], None]) -> None:
        """Begin: the first links are served after a share of a beat. `fail` takes what `publish` raises."""
        self._fail = fail
        self._after(0)
        self._check()

    def stop(self) -> None:
        """End: nothing is published or checked any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _after(self, share: int) -> None:
        """Serve a share of the links in a while, then the next one: each once a beat.

        All of a thousand links at a time would take the loop from the frames for many milliseconds.
        """
        shares = max(1, min(len(self._links), SHARES_MAX))
        self._in("beat", self._beat_s / shares, lambda: self._serve(share % shares, shares))

    def _serve(self, share: int, shares: int) -> None:
        def publish() -> None:
            for link in itertools.islice(self._links, share, None, shares):
                self._publish(link)

        self._guarded(publish)
        self._after(share + 1)

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
