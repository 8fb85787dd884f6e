"""What the console knows of all links: the news of their processes, of the independent watch, and the time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from endpoints.change_signal import ChangeSignal
from endpoints.clocks.clock import Clock
from endpoints.config.console_settings import ConsoleSettings
from endpoints.console.calls import calls, passed_half
from endpoints.console.facts import Facts, WatchFacts
from endpoints.console.history import History, Meanwhile
from endpoints.console.link_feed import LinkFeed
from endpoints.console.pages import build
from endpoints.console.preferences import Preferences
from endpoints.console.sessions import ReaderSession
from endpoints.control.open_items import slot_to_place
from protocol.wire.instants import Millis
from protocol.wire.messages import Digest, Identifier

HISTORY_EVERY_S = 5.0
_SECOND: Millis = 1_000


class PresentLinks:
    """The news of all links of one console.

    Attributes:
        changed: sent at each change.
        side: whose console it is.
        links: the ids of the links.
        status: what the links are for: one console shows one.
        language: of a browser that has chosen none.
    """

    def __init__(self, settings: ConsoleSettings, watch: ConsoleSettings | None, clock: Clock) -> None:
        """Prepare it; nothing is followed before `works` run."""
        self.changed = ChangeSignal()
        self.side = settings.side
        self.links = tuple(link.id for link in settings.links)
        self.status = settings.links[0].content.terms.policy.status
        self.language = settings.language
        self._settings = {link.id: link for link in settings.links}
        self._clock = clock
        self._channel_notes = settings.channel_notes
        self._real = settings.exercise_clock is None
        self._event: tuple[tuple[object, ...], bytes] | None = None
        # a console that was started anew may have the versions of the one before
        self._boot = secrets.token_hex(4)
        self._feeds = {link: LinkFeed(settings.control, link, self.changed.send) for link in self.links}
        self._histories = {link.id: History(link, settings.side) for link in settings.links}
        watched = () if watch is None else tuple(link.id for link in watch.links)
        self._watches = {
            link: LinkFeed(watch.control, link, self.changed.send)
            for link in self.links
            if watch is not None and link in watched
        }

    def now(self) -> Millis:
        """Return the time of the links: of an exercise, its own."""
        return self._clock.now()[0]

    @property
    def works(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run while the console does: one task for each link of each process."""
        return [self.refresh_histories, *(feed.run for feed in (*self._feeds.values(), *self._watches.values()))]

    def version_of(self, link: str) -> str:
        """Return what changes with each change of what is known of a link."""
        watch = self._watches.get(link)
        history = self._histories[link].generation
        return f"{self._boot}-{self._feeds[link].version}-{0 if watch is None else watch.version}-{history}"

    def event(self) -> bytes:
        """Return what every browser is told now, as JSON; all streams share it."""
        now = self.now()
        key = (now // _SECOND, *(self.version_of(link) for link in self.links))
        if self._event is None or self._event[0] != key:
            links = {link: {"version": self.version_of(link), "calls": self._calls(link, now)} for link in self.links}
            document = {"at": now, "rate": self._rate(), "real": self._real, "build": build(), "links": links}
            self._event = key, msgspec.json.encode(document)
        return self._event[1]

    def _calls(self, link: str, now: Millis) -> list[dict[str, object]]:
        """Return the sounds that a link asks for; none while its process does not answer: a banner reports that."""
        feed = self._feeds[link]
        if feed.last is None or not feed.condition.current:
            return []
        policy, snapshot = self._settings[link].content.terms.policy, feed.last.snapshot
        slot = None if snapshot is None else slot_to_place(snapshot, policy, now)
        return [
            {"sound": each.sound, "about": f"{link}/{each.about}", "half": passed_half(each, now)}
            for each in calls(feed.last.status, slot, policy.grace_s * _SECOND)
        ]

    def on_watch(self) -> Mapping[str, Identifier | None]:
        """Return who has the watch of each link, None for nobody; without the links that have not said it."""
        said = {link: feed.last.snapshot for link, feed in self._feeds.items() if feed.last is not None}
        return {
            link: None if snapshot.on_watch is None else snapshot.on_watch.officer
            for link, snapshot in said.items()
            if snapshot is not None
        }

    async def between(self, link: str, after: int) -> Meanwhile | None:
        """Return what was recorded after record `after`; None if the journal does not say."""
        history = self._histories[link]
        await history.bring_up_to(self._feeds[link].upto)
        if history.trouble or history.upto < self._feeds[link].upto:
            return None
        return history.between(after, history.upto)

    async def refresh_histories(self) -> None:
        """Read on in the journals now and then, until cancelled: a screen that needs them finds them read.

        They are looked at even if nothing new is expected: an older copy may have taken the place of a journal.
        """
        while True:
            for link, history in self._histories.items():
                before = history.generation
                await history.bring_up_to(max(self._feeds[link].upto, history.upto + 1))
                if history.generation != before:
                    self.changed.send()
            await asyncio.sleep(HISTORY_EVERY_S)

    async def facts(
        self, link: str, session: ReaderSession, preferences: Preferences, rest: str, *, with_history: bool = True
    ) -> Facts:
        """Return what a screen of `link` is made from; `with_history`, the journal is read up to its last record."""
        feed, history = self._feeds[link], self._histories[link]
        if with_history:
            await history.bring_up_to(feed.upto)
        # read after that wait, as the page's version is: an older state under a newer version would stay on the screen
        last = feed.last
        return Facts(
            settings=self._settings[link],
            side=self.side,
            status=None if last is None else last.status,
            snapshot=None if last is None else last.snapshot,
            heard_at=feed.heard_at,
            presence=feed.presence,
            upto=feed.upto,
            condition=feed.condition,
            now=self.now(),
            rate=self._rate(),
            watch=self._watch(link),
            history=history,
            role=session.role,
            officer=session.officer,
            texts=session.texts,
            preferences=preferences,
            rest=rest,
            channel_notes=self._channel_notes,
            roster=None if (officers := self.officers()) is None else frozenset(officers),
        )

    def _watch(self, link: str) -> WatchFacts | None:
        feed = self._watches.get(link)
        if feed is None:
            return None
        last = feed.last
        return WatchFacts(
            heard_at=feed.heard_at,
            status=None if last is None else last.status,
            snapshot=None if last is None else last.snapshot,
            condition=feed.condition,
        )

    def officers(self) -> Mapping[Identifier, Digest] | None:
        """Return the digest of each enrolled officer's entry, None before it is known."""
        heard = [feed.last.officers for feed in self._feeds.values() if feed.last is not None]
        return next((each for each in heard if each is not None), None)

    def _rate(self) -> int:
        return max(feed.rate for feed in self._feeds.values())
