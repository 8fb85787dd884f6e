"""A stack that runs already: two endpoints on this machine, whose settings name their sockets and journals.

Every link that is used must be an exercise, and no receiver of notifications may be configured besides the log.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from endpoints.clocks.clock import SystemClock
from endpoints.config.settings import EndpointSettings, LinkSettings, load_endpoint
from endpoints.control.client import ANSWER_WITHIN_S, EXIT_UNREACHABLE
from endpoints.errors import UserError
from endpoints.keys.credentials import read_credential
from endpoints.keys.private_files import exists
from load.alerts import MARK, Template, template
from load.at_control import ControlLoad, get, post
from load.channel import Row
from load.driver import Load, Told
from load.journal_tail import JournalTail
from load.stack import LoadedLink, SliceOutcome
from protocol.phrases import phrase

SLICE_MAX = 1_000
"""Exchanges of one slice: officers share the room for open alerts, and each is acknowledged by a request."""
AT_ONCE_MAX = 8
"""Acknowledgements at a time."""
_PEER = "3i"


class RunningSide:
    """One endpoint of a running stack: its settings, and an officer whose credential lies beside them."""

    def __init__(self, path: Path) -> None:
        """Read the settings. Raises UserError."""
        self.settings: EndpointSettings = load_endpoint(_settings_of(path) if path.is_socket() else path)
        self.officer, self.credential = _officer(self.settings)
        _require_quiet(self.settings)

    @property
    def name(self) -> str:
        """The side's id."""
        return self.settings.side

    def pid(self) -> int | None:
        """Return the process that listens at the control socket; None if it is in another container."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self.settings.control))
                credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_PEER))
            except OSError:
                return None
        return struct.unpack(_PEER, credentials)[0] or None

    async def get(self, link: str, what: str) -> dict[str, Any]:
        """Return a document of a link. Raises UserError."""
        return await _in_time(self.settings.control, get(self.settings.control, f"/v1/links/{link}/{what}"))

    async def acknowledge(self, link: str, reference: str) -> None:
        """Acknowledge an alert. Raises UserError."""
        ask = {
            "request": secrets.token_hex(8),
            "officer": self.officer,
            "credential": self.credential,
            "of": reference,
            "decision": "understood",
        }
        body = msgspec.json.encode(ask)
        await _in_time(self.settings.control, post(self.settings.control, f"/v1/links/{link}/acknowledge", body))


class RunningPair(Struct, frozen=True):
    """What a load test uses of two running endpoints."""

    sender: RunningSide
    receiver: RunningSide
    links: tuple[LoadedLink, ...]


class RunningStack:
    """Two running endpoints; `running_stack` makes one."""

    flushed = False
    slice_max = SLICE_MAX

    def __init__(self, pair: RunningPair) -> None:
        self._sender, self._receiver = pair.sender, pair.receiver
        self.names = (pair.sender.name, pair.receiver.name)
        self.links = pair.links
        self._running: ControlLoad | None = None
        self._tails: list[JournalTail] = []

    @property
    def pids(self) -> dict[str, int]:
        """The processes that can be looked into."""
        found = {side.name: side.pid() for side in (self._sender, self._receiver)}
        return {name: pid for name, pid in found.items() if pid is not None}

    def template(self, run: str, size_bytes: int) -> Template:
        """Return the template of the run's alerts. Raises UserError."""
        return template(run, self.links[0].file, self._sender.officer, size_bytes)

    def follow(self) -> None:
        """Follow the sender's journals. Raises UserError."""
        clock_ns = SystemClock().precise_ns
        for link in self.links:
            self._tails.append(JournalTail(link.id, link.journals[0], clock_ns, self._receipted))

    def leave(self) -> None:
        """Follow nothing any more."""
        for tail in self._tails:
            tail.stop()

    async def exchange(self, load: Load, template: Template, first: int, told: Told) -> SliceOutcome:
        """Run one slice. Raises UserError."""
        self._running = ControlLoad(
            self._sender.settings.control,
            SystemClock().precise_ns,
            load,
            tuple(link.id for link in self.links),
            template,
            self._sender.credential,
            first,
            told,
        )
        try:
            return await self._running.run()
        finally:
            self._running = None

    def end_slice(self) -> None:
        """Begin no more exchanges."""
        if self._running is not None:
            self._running.driver.stop()

    async def acknowledge(self, told: Told) -> int:
        """Acknowledge the alerts of load tests, this one's and those that an interrupted one has left open."""
        count = 0
        for link in self.links:
            snapshot = await self._receiver.get(link.id, "snapshot")
            waiting = [each["reference"] for each in snapshot["alerts"] if _is_open(each, self._sender.name)]
            for place in range(0, len(waiting), AT_ONCE_MAX):
                some = waiting[place : place + AT_ONCE_MAX]
                await asyncio.gather(*(self._receiver.acknowledge(link.id, each) for each in some))
                count += len(some)
                told(count)
        return count

    async def rows(self) -> tuple[list[Row], list[Row]]:
        """Return nothing: stages are timed inside an endpoint."""
        return [], []

    async def check(self) -> None:
        """Raise UserError unless both processes run, are connected, and the links are exercises there too."""
        for side in (self._sender, self._receiver):
            for link in self.links:
                status = (await side.get(link.id, "snapshot"))["status"]
                _require_exercise(link.id, status)
                if (await side.get(link.id, "status"))["broker"] != "connected":
                    raise UserError(
                        phrase(
                            "{side}: not connected to the broker; see: {command}",
                            side=side.name,
                            command=shlex.join(["deconflict", "status", str(side.settings.path)]),
                        ),
                        exit_code=1,
                    )

    def _receipted(self, link: str, upto: int, at_ns: int) -> None:
        if self._running is not None:
            self._running.receipted(link, upto, at_ns)


