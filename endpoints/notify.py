"""Delivers notifications as a log line, to a command, to a webhook: at least once, under a stable id (SPEC W3).

A receiver gets one JSON object: `id`, `link`, `side`, `kind` (`alarm`, `message`, `undelivered`) and, by kind, `alarm`
or `reference` and `body`. After a crash it may get the same notification again, under the same `id`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import stamina
import structlog
from msgspec import UNSET

from endpoints.config.settings import Notifications
from endpoints.failpoints import failpoint
from protocol.core.effects import Notify
from protocol.errors import LinkError

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

    def __init__(self, sinks: Sequence[Sink], done: Done) -> None:
        self._sinks = [(sink, asyncio.Semaphore(CONCURRENT_PER_SINK)) for sink in sinks]
        self._done = done
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, link: str, side: str, effect: Notify) -> None:
        """Deliver `effect` in the background; `done` is called from the event loop."""
        if len(self._tasks) >= WAITING_MAX:
            _log.error("notification given up: too many waiting", id=effect.id, link=link)
            self._done(link, effect.id, False)
            return
        task = asyncio.create_task(self._deliver(notice(link, side, effect)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Abandon unfinished deliveries; the next start repeats them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, content: dict[str, Any]) -> None:
        failpoint("before_notify")
        reached = await asyncio.gather(*(self._reach(sink, places, content) for sink, places in self._sinks))
        failpoint("after_notify")
        self._done(content["link"], content["id"], all(reached))

    async def _reach(self, sink: Sink, places: asyncio.Semaphore, content: dict[str, Any]) -> bool:
        try:
            async for attempt in stamina.retry_context(
                on=DeliveryError, attempts=ATTEMPTS, timeout=None, wait_max=BACKOFF_MAX_S
            ):
                with attempt:
                    async with places:
                        await sink.deliver(content)
        except DeliveryError as error:
            _log.error(
                "notification not delivered", id=content["id"], link=content["link"], sink=sink.name, why=str(error)
            )
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


def notice(link: str, side: str, effect: Notify) -> dict[str, Any]:
    """Return the JSON object that receivers of `effect` get."""
    content: dict[str, Any] = {"id": effect.id, "link": link, "side": side, "kind": effect.kind}
    if effect.alarm is not UNSET:
        content["alarm"] = msgspec.to_builtins(effect.alarm)
    if effect.reference is not UNSET:
        content["reference"] = str(effect.reference)
    if effect.body is not UNSET:
        content["body"] = effect.body
    return content
