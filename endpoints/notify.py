"""Delivers notifications as a log line, to a command, to a webhook: at least once, under a stable id (SPEC W3).

What a receiver gets is written by `endpoints.texts.notices`. After a crash a receiver may get the same notification
again, under the same `id`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import stamina
from msgspec import UNSET

from endpoints.config.settings import ProcessSettings
from endpoints.failpoints import failpoint
from endpoints.sinks import DeliveryError, PromptSink, Sink
from endpoints.structured_log import get_logger
from endpoints.texts.i18n import translator
from endpoints.texts.notices import NoticeWords, notice
from protocol.core.alarms import AlarmCode
from protocol.core.effects import Notify
from protocol.core.event_fields import SinkName
from protocol.phrases import phrase
from protocol.wire.instants import Millis

WAITING_MAX = 4_000
"""Notifications waiting for one sink at most. Beyond it they are given up for this sink, which is journaled."""
CONCURRENT_PER_SINK = 4
ATTEMPTS = 5
BACKOFF_MIN_S = 1.0
BACKOFF_MAX_S = 30.0
DELIVER_WITHIN_S = 300.0
"""How long one notification may take at one sink, all attempts included: later ones get their turn."""
FAILING_AFTER = 2
"""Failed attempts in a row after which a sink is reported as failing: one may be a receiver that restarts."""

Done = Callable[[str, str, bool], None]
"""Called with link, id and whether every sink was reached."""
Content = Callable[[], dict[str, Any]]
"""Writes a notification as of now."""

_log = get_logger()


class SinkHealth(Protocol):
    """Takes what is known about each sink."""

    def failed(self, sink: SinkName, why: str) -> None:
        """Note that a sink does not take what it is given."""

    def reached(self, sink: SinkName) -> None:
        """Note that a sink has taken something."""


class _Lane:
    """One sink, its places, and what waits for it. Lanes do not wait for each other."""

    def __init__(self, sink: Sink, health: SinkHealth) -> None:
        self._sink = sink
        self._prompt = sink if isinstance(sink, PromptSink) else None
        self._health = health
        self._places = asyncio.Semaphore(CONCURRENT_PER_SINK)
        self._waiting = 0
        self._failures = 0

    def take(self, content: Content) -> bool:
        """Deliver without waiting, if the sink can; return whether it was reached. If not, `reach` tries again."""
        if self._prompt is None:
            return False
        try:
            self._prompt.write(content())
        except Exception:  # noqa: BLE001 - the attempts of `reach` report it
            return False
        self._reached()
        return True

    async def reach(self, effect: Notify, link: str, content: Content) -> bool:
        """Deliver to this sink; return whether it was reached. It ends within `DELIVER_WITHIN_S`."""
        if self._waiting >= WAITING_MAX:
            self._given_up(effect, link, phrase("{count} notifications wait already", count=WAITING_MAX))
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(DELIVER_WITHIN_S):
                await self._attempt(effect, content)
        except DeliveryError as error:
            self._given_up(effect, link, str(error))
            return False
        except TimeoutError:
            why = phrase("not delivered within {seconds} s", seconds=round(DELIVER_WITHIN_S))
            self._given_up(effect, link, why)
            return False
        except Exception:  # noqa: BLE001 - the other sinks still get it
            _log.exception("a bug of ours prevents a notification", id=effect.id, link=link, sink=self._sink.name)
            return False
        finally:
            self._waiting -= 1
        return True

    async def _attempt(self, effect: Notify, content: Content) -> None:
        async for attempt in stamina.retry_context(
            on=DeliveryError, attempts=ATTEMPTS, timeout=None, wait_initial=BACKOFF_MIN_S, wait_max=BACKOFF_MAX_S
        ):
            with attempt:
                async with self._places:
                    try:
                        # written anew for each attempt: an alert may expire meanwhile
                        await self._sink.deliver(content())
                    except DeliveryError as error:
                        self._failed(effect, error)
                        raise
                    self._reached()

    def _reached(self) -> None:
        self._failures = 0
        self._health.reached(self._sink.name)

    def _failed(self, effect: Notify, error: DeliveryError) -> None:
        if effect.alarm is not UNSET and effect.alarm.code is AlarmCode.SINK_FAILING:
            # the alarm about a sink must not raise the next one
            return
        self._failures += 1
        if self._failures >= FAILING_AFTER:
            self._health.failed(self._sink.name, error.args[0])

    def _given_up(self, effect: Notify, link: str, why: str) -> None:
        _log.error("notification not delivered", id=effect.id, link=link, sink=self._sink.name, why=str(why))


class Notifier:
    """Delivers each notification to every sink in the background, and reports when it is done."""

    def __init__(self, sinks: Sequence[Sink], done: Done, words: NoticeWords, health: SinkHealth) -> None:
        """Make a notifier.

        Args:
            sinks: the receivers.
            done: called when a notification has reached them, or was given up.
            words: writes the text for people.
            health: takes which sinks fail.
        """
        self._words = words
        self._lanes = [_Lane(sink, health) for sink in sinks]
        self._done = done
        self._closed = False
        # by link and id; bounded: a core has at most `PENDING_MAX` of them
        self._under_way: set[tuple[str, str]] = set()
        # those of them that a sink did not take at once; bounded: each lane gives up what is too much
        self._tasks: set[asyncio.Task[None]] = set()

    def use(self, words: NoticeWords) -> None:
        """Write the texts with other words from now on: the link files have changed."""
        self._words = words

    def submit(self, link: str, side: str, effect: Notify) -> None:
        """Deliver `effect` behind this turn of the loop, whose frames go first; then `done` is called.

        One that is under way already is not delivered twice: a link that starts again repeats what is not done.
        """
        name = (link, effect.id)
        if name in self._under_way:
            return
        self._under_way.add(name)
        asyncio.get_running_loop().call_soon(self._begin, link, side, effect)

    async def close(self) -> None:
        """Abandon unfinished deliveries; the next start repeats them."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, link: str, side: str, effect: Notify) -> None:
        """Deliver to the sinks that take it at once, and begin the attempts at the others."""
        if self._closed:
            return
        failpoint("before_notify")
        content = partial(self._notice, link, side, effect)
        others = [lane for lane in self._lanes if not lane.take(content)]
        if not others:
            self._end(link, effect, reached=True)
            return
        task = asyncio.create_task(self._deliver(link, effect, content, others))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, link: str, effect: Notify, content: Content, lanes: Sequence[_Lane]) -> None:
        reached = await asyncio.gather(*(lane.reach(effect, link, content) for lane in lanes))
        self._end(link, effect, reached=all(reached))

    def _end(self, link: str, effect: Notify, *, reached: bool) -> None:
        failpoint("after_notify")
        # before it is reported: from then on the same notification is a new one
        self._under_way.discard((link, effect.id))
        self._done(link, effect.id, reached)

    def _notice(self, link: str, side: str, effect: Notify) -> dict[str, Any]:
        return notice(link, side, effect, self._words)


def words_of(settings: ProcessSettings, read_clocks: Callable[[], tuple[Millis, Millis]]) -> NoticeWords:
    """Return the words of a process's notifications; `read_clocks` returns `(at, mono)`."""
    zones = {link.id: link.content.zone_of(settings.side) for link in settings.links}
    channels = {link.id: link.content.terms.policy.channels for link in settings.links}
    statuses = {link.id: link.content.terms.policy.status for link in settings.links}
    return NoticeWords(translator(settings.language), lambda: read_clocks()[0], zones, channels, statuses)


def test_notice(settings: ProcessSettings, words: NoticeWords, number: str) -> dict[str, Any]:
    """Return the JSON object of a message that only tests the receivers; `number` tells it from earlier ones."""
    links = [link.id for link in settings.links]
    text = words.test(settings.side, links, words.now())
    return {"text": text, "id": f"test/{number}", "link": links[0], "side": settings.side, "kind": "test"}