@asynccontextmanager
async def running_stack(pair: RunningPair) -> AsyncIterator[RunningStack]:
    """Yield the stack of two running endpoints. Raises UserError."""
    stack = RunningStack(pair)
    await stack.check()
    try:
        stack.follow()
        yield stack
    finally:
        stack.leave()


def running_pair(sending: Path, receiving: Path, count: int, wanted: str | None) -> RunningPair:
    """Return two endpoints and `count` links that both have, or the one that is `wanted`. Raises UserError.

    Args:
        sending: the sender's `endpoint.toml`, or its control socket beside that.
        receiving: the receiver's.
        count: of links.
        wanted: the only link to use; None for the first ones.
    """
    sender, receiver = RunningSide(sending), RunningSide(receiving)
    if sender.name == receiver.name:
        raise UserError(phrase("{side}: twice the same side; name both endpoints of a link", side=sender.name))
    theirs = {link.id: link for link in receiver.settings.links}
    both = [(link, theirs[link.id]) for link in sender.settings.links if link.id in theirs]
    if wanted is not None:
        both = [(own, other) for own, other in both if own.id == wanted]
    if len(both) < count:
        raise UserError(
            phrase(
                "{sender} and {receiver} have {found} links in common, not {count}",
                sender=sender.settings.path,
                receiver=receiver.settings.path,
                found=len(both),
                count=count,
            )
        )
    return RunningPair(sender, receiver, tuple(_loaded(own, other) for own, other in both[:count]))


def _loaded(own: LinkSettings, other: LinkSettings) -> LoadedLink:
    _require_exercise(own.id, own.content.terms.policy.status)
    return LoadedLink(file=own.content, journals=(own.journal, other.journal))


def _require_exercise(link: str, status: str) -> None:
    if status != "exercise":
        raise UserError(
            phrase(
                "link {link}: its status is {status}; a load test runs over exercise links alone",
                link=link,
                status=status,
            )
        )


def _require_quiet(settings: EndpointSettings) -> None:
    """Raise UserError if notifications go anywhere but to the log: a load test must page nobody."""
    if settings.notifications.command or settings.notifications.webhook:
        raise UserError(
            phrase(
                "{path}: notifications: a load test would page somebody for every alert; leave only log = true there",
                path=settings.path,
            )
        )


def _settings_of(control: Path) -> Path:
    """Return the settings beside a control socket. Raises UserError if there are none."""
    beside = control.resolve().parent / "endpoint.toml"
    if not exists(beside):
        raise UserError(
            phrase("{socket}: no endpoint.toml beside this control socket; name that file instead", socket=control)
        )
    return beside


def _officer(settings: EndpointSettings) -> tuple[str, str]:
    """Return an officer and their credential. Raises UserError."""
    folder = settings.path.absolute().parent / "keys" / "officers"
    for officer in settings.officers:
        path = folder / f"{officer}.credential"
        if exists(path):
            return officer, read_credential(path)
    raise UserError(
        phrase("{folder}: no credential of an officer there, such as {name}", folder=folder, name="OFFICER.credential")
    )


def _is_open(alert: dict[str, Any], sender: str) -> bool:
    """Return whether an alert in a snapshot waits for its acknowledgement, and is of a load test."""
    texts = alert["alert"]["text"].values()
    ours = alert["alert"]["status"] == "test" and all(text.startswith(MARK) for text in texts)
    return ours and alert["state"] == "received" and alert["reference"].startswith(f"{sender}/")


async def _in_time(path: Path, asking: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = await asyncio.wait_for(asking, ANSWER_WITHIN_S)
    except TimeoutError:
        raise UserError(
            phrase("{socket}: no answer in time; the process or its disk hangs", socket=path),
            exit_code=EXIT_UNREACHABLE,
        ) from None
    return answer
