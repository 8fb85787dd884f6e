"""Tracks which parties are present on which link, from the presence topics (SPEC Q2.2, W3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from endpoints.mqtt.events import PresenceChanged
from endpoints.mqtt.topics import PRESENT

_SILENT_AFTER_BEATS = 5 / 3
"""A present party publishes once per beat; one lost message must not count as silence. What follows from silence is
reported within the second beat."""
_CHECKS_PER_BEAT = 24


class Presence:
    """Reports changes of presence: a party's own message, its will, or silence.

    Presence is a hint, never evidence. Silence counts beside the will because MQTT has one will per connection, and a
    broker that crashes publishes none.
    """

    def __init__(
        self, parties: Iterable[tuple[str, str]], beat_s: float, on_change: Callable[[PresenceChanged], None]
    ) -> None:
        """Track `parties`, each a link's id and a party of it, which publish their presence every `beat_s` seconds."""
        self._heard_at = dict.fromkeys(parties, 0.0)
        self._present: dict[tuple[str, str], bool] = {}
        # heard as present since `listen`
        self._greeted: set[tuple[str, str]] = set()
        self._silent_after_s = _SILENT_AFTER_BEATS * beat_s
        self.check_every_s = beat_s / _CHECKS_PER_BEAT
        """How often `check` is to be called."""
        self._on_change = on_change

    def listen(self, now_s: float) -> None:
        """Start anew: the connection was opened at `now_s`, and what was known before it is out of date."""
        self._heard_at = dict.fromkeys(self._heard_at, now_s)
        self._present.clear()
        self._greeted.clear()

    def forget(self, link: str, now_s: float) -> None:
        """Discard what is known about a link's parties, so that it is reported again to a new link runner."""
        for party in [party for party in self._heard_at if party[0] == link]:
            self._heard_at[party] = now_s
            self._present.pop(party, None)
            self._greeted.discard(party)

    def hear(self, link: str, party: str, payload: bytes, now_s: float) -> bool:
        """Take the payload of a presence topic; anything but `present` means gone.

        Returns True if the party has just arrived: it may have missed our own presence, so repeat it now.
        """
        if (link, party) not in self._heard_at:
            return False
        self._heard_at[link, party] = now_s
        present = payload == PRESENT
        arrived = present and (link, party) not in self._greeted
        if present:
            self._greeted.add((link, party))
        else:
            self._greeted.discard((link, party))
        self._note(link, party, present=present)
        return arrived

    def check(self, now_s: float) -> bool:
        """Report parties as gone that have been silent for too long; return whether all are silent."""
        silent = [party for party, heard_at in self._heard_at.items() if now_s - heard_at > self._silent_after_s]
        for link, party in silent:
            self._note(link, party, present=False)
        return len(silent) == len(self._heard_at)

    def _note(self, link: str, party: str, *, present: bool) -> None:
        if self._present.get((link, party)) is not present:
            self._present[link, party] = present
            self._on_change(PresenceChanged(link, party, present))
