"""Delivers notifications as a log line, to a command, to a webhook: at least once, under a stable id (SPEC W3).

A receiver gets one JSON object: `text`, one line for people in the language of the settings, `id`, `link`, `side`,
`kind` (`alarm`, `message`) and, by kind, `alarm`, or `reference`, `body`, `sent_at` and `received_at`. `text` begins
with how old the message is, and `stale` says the same for programs (SPEC M8.4). After a crash a receiver may get the
same notification again, under the same `id`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec
import stamina
import structlog
from msgspec import UNSET

from endpoints.config.settings import Notifications, ProcessSettings
from endpoints.failpoints import failpoint
from endpoints.texts.i18n import Translator, translator
from endpoints.texts.printable import one_line
from endpoints.texts.wording import age_warning, wording
from protocol.core.alarms import Alarm
from protocol.core.effects import Notify
from protocol.core.staleness import Staleness, expiry, staleness
from protocol.errors import LinkError
from protocol.wire.instants import Millis, parsed

WAITING_MAX = 4_000
"""Notifications waiting or being delivered. Beyond it the receivers are down: more are given up, which is journaled."""
CONCURRENT_PER_SINK = 4
ATTEMPTS = 5
BACKOFF_MAX_S = 30.0
COMMAND_TIMEOUT_S = 30.0
WEBHOOK_TIMEOUT_S = 10.0

Done = Callable[[str, str, bool], None]
"""Called with link, id and whether every sink was reached."""

_log = structlog.get_logger()


class DeliveryError(LinkError):
    """One attempt to deliver a notification failed."""


class Sink(Protocol):
    """A receiver of notifications."""

    @property
    def name(self) -> str:
        """Its name in the log; never an address, which may hold a secret."""

    async def deliver(self, notice: dict[str, Any]) -> None:
        """Deliver once. Raises DeliveryError."""


class LogSink:
    """Writes one structured log line."""

    name = "log"

    async def deliver(self, notice: dict[str, Any]) -> None:
        """Write the line; it cannot fail."""
        _log.warning("notification", **notice)


class CommandSink:
    """Runs a program with the notification as JSON on standard input; exit status 0 means delivered."""

    name = "command"

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = tuple(argv)

    async def deliver(self, notice: dict[str, Any]) -> None:
        """Run the program once."""
        # our own variables name secrets and test switches
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DECONFLICT_")}
        quiet = asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv, stdin=asyncio.subprocess.PIPE, stdout=quiet, stderr=quiet, env=environment
            )
        except OSError as error:
            raise DeliveryError(f"cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                await process.communicate(msgspec.json.encode(notice) + b"\n")
        except TimeoutError as error:
            raise DeliveryError(f"still running after {COMMAND_TIMEOUT_S:.0f} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise DeliveryError(f"exit status {process.returncode}")


class WebhookSink:
    """Posts the JSON over HTTP; any 2xx means delivered. `Idempotency-Key` carries the id."""

    name = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url

    async def deliver(self, notice: dict[str, Any]) -> None:
        """Post once."""
        import httpx  # noqa: PLC0415 - costs a third of a second, and few have a webhook

        headers = {"content-type": "application/json", "idempotency-key": notice["id"]}
        try:
            async with httpx.AsyncClient(timeout=WEBHOOK_TIMEOUT_S, trust_env=False) as client:
                response = await client.post(self._url, content=msgspec.json.encode(notice), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeliveryError(f"not reached: {type(error).__name__}") from error
        if not response.is_success:
            raise DeliveryError(f"answered {response.status_code}")


class Notifier:
    """Delivers each notification to every sink in the background, and reports when it is done."""

    def __init__(self, sinks: Sequence[Sink], done: Done, words: NoticeWords) -> None:
        """Make a notifier.

        Args:
            sinks: the receivers.
            done: called when a notification has reached them, or was given up.
            words: writes the text for people.
        """
        self._words = words
        self._sinks = [(sink, asyncio.Semaphore(CONCURRENT_PER_SINK)) for sink in sinks]
        self._done = done
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, link: str, side: str, effect: Notify) -> None:
        """Deliver `effect` in the background; `done` is called from the event loop."""
        if len(self._tasks) >= WAITING_MAX:
            _log.error("notification given up: too many waiting", id=effect.id, link=link)
            self._done(link, effect.id, False)
            return
        task = asyncio.create_task(self._deliver(link, side, effect))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Abandon unfinished deliveries; the next start repeats them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, link: str, side: str, effect: Notify) -> None:
        failpoint("before_notify")
        content = partial(notice, link, side, effect, self._words)
        reached = await asyncio.gather(
            *(self._reach(sink, places, content, effect.id, link) for sink, places in self._sinks)
        )
        failpoint("after_notify")
        self._done(link, effect.id, all(reached))

    async def _reach(
        self, sink: Sink, places: asyncio.Semaphore, content: Callable[[], dict[str, Any]], name: str, link: str
    ) -> bool:
        try:
            async for attempt in stamina.retry_context(
                on=DeliveryError, attempts=ATTEMPTS, timeout=None, wait_max=BACKOFF_MAX_S
            ):
                with attempt:
                    async with places:
                        # written anew for each attempt: an alert may expire meanwhile
                        await sink.deliver(content())
        except DeliveryError as error:
            _log.error("notification not delivered", id=name, link=link, sink=sink.name, why=str(error))
            return False
        return True


def sinks(settings: Notifications) -> list[Sink]:
    """Return the sinks that the settings name."""
    chosen: list[Sink] = []
    if settings.log:
        chosen.append(LogSink())
    if settings.command:
        chosen.append(CommandSink(settings.command))
    if settings.webhook:
        chosen.append(WebhookSink(settings.webhook))
    return chosen


class NoticeWords:
    """Writes the texts of notifications: in one language, as of now, on the wall clock of each link's own site."""

    def __init__(self, t: Translator, now: Callable[[], Millis], zones: Mapping[str, str]) -> None:
        """Make it.

        Args:
            t: the language.
            now: reads the wall clock, in ms since 1970.
            zones: the time zone of this side's site, by link.
        """
        self.now = now
        self._t = t
        self._zones = zones

    def alarm(self, alarm: Alarm, now: Millis) -> str:
        """Return the text for an alarm; first of all, whether it, or the message that it is about, is old."""
        t = self._t
        what = f"{t.term('alarm', alarm.code)} ({alarm.subject})"
        if alarm.detail:
            what = f"{what}: {alarm.detail}"
        since = alarm.cleared_at or alarm.detected_at
        if alarm.cleared_at:
            what = t("cleared: {alarm}", alarm=what)
        if staleness(None, since, now, now).old_since is not None:
            what = f"{t('OLD, of {when}', when=t.instant(parsed(since), 'UTC'))}: {what}"
        return one_line(f"{age_warning(alarm.stale or Staleness(), t, now)}{what}")

    def message(self, link: str, effect: Notify, stale: Staleness, now: Millis) -> str:
        """Return the text for a message; first of all, what makes it old news (SPEC M8.4)."""
        zone = self._zones.get(link, "UTC")
        warning = age_warning(stale, self._t, now, zone)
        return f"{warning}{effect.reference}: {wording(effect.body or {}, self._t, zone)}"


