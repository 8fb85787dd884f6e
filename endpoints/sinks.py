"""The receivers of notifications, and the monitor that expects a sign of life: each with limits in time and bytes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

import msgspec

from endpoints.config.notifications import Notifications
from endpoints.structured_log import get_logger
from protocol.core.event_fields import SinkName
from protocol.errors import LinkError
from protocol.phrases import phrase

COMMAND_WITHIN_S = 30.0
"""How long a command may run."""
_KILLED_WITHIN_S = 5.0
"""How long a killed command is waited for: one that hangs in a system call ends later, or never."""

_log = get_logger()


class DeliveryError(LinkError):
    """One attempt to deliver failed. The text never names an address, which may hold a secret."""


class Sink(Protocol):
    """A receiver of notifications."""

    @property
    def name(self) -> SinkName:
        """Its name in the log and in the journal."""

    async def deliver(self, notice: Mapping[str, Any]) -> None:
        """Deliver once, within a limit of time. Raises DeliveryError."""


@runtime_checkable
class PromptSink(Sink, Protocol):
    """A receiver that takes a notification without making anybody wait."""

    def write(self, notice: Mapping[str, Any]) -> None:
        """Deliver once, at once. Raises DeliveryError."""


class LogSink:
    """Writes one structured log line."""

    name: SinkName = "log"

    def __init__(self) -> None:
        self._bound: Any = None

    async def deliver(self, notice: Mapping[str, Any]) -> None:
        """Write the line. Raises DeliveryError if standard output takes no more."""
        self.write(notice)

    def write(self, notice: Mapping[str, Any]) -> None:
        """Write the line. Raises DeliveryError if standard output takes no more."""
        if self._bound is None:
            # structlog would look up its settings for each line
            self._bound = _log.bind()
        if self._bound.warning("notification", **notice) is False:
            raise DeliveryError(phrase("nobody reads standard output, and no more lines are kept for it"))


class CommandSink:
    """Runs a program with the notification as JSON on standard input; exit status 0 means delivered.

    The input is a file, which a program may leave unread. What the program leaves running in its process group is
    killed when it ends, or when its time is over.
    """

    name: SinkName = "command"

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = tuple(argv)

    async def deliver(self, notice: Mapping[str, Any]) -> None:
        """Run the program once. Raises DeliveryError."""
        # our own variables name secrets and test switches
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DECONFLICT_")}
        quiet = asyncio.subprocess.DEVNULL
        try:
            with _file_of(msgspec.json.encode(notice) + b"\n") as given:
                process = await asyncio.create_subprocess_exec(
                    *self._argv, stdin=given, stdout=quiet, stderr=quiet, env=environment, start_new_session=True
                )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise DeliveryError(phrase("it cannot be started: {why}", why=why)) from error
        try:
            async with asyncio.timeout(COMMAND_WITHIN_S):
                status = await process.wait()
        except TimeoutError as error:
            raise DeliveryError(phrase("it still runs after {seconds} s", seconds=round(COMMAND_WITHIN_S))) from error
        finally:
            # the group may be empty
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            if process.returncode is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _KILLED_WITHIN_S)
        if status:
            raise DeliveryError(phrase("its exit status is {status}", status=status))


def _file_of(data: bytes) -> IO[bytes]:
    """Return a file that holds `data` and has no name, in memory where the system can do that."""
    file = os.fdopen(os.memfd_create("notification"), "w+b")
    try:
        file.write(data)
        file.flush()
        file.seek(0)
    except OSError:
        file.close()
        raise
    return file


class _Server:
    """An HTTP server of the settings. The file of its authority is read for each request: it may be renewed."""

    def __init__(self, url: str, authority: Path | None) -> None:
        self._url = url
        self._authority = authority
        self._public: ssl.SSLContext | None = None

    async def request(self, method: str, headers: Mapping[str, str] | None = None, content: bytes = b"") -> None:
        """Send one request. Raises DeliveryError unless the answer is 2xx."""
        from endpoints import bounded_http  # noqa: PLC0415 - costs a third of a second, and few have a webhook

        try:
            trust = self._public or bounded_http.trusted(self._authority)
            if self._authority is None:
                self._public = trust
            status = await bounded_http.request(method, self._url, trust=trust, headers=headers, content=content)
        except LinkError as error:
            raise DeliveryError(error.args[0]) from error
        if not 200 <= status < 300:  # noqa: PLR2004 - success in HTTP
            raise DeliveryError(phrase("it answers {status}", status=status))


class WebhookSink:
    """Posts the JSON over HTTP; any 2xx means delivered. `Idempotency-Key` carries the id."""

    name: SinkName = "webhook"

    def __init__(self, url: str, authority: Path | None = None) -> None:
        """Post to `url`; over HTTPS trust the authorities in the PEM file, without one the public ones."""
        self._server = _Server(url, authority)

    async def deliver(self, notice: Mapping[str, Any]) -> None:
        """Post once. Raises DeliveryError."""
        headers = {"content-type": "application/json", "idempotency-key": notice["id"]}
        await self._server.request("POST", headers, msgspec.json.encode(notice))


class DeadMan:
    """Requests the URL of a monitor, which raises its own alarm when the requests stop (SPEC W6)."""

    name: SinkName = "dead_man"

    def __init__(self, url: str, authority: Path | None = None) -> None:
        """Request `url`; over HTTPS trust the authorities in the PEM file, without one the public ones."""
        self._server = _Server(url, authority)

    async def ping(self) -> None:
        """Give one sign of life. Raises DeliveryError."""
        await self._server.request("GET")


def sinks(settings: Notifications) -> list[Sink]:
    """Return the sinks that the settings name."""
    chosen: list[Sink] = []
    if settings.log:
        chosen.append(LogSink())
    if settings.command:
        chosen.append(CommandSink(settings.command))
    if settings.webhook:
        chosen.append(WebhookSink(settings.webhook, settings.authority))
    return chosen
