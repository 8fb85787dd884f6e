"""Who is present on which link, from the presence topics: a hint, never evidence (SPEC Q2.2, W3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from endpoints.mqtt.events import PresenceChanged
from endpoints.mqtt.topics import PRESENT

_SILENT_AFTER_BEATS = 2.5
"""A present party repeats itself every beat; two lost ones are not yet silence."""


class Presence:
    """Tells changes only: by a party's own word, by its will, or because it says nothing for two and a half beats.

    Silence matters beside the will: MQTT has one will for a connection, and a broker that dies takes it along.
    """

    def __init__(
        self, parties: Iterable[tuple[str, str]], beat_s: float, tell: Callable[[PresenceChanged], None]
    ) -> None:
        """Watch over `parties`, each a link's id and a party of it, who speak every `beat_s` seconds."""
        self._heard_at = dict.fromkeys(parties, 0.0)
        self._present: dict[tuple[str, str], bool] = {}
        # heard as present since we listen
        self._greeted: set[tuple[str, str]] = set()
        self._silent_after_s = _SILENT_AFTER_BEATS * beat_s
        self._tell = tell

    def listen(self, now_s: float) -> None:
        """Begin to wait: there is a connection from now on."""
        self._heard_at = dict.fromkeys(self._heard_at, now_s)
        self._greeted.clear()

    def forget(self, link: str, now_s: float) -> None:
        """Know nothing of a link's parties any more, and wait: whoever asks from now on is to be told all of it."""
        for party in [party for party in self._heard_at if party[0] == link]:
            self._heard_at[party] = now_s
            self._present.pop(party, None)
            self._greeted.discard(party)

    def hear(self, link: str, party: str, word: bytes, now_s: float) -> bool:
        """Take a word from a presence topic; anything but `present` is `gone`.

        Returns True if the party has come: it may have missed our own word, and waits for the next beat otherwise.
        """
        if (link, party) not in self._heard_at:
            return False
        self._heard_at[link, party] = now_s
        present = word == PRESENT
        came = present and (link, party) not in self._greeted
        if present:
            self._greeted.add((link, party))
        else:
            self._greeted.discard((link, party))
        self._note(link, party, present=present)
        return came

    def check(self, now_s: float) -> None:
        """Count those as gone who have been silent for too long."""
        for (link, party), heard_at in self._heard_at.items():
            if now_s - heard_at > self._silent_after_s:
                self._note(link, party, present=False)

    def _note(self, link: str, party: str, *, present: bool) -> None:
        if self._present.get((link, party)) is not present:
            self._present[link, party] = present
            self._tell(PresenceChanged(link, party, present))
