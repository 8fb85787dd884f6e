"""A stack of the load test's own: a broker and both measured endpoints, in a folder that is removed afterwards."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from msgspec import structs

from broker import configuration
from broker.errors import BrokerError
from broker.local import LocalBroker, find
from broker.pki import Authority
from endpoints.clocks.clock import SystemClock
from endpoints.config import default_terms
from endpoints.config.first_certificates import AUTHORITY
from endpoints.config.link_file import LinkFile
from endpoints.config.provision import WATCH, BrokerPlan, provision
from endpoints.config.settings import load_endpoint
from endpoints.control.client import ControlClient, RequestRefused, Unreachable
from endpoints.errors import UserError, os_reason
from endpoints.keys.credentials import read_credential
from endpoints.keys.private_files import make_private_folder
from load.alerts import Template, template
from load.at_control import ControlLoad
from load.channel import AcknowledgeAll, Acknowledged, Collect, EndRun, Ran, Receipted, Row, Rows, Run
from load.child import START_WITHIN_S, Child
from load.driver import Load, Told
from load.stack import LoadedLink, SliceOutcome
from load.yardsticks.client import LINK, RECEIVER, SENDER
from load.yardsticks.subject import YardstickBroker
from protocol.phrases import phrase, worded
from protocol.wire.policy import Terms

SLICE_MAX = 8_000
"""Exchanges of one slice, each of which leaves an alert open: a link has room for 10,000."""
SIDES = (default_terms.CALLER, default_terms.ANSWERING)
_SLOT = "0 0 1 1 *"
"""A line test once a year: none of them comes into a measurement."""
_LOOK_EVERY_S = 0.05
_MEASURED = "load.measured_endpoint"


class LocalStack:
    """A running stack; `local_stack` makes one."""

    names = SIDES
    flushed = True
    slice_max = SLICE_MAX

    def __init__(
        self,
        folder: Path,
        files: Sequence[LinkFile],
        broker: LocalBroker,
        children: tuple[Child, Child],
        *,
        at_queue: bool,
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.links = tuple(LoadedLink(file=each, journals=_journals(folder, each.terms.link)) for each in files)
        self._sender, self._receiver = children
        self._at_queue = at_queue
        settings = load_endpoint(_config(folder, SIDES[0]))
        self._officer = next(iter(settings.officers))
        self._credential = read_credential(settings.path.parent / "keys" / "officers" / f"{self._officer}.credential")
        self._socket = settings.control
        self._running: ControlLoad | None = None
        self._restarted = AsyncExitStack()

    @property
    def pids(self) -> dict[str, int]:
        """The processes, by name."""
        found = {child.name: child.pid for child in (self._sender, self._receiver)}
        return found if self.broker.pid is None else {**found, "broker": self.broker.pid}

    @property
    def yardsticks(self) -> YardstickBroker | None:
        """The broker, for yardsticks."""
        if self.broker.pid is None:
            return None
        return YardstickBroker(
            port=self.broker.port,
            authority=self.folder / "d" / AUTHORITY / "ca.crt",
            tls={name: tls(self.folder, name) for name in (SENDER, RECEIVER)},
            folder=self.folder,
            broker=self.broker.pid,
        )

    def template(self, run: str, size_bytes: int) -> Template:
        """Return the template of the run's alerts. Raises UserError."""
        return template(run, self.links[0].file, self._officer, size_bytes)

    async def exchange(self, load: Load, template: Template, first: int, told: Told) -> SliceOutcome:
        """Run one slice. Raises UserError."""
        ids = tuple(link.id for link in self.links)
        if self._at_queue:
            ran = await self._sender.ask(Run(load, ids, template, first), told, within_s=None)
            assert isinstance(ran, Ran), "Run is answered with Ran"
            return SliceOutcome(times=ran.slice, seqs=ran.seqs, answered_ns=[0] * len(ran.seqs))
        running = ControlLoad(
            self._socket, SystemClock().precise_ns, load, ids, template, self._credential, first, told
        )
        self._running = running
        self._sender.hear_receipts(lambda row: running.receipted(row.link, row.upto, row.flush_ends_ns))
        try:
            return await self._sender.unless_ended(running.run())
        finally:
            self._running = None
            self._sender.hear_receipts(None)

    def end_slice(self) -> None:
        """Begin no more exchanges."""
        if self._running is not None:
            self._running.driver.stop()
        elif self._at_queue:
            self._sender.tell(EndRun())

    async def acknowledge(self, told: Told) -> int:
        """Acknowledge every open alert at the receiver."""
        answer = await self._receiver.ask(AcknowledgeAll(), told)
        assert isinstance(answer, Acknowledged), "AcknowledgeAll is answered with Acknowledged"
        return answer.count

    async def rows(self) -> tuple[list[Row], list[Row]]:
        """Return what both endpoints have timed since the last call."""
        sent, received = await self._sender.ask(Collect()), await self._receiver.ask(Collect())
        assert isinstance(sent, Rows), "Collect is answered with Rows"
        assert isinstance(received, Rows), "Collect is answered with Rows"
        return sent.rows, received.rows

    def config(self, side: str) -> Path:
        """Return the path of a side's settings."""
        return _config(self.folder, side)

    def control(self, side: str) -> Path:
        """Return the path of a side's control socket."""
        return load_endpoint(_config(self.folder, side)).control

    async def stop_sender(self) -> None:
        """Stop the sender in order."""
        await self._sender.stop()

    async def stop_receiver(self) -> None:
        """Stop the receiver in order."""
        await self._receiver.stop()

    async def start_sender(self) -> None:
        """Start the sender again, and return when it is connected. Raises UserError."""
        self._sender = await self._start_again(SIDES[0])
        await self.connected(SIDES[:1])

    async def start_receiver(self) -> None:
        """Start the receiver again, and return when it serves. Raises UserError."""
        self._receiver = await self._start_again(SIDES[1])
        await self._receiver.serving()

    async def _start_again(self, side: str) -> Child:
        child = await _start(self.folder, side)
        self._restarted.push_async_callback(child.stop)
        return child

    def hear_receipts(self, receipted: Callable[[Receipted], None] | None) -> None:
        """Pass the sender's receipts on from now on, or no more."""
        self._sender.hear_receipts(receipted)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._restarted.aclose()

    async def connected(self, sides: Sequence[str] = SIDES) -> None:
        """Wait until both endpoints serve, and `sides` are connected and see the other. Raises UserError."""
        await asyncio.gather(self._sender.serving(), self._receiver.serving())
        try:
            async with asyncio.timeout(START_WITHIN_S):
                for side in sides:
                    socket_path = self.control(side)
                    for link in self.links:
                        await self._sees_the_other(socket_path, link.id)
        except TimeoutError:
            raise UserError(
                phrase("the endpoints did not reach each other within {seconds} s", seconds=round(START_WITHIN_S)),
                exit_code=1,
            ) from None

    async def _sees_the_other(self, socket_path: Path, link: str) -> None:
        client = ControlClient(socket_path, link)
        while True:
            try:
                status = await asyncio.to_thread(client.get, "status")
                if status["broker"] == "connected" and status["peer"] == "present":
                    return
            except (Unreachable, RequestRefused):
                pass
            await asyncio.sleep(_LOOK_EVERY_S)


