"""Runs the processes of a scenario: the broker, both endpoints and the watch.

All files are in one folder, provisioned as `deconflict init` does it. The standard output of each process is collected
in `output/` and read as it arrives. It is the journal, and the player follows events through it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import broker
from broker.local import LocalBroker
from endpoints.clocks.clock import SystemClock
from endpoints.config import default_terms
from endpoints.config.link_file import Party
from endpoints.config.provision import BrokerPlan, provision
from endpoints.config.settings import load_endpoint
from endpoints.config.settings_tables import WATCH_IDENTITY
from endpoints.control.client import ControlClient
from endpoints.errors import UserError
from endpoints.keys.credentials import read_credential
from endpoints.keys.private_files import make_private_folder
from protocol.core.events import PeerPresenceChanged, TransportConnected, TransportLost
from protocol.errors import JournalError
from protocol.phrases import phrase
from protocol.record.journal import Record, decode
from scenario.steps import Scenario

STOP_WITHIN_S = 15.0
"""Time for a process to end after SIGTERM: an endpoint disconnects and closes its journal."""
_LINE_MAX_BYTES = 1 << 26
"""Maximum length of an output line; the longest is a checkpoint."""
_LOOK_AGAIN_S = 0.05
_LAUNCH = Path(broker.__file__).with_name("launch.py")

Hear = Callable[[Record], None]


class ProcessStage:
    """Runs one scenario's installation in `folder`.

    `hear` is called with each record that a process prints, once, in order. `stop` or `abandon` leaves no process
    behind.

    Attributes:
        file: the content of the link file.
        connected: the processes that are connected to the broker.
        expected: the processes that should be running.
        unnoticed: the killed processes that the other endpoint has not reported as gone yet.
        consoles: the address of each side's console for a browser, by side.
    """

    def __init__(self, folder: Path, scenario: Scenario, table: Path, hear: Hear) -> None:
        self.folder = folder
        self.link = scenario.link.id
        self.sides = tuple(party.id for party in scenario.parties)
        self.names = (*self.sides, WATCH_IDENTITY)
        self.connected: set[str] = set()
        self.expected: set[str] = set()
        self.unnoticed: set[str] = set()
        self.consoles: dict[str, str] = {}
        self._hear = hear
        self._heard = dict.fromkeys(self.names, 0)
        self._processes: dict[str, Process] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        (self.file,) = provision(
            folder / "link",
            [scenario.terms()],
            {party.id: Party(name=party.name, site=party.site, zone=party.zone) for party in scenario.parties},
            at=SystemClock().now()[0],
            officers={
                **{party.id: scenario.officers(party.id) for party in scenario.parties},
                WATCH_IDENTITY: default_terms.officers(WATCH_IDENTITY),
            },
            broker=BrokerPlan(port=_free_port()),
            exercise_clock=table,
        )
        make_private_folder(folder / "output")
        self._broker_log = (folder / "output" / "broker.log").open("ab")
        self.broker = LocalBroker(folder / "link" / "broker", SystemClock().real_ms, self._broker_log)

    # --- files ----------------------------------------------------------------------------------------------------

    def config(self, name: str) -> Path:
        """Return the path of a process's settings."""
        return self.folder / "link" / name / ("watch.toml" if name == WATCH_IDENTITY else "endpoint.toml")

    def journal(self, name: str) -> Path:
        """Return the journal folder of a process."""
        return self.folder / "link" / name / "journal" / self.link

    def output(self, name: str) -> Path:
        """Return the path at which a process's standard output is collected."""
        return self.folder / "output" / f"{name}.jsonl"

    def credential(self, side: str, officer: str) -> Path:
        """Return the path of an officer's credential."""
        return self.folder / "link" / side / "keys" / "officers" / f"{officer}.credential"

    def act(self, side: str, officer: str, action: str, ask: dict[str, object]) -> str:
        """Send an officer's request over the control socket and return the reference. Blocks. Raises UserError."""
        client = ControlClient(load_endpoint(self.config(side)).control, self.link)
        return client.act(
            action, {"officer": officer, "credential": read_credential(self.credential(side, officer)), **ask}
        )

    # --- processes ------------------------------------------------------------------------------------------------

    async def start(self, name: str) -> None:
        """Start an endpoint or the watch."""
        process = await self._launch(name, "watch" if name == WATCH_IDENTITY else "run", self.config(name))
        self.expected.add(name)
        self.unnoticed.discard(name)
        self._readers[name] = asyncio.create_task(self._read(name, process))

    async def open_console(self, side: str, port: int) -> None:
        """Start the console of a side on `port` of localhost, or on a free port if it is taken; wait until it serves.

        Raises UserError if it ends instead.
        """
        place = f"localhost:{_free_port(port)}"
        self.consoles[side] = f"http://{place}"
        environment = {"DECONFLICT_CONSOLE_LISTEN": place, "DECONFLICT_CONSOLE_ORIGIN": self.consoles[side]}
        name = f"console-{side}"
        process = await self._launch(name, "console", self.config(side), self.config(WATCH_IDENTITY), **environment)
        self._readers[name] = asyncio.create_task(self._collect(name, process))
        while not await _accepts(place):
            self.check()
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _launch(self, name: str, verb: str, *arguments: Path, **environment: str) -> Process:
        with (self.folder / "output" / f"{name}.errors").open("ab") as errors:
            self._processes[name] = await asyncio.create_subprocess_exec(
                # the launcher ends the process when this one ends, however it ends
                *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid())),
                *(sys.executable, "-m", "endpoints.cli.main", verb),
                *map(str, arguments),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=errors,
                limit=_LINE_MAX_BYTES,
                env=os.environ | environment,
                # Ctrl-C goes only to the player, which then stops everything in order
                start_new_session=True,
            )
        return self._processes[name]

    async def kill(self, name: str) -> None:
        """Kill a process with SIGKILL, as a crash would."""
        self.expected.discard(name)
        process = self._processes.pop(name)
        process.kill()
        await process.wait()
        await self._readers.pop(name)
        self.connected.discard(name)
        if self.broker.alive and name in self.sides:
            self.unnoticed.add(name)

    async def stop(self) -> None:
        """Stop all processes, the broker last; kill those that do not end within `STOP_WITHIN_S`."""
        try:
            for name, process in self._processes.items():
                self.expected.discard(name)
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
            for process in self._processes.values():
                try:
                    await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
                except TimeoutError:
                    process.kill()
                    await process.wait()
            await asyncio.gather(*self._readers.values())
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Kill all processes that are still running, and stop the broker."""
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
        self._processes.clear()
        self.broker.stop()
        self._broker_log.close()

    def check(self) -> None:
        """Raise UserError if a process that should be running has ended."""
        for name in sorted(self.expected | {f"console-{side}" for side in self.consoles}):
            process = self._processes[name]
            if process.returncode is not None:
                errors = (self.folder / "output" / f"{name}.errors").read_text("utf-8", "replace").strip()
                last = errors.rpartition("\n")[2] or self.output(name)
                what = phrase("{name} ended with {code}: {last}", name=name, code=process.returncode, last=last)
                raise UserError(what, exit_code=1)

    async def _read(self, name: str, process: Process) -> None:
        """Collect the output of a process and pass on its records."""
        assert process.stdout is not None
        with self.output(name).open("ab") as collected:
            async for line in process.stdout:
                self._take(name, line, collected)
        self.connected.discard(name)

    async def _collect(self, name: str, process: Process) -> None:
        """Collect the output of a process that writes no journal."""
        assert process.stdout is not None
        with self.output(name).open("ab") as collected:
            async for line in process.stdout:
                collected.write(line)
                collected.flush()

    def _take(self, name: str, line: bytes, collected: BinaryIO) -> None:
        collected.write(line)
        collected.flush()
        if not line.startswith(b'{"n":'):
            return
        try:
            record = decode(line.rstrip(b"\n"))
        except JournalError:
            # an incomplete line of a killed process
            return
        if record.n <= self._heard[name]:
            return
        self._heard[name] = record.n
        if isinstance(record.entry, TransportConnected):
            self.connected.add(name)
        elif isinstance(record.entry, TransportLost):
            self.connected.discard(name)
        elif isinstance(record.entry, PeerPresenceChanged) and name in self.sides and not record.entry.present:
            self.unnoticed.discard(record.entry.party)
        self._hear(record)


async def _accepts(place: str) -> bool:
    """Return whether something listens at `place`, a host and a port."""
    host, _, port = place.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True


def _free_port(wanted: int = 0) -> int:
    """Return the port `wanted` of localhost if it is free, otherwise any free one."""
    with socket.socket() as probe:
        # a port whose last connections have just ended is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return _free_port()
        port: int = probe.getsockname()[1]
        return port
