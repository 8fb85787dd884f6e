"""The processes that a scenario is played with: broker, both endpoints, the watch; none is left behind.

Everything lies in one folder, provisioned as `deconflict init` does. What each process prints is collected in `output/`
and read as it comes: it is the journal, so the player learns from it what happens.
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
from endpoints.config.link_file import Party
from endpoints.config.provision import BrokerPlan, provision
from endpoints.config.settings import WATCH_IDENTITY, load_endpoint
from endpoints.control.client import ControlClient
from endpoints.errors import UserError
from endpoints.keys.credentials import read_credential
from endpoints.keys.private_files import make_private_folder
from protocol.core.events import TransportConnected, TransportLost
from protocol.errors import JournalError
from protocol.record.journal import Record, decode
from scenario.files import Scenario

STOP_WITHIN_S = 15.0
"""From SIGTERM to the end of an endpoint: it says goodbye and closes its journal."""
_LINE_MAX_BYTES = 1 << 26
"""A checkpoint is one line."""
_LAUNCH = Path(broker.__file__).with_name("launch.py")

Hear = Callable[[Record], None]


class ProcessStage:
    """One scenario's installation in `folder`. `hear` gets every record that a process prints, once, in its order.

    Attributes:
        file: the link file's content.
        connected: the processes that are connected to the broker.
        expected: the processes that should run.
    """

    def __init__(self, folder: Path, scenario: Scenario, table: Path, hear: Hear) -> None:
        self.folder = folder
        self.link = scenario.link.id
        self.sides = tuple(party.id for party in scenario.parties)
        self.names = (*self.sides, WATCH_IDENTITY)
        self.connected: set[str] = set()
        self.expected: set[str] = set()
        self._hear = hear
        self._heard = dict.fromkeys(self.names, 0)
        self._processes: dict[str, Process] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        (self.file,) = provision(
            folder / "link",
            [scenario.terms()],
            {party.id: Party(name=party.name, site=party.site, zone=party.zone) for party in scenario.parties},
            at=SystemClock().now()[0],
            officers={party.id: scenario.officers(party.id) for party in scenario.parties},
            broker=BrokerPlan(port=_free_port()),
            exercise_clock=table,
        )
        make_private_folder(folder / "output")
        self._broker_log = (folder / "output" / "broker.log").open("ab")
        self.broker = LocalBroker(folder / "link" / "broker", self._broker_log)

    # --- where things are -----------------------------------------------------------------------------------------

    def config(self, name: str) -> Path:
        """Return the settings of a process."""
        return self.folder / "link" / name / ("watch.toml" if name == WATCH_IDENTITY else "endpoint.toml")

    def journal(self, name: str) -> Path:
        """Return the journal's folder of a process."""
        return self.folder / "link" / name / "journal" / self.link

    def output(self, name: str) -> Path:
        """Return where the standard output of a process is collected."""
        return self.folder / "output" / f"{name}.jsonl"

    def act(self, side: str, officer: str, action: str, ask: dict[str, object]) -> str:
        """Let an officer act over the control socket; return the reference. Blocks. Raises UserError."""
        credential = read_credential(self.folder / "link" / side / "keys" / "officers" / f"{officer}.credential")
        client = ControlClient(load_endpoint(self.config(side)).control, self.link)
        return client.act(action, {"officer": officer, "credential": credential, **ask})

    # --- processes ------------------------------------------------------------------------------------------------

    async def start(self, name: str) -> None:
        """Start an endpoint or the watch."""
        errors = (self.folder / "output" / f"{name}.errors").open("ab")
        command = [sys.executable, "-m", "endpoints.cli.main", "watch" if name == WATCH_IDENTITY else "run"]
        with errors:
            process = await asyncio.create_subprocess_exec(
                # it ends with this process, however that one ends
                *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid())),
                *command,
                str(self.config(name)),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=errors,
                limit=_LINE_MAX_BYTES,
                # Ctrl-C is for the player, who then stops everything in order
                start_new_session=True,
            )
        self._processes[name] = process
        self.expected.add(name)
        self._readers[name] = asyncio.create_task(self._read(name, process))

    async def kill(self, name: str) -> None:
        """Kill a process as a crash would (kill -9)."""
        self.expected.discard(name)
        process = self._processes.pop(name)
        process.kill()
        await process.wait()
        await self._readers.pop(name)
        self.connected.discard(name)

    async def stop(self) -> None:
        """Stop every process in order, the broker last; whoever does not stop in time is killed."""
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
        """Leave no process behind, whatever state they are in."""
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
        self._processes.clear()
        self.broker.stop()
        self._broker_log.close()

    def check(self) -> None:
        """Raise UserError if a process that should run has ended."""
        for name in sorted(self.expected):
            process = self._processes[name]
            if process.returncode is not None:
                errors = (self.folder / "output" / f"{name}.errors").read_text("utf-8", "replace").strip()
                why = errors.rpartition("\n")[2] or f"see {self.output(name)}"
                raise UserError(f"{name} ended with {process.returncode}: {why}", exit_code=1)

    async def _read(self, name: str, process: Process) -> None:
        """Collect what a process prints, and hear its records."""
        assert process.stdout is not None
        with self.output(name).open("ab") as collected:
            async for line in process.stdout:
                self._take(name, line, collected)
        self.connected.discard(name)

    def _take(self, name: str, line: bytes, collected: BinaryIO) -> None:
        collected.write(line)
        collected.flush()
        if not line.startswith(b'{"n":'):
            return
        try:
            record = decode(line.rstrip(b"\n"))
        except JournalError:
            # the half line that a killed process leaves
            return
        if record.n <= self._heard[name]:
            return
        self._heard[name] = record.n
        if isinstance(record.entry, TransportConnected):
            self.connected.add(name)
        elif isinstance(record.entry, TransportLost):
            self.connected.discard(name)
        self._hear(record)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