def require_local(parent: Path, size_bytes: int) -> None:
    """Raise UserError if no stack can be made in `parent`, or its alerts can't have this size."""
    template("0" * 8, LinkFile(terms=_terms(1, 1), parties={}), default_terms.officers(SIDES[0])[0], size_bytes)
    try:
        find()
    except BrokerError as error:
        raise UserError(worded(error), exit_code=1) from None
    with _folder(parent):
        pass


@asynccontextmanager
async def local_stack(parent: Path, *, links: int, at_queue: bool) -> AsyncIterator[LocalStack]:
    """Make, start and yield a stack in a new folder in `parent`; at the end, stop it and remove the folder.

    Raises UserError.
    """
    with _folder(parent) as folder, _broker_log(folder) as log:
        files, broker = _provision(folder, links, log)
        async with AsyncExitStack() as running:
            running.callback(broker.stop)
            children = []
            for side in SIDES:
                child = await _start(folder, side)
                running.push_async_callback(child.stop)
                children.append(child)
            async with LocalStack(folder, files, broker, (children[0], children[1]), at_queue=at_queue) as stack:
                await stack.connected()
                yield stack


async def _start(folder: Path, side: str) -> Child:
    return await Child.start(side, _MEASURED, [str(_config(folder, side))], folder / f"{side}.errors")


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(prefix="dc-load-", dir=parent))
    except OSError as error:
        raise UserError(phrase("--folder: {path}: {reason}", path=parent, reason=os_reason(error))) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _broker_log(folder: Path) -> Iterator[BinaryIO]:
    with (folder / "broker.log").open("ab") as log:
        yield log


def _provision(folder: Path, links: int, log: BinaryIO) -> tuple[tuple[LinkFile, ...], LocalBroker]:
    """Make the files, with the yardsticks' identities, and start the broker. Raises UserError."""
    terms = [_terms(number, links) for number in range(1, links + 1)]
    at = SystemClock().now()[0]
    try:
        find()
        port = _free_port()
        files = provision(
            folder / "d",
            terms,
            {side: default_terms.party(side) for side in SIDES},
            at=at,
            officers={side: default_terms.officers(side) for side in (*SIDES, WATCH)},
            broker=BrokerPlan(port=port),
        )
        authority = Authority.load(folder / "d" / AUTHORITY)
        for name in (SENDER, RECEIVER):
            make_private_folder(tls(folder, name))
            authority.issue_client(name, tls(folder, name), at)
        both = {each.link: (each.caller, each.answering) for each in terms} | {LINK: (SENDER, RECEIVER)}
        configuration.write(folder / "d" / "broker", both, port=port)
        broker = LocalBroker(folder / "d" / "broker", SystemClock().real_ms, log)
        broker.start()
    except BrokerError as error:
        raise UserError(worded(error), exit_code=1) from None
    except OSError as error:
        raise UserError(
            phrase("{path}: {reason}", path=error.filename or folder, reason=os_reason(error)), exit_code=1
        ) from None
    return files, broker


def tls(folder: Path, identity: str) -> Path:
    """Return the folder of a yardstick's certificate."""
    return folder / identity


def _terms(number: int, links: int) -> Terms:
    name = default_terms.LINK if links == 1 else f"{default_terms.LINK}-{number}"
    made = default_terms.terms(name)
    policy = structs.replace(made.policy, slots=(_SLOT,), answered_by="service")
    return structs.replace(made, policy=policy)


def _config(folder: Path, side: str) -> Path:
    return folder / "d" / side / "endpoint.toml"


def _journals(folder: Path, link: str) -> tuple[Path, Path]:
    sender, receiver = (folder / "d" / side / "journal" / link for side in SIDES)
    return sender, receiver


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