def words_of(settings: ProcessSettings, read_clocks: Callable[[], tuple[Millis, Millis]]) -> NoticeWords:
    """Return the words of a process's notifications; `read_clocks` returns `(at, mono)`."""
    zones = {link.id: link.content.zone_of(settings.side) for link in settings.links}
    return NoticeWords(translator(settings.language), lambda: read_clocks()[0], zones)


def notice(link: str, side: str, effect: Notify, words: NoticeWords) -> dict[str, Any]:
    """Return the JSON object that receivers of `effect` get now; `text` comes first."""
    now = words.now()
    content: dict[str, Any] = {"text": "", "id": effect.id, "link": link, "side": side, "kind": effect.kind}
    if effect.alarm is not UNSET:
        content["text"] = words.alarm(effect.alarm, now)
        content["alarm"] = msgspec.to_builtins(effect.alarm)
        return content
    body, sent_at, received_at = effect.body or {}, effect.sent_at or None, effect.received_at or None
    arrived = now if received_at is None else max(now, parsed(received_at))
    stale = staleness(expiry(body), sent_at, arrived, now)
    content["text"] = words.message(link, effect, stale, now)
    if stale:
        content["stale"] = msgspec.to_builtins(stale)
    return content | {
        "reference": str(effect.reference),
        "body": body,
        "sent_at": sent_at,
        "received_at": received_at,
    }
