"""Runs the installation under soak: a broker and both endpoints as real processes, each endpoint behind its own proxy.

Only processes started here are ever signalled. They end with this process, however it ends.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Self

from broker.local import LocalBroker
from endpoints.clocks.clock import SystemClock
from endpoints.config import default_terms
from endpoints.config.provision import BrokerPlan, provision
from endpoints.keys.credentials import read_credential
from tests.support.broker_site import free_port, now
from tests.support.proxy import TcpProxy
from tests.support.quick_officers import quicken

ROOT = Path(__file__).parents[2]
LINK = default_terms.LINK
SIDES = (default_terms.CALLER, default_terms.ANSWERING)
STOP_WITHIN_S = 60
_LAUNCH = ROOT / "broker" / "launch.py"


class Endpoint:
    """One side's endpoint, which is started repeatedly; all its output is collected in one file."""

    def __init__(self, side: str, folder: Path, proxy: TcpProxy) -> None:
        self.side = side
        self.proxy = proxy
        self.configuration = folder / "d" / side / "endpoint.toml"
        self.control = self.configuration.parent / "control.sock"
        self.journal = self.configuration.parent / "journal" / LINK
        self.collected = folder / f"{side}.log"
        self.errors = folder / f"{side}.err"
        self.officer = default_terms.officers(side)[0]
        self.credential = read_credential(
            self.configuration.parent / "keys" / "officers" / f"{self.officer}.credential"
        )
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._files: list[IO[bytes]] = []

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, if the process has ended by itself."""
        return None if self._process is None else self._process.poll()

    @property
    def serves(self) -> bool:
        """Whether a process listens at the control socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.control)) == 0

    def start(self) -> None:
        if self._process is not None:
            return
        if not self._files:
            self._files = [self.collected.open("ab"), self.errors.open("ab")]
        command = [sys.executable, "-m", "endpoints.cli.main", "run", str(self.configuration)]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=self._files[0],
            stderr=self._files[1],
            cwd=ROOT,
            env={
                **os.environ,
                "LC_ALL": "C.UTF-8",
                "DECONFLICT_BROKER_PORT": str(self.proxy.port),
                # the gauge counts descriptors in /proc
                "DECONFLICT_ALLOW_PTRACE": "1",
            },
            start_new_session=True,
        )
        self.starts += 1

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Send SIGTERM to the process."""
        if self._process is not None:
            self._process.terminate()

    def ended(self) -> int | None:
        """Return the exit code if the process has ended, and discard the process."""
        code = self.code
        if code is not None:
            self._process = None
        return code

    def stop(self) -> int:
        """Stop the process with SIGTERM and return its exit code, or that of SIGKILL if it took too long."""
        if self._process is None:
            return 0
        self.thaw()
        self._process.terminate()
        try:
            code = self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        self.kill()
        return code

    def last_errors(self) -> str:
        return self.errors.read_text(errors="replace")[-2_000:] if self.errors.exists() else ""

    def close(self) -> None:
        self.kill()
        for file in self._files:
            file.close()


class Installation:
    """A broker and both endpoints in one folder. An async context manager; nothing runs before `start`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        port = free_port()
        provision(
            folder / "d",
            [default_terms.terms()],
            {side: default_terms.party(side) for side in SIDES},
            at=now(),
            officers={side: default_terms.officers(side) for side in SIDES},
            broker=BrokerPlan(port=port),
        )
        self._log = (folder / "mosquitto.log").open("ab")
        self.broker = LocalBroker(folder / "d" / "broker", SystemClock().real_ms, self._log)
        self.endpoints: dict[str, Endpoint] = {}
        for side in SIDES:
            endpoint = Endpoint(side, folder, TcpProxy(port))
            quicken(endpoint.configuration)
            self.endpoints[side] = endpoint
        self.began_s = time.monotonic()

    @property
    def pids(self) -> dict[str, int | None]:
        return {side: each.pid for side, each in self.endpoints.items()} | {"broker": self.broker.pid}

    @property
    def disks(self) -> dict[str, Path]:
        """The folder that each process writes to, by its name."""
        return {side: each.journal for side, each in self.endpoints.items()} | {"broker": self.broker.folder / "data"}

    def start(self) -> None:
        self.broker.start()
        for endpoint in self.endpoints.values():
            endpoint.start()

    def heal(self) -> None:
        """End all faults: resume or start every process, and restore the network."""
        for endpoint in self.endpoints.values():
            endpoint.proxy.admit()
            endpoint.proxy.resume()
            # otherwise, half-open and stalled connections would last until their keepalive
            endpoint.proxy.cut()
            endpoint.thaw()
        self.broker.thaw()
        self.start()

    async def __aenter__(self) -> Self:
        for endpoint in self.endpoints.values():
            await endpoint.proxy.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for endpoint in self.endpoints.values():
            endpoint.close()
            await endpoint.proxy.__aexit__(None, None, None)
        self.broker.kill()
        self._log.close()
