"""Runs the whole link as real processes: the broker, both endpoints and the watch, on one exercise clock.

Tests wait for conditions with a deadline and never sleep instead. A failed wait shows the last output of each process.
"""

import functools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import pytest

from broker.errors import BrokerError
from broker.local import LocalBroker, find
from endpoints.clocks.clock import SystemClock
from endpoints.clocks.exercise_table import ExerciseTable
from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from endpoints.config.provision import BROKERS, BrokerPlan, provision
from endpoints.control.client import ControlClient, Unreachable
from endpoints.journal.segments import segments
from endpoints.keys.credentials import read_credential
from protocol.wire.instants import parsed, written
from protocol.wire.policy import Policy, Terms
from tests.support.broker_site import free_port, now
from tests.support.fork_server import ForkedProcess

ROOT = Path(__file__).parents[2]
LINK = default_terms.LINK
SIDES = ("eucom", "ndmc")
ALL = (*SIDES, "watch")
STARTS = parsed("2022-11-29T12:00:00.000Z")
"""An instant between the day's two slots."""
TEXT = {"ru": "Проверка связи.", "en": "Checking."}

Alarms = dict[str, dict[str, Any]]
T = TypeVar("T")


def boot_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Station:
    """A broker, endpoints and a watch, installed in `folder`; nothing runs before `start`."""

    def __init__(
        self,
        folder: Path,
        *,
        links: Sequence[str] = (LINK,),
        starts: int = STARTS,
        second_broker: BrokerPlan | None = None,
        **policy: Any,
    ) -> None:
        self.folder = folder
        self.broker_port = free_port()
        self.table_path = folder / "exercise.json"
        self.table = ExerciseTable.begin(boot_ms(), starts, 1)
        self.table.write(self.table_path)
        self.files: tuple[LinkFile, ...] = provision(
            folder / "d",
            [self.terms(link, **policy) for link in links],
            {side: default_terms.party(side) for side in SIDES},
            at=now(),
            officers={side: default_terms.officers(side) for side in ALL},
            broker=BrokerPlan(port=self.broker_port),
            second=second_broker,
            # an actual link runs on the machine's own clock
            exercise_clock=None if policy.get("status") == "actual" else self.table_path,
        )
        self._log = (folder / "mosquitto.log").open("ab")
        home = folder / "d" if second_broker is None else folder / "d" / BROKERS / SIDES[0]
        self.broker = LocalBroker(home / "broker", SystemClock().real_ms, self._log)
        self.processes: dict[str, Running] = {}

    @classmethod
    def of(cls, factory: pytest.TempPathFactory, **arguments: Any) -> Self:
        """Return a station in its own folder; skip the test if Mosquitto is not installed."""
        try:
            find()
        except BrokerError as error:
            pytest.skip(str(error))
        return cls(factory.mktemp("s"), **arguments)

    @staticmethod
    def terms(link: str = LINK, epoch: int = 1, **policy: Any) -> Terms:
        terms = msgspec.structs.replace(default_terms.terms(link), epoch=epoch)
        changed: Policy = msgspec.structs.replace(terms.policy, **policy)
        return msgspec.structs.replace(terms, policy=changed)

    # --- processes ----------------------------------------------------------------------------------------------

    def config(self, name: str) -> Path:
        return self.folder / "d" / name / ("watch.toml" if name == "watch" else "endpoint.toml")

    def link_file(self, link: str = LINK) -> Path:
        return self.folder / "d" / ("link.toml" if len(self.files) == 1 else f"{link}.toml")

    def journal(self, name: str, link: str = LINK) -> Path:
        return self.folder / "d" / name / "journal" / link

    def start(self, *names: str, **environment: str) -> None:
        """Start the broker and the processes `names`; return when all are connected."""
        self.broker.start()
        for name in names:
            self.launch(name, **environment)
        for name in names:
            self.connected(name)

    def launch(self, name: str, **environment: str) -> "Running":
        verb = "watch" if name == "watch" else "run"
        self.processes[name] = Running([verb, str(self.config(name))], environment)
        return self.processes[name]

    def connected(self, *names: str) -> None:
        self.each(names, self._is_connected)

    def _is_connected(self, name: str) -> bool:
        try:
            return self.answers(name) and bool(self.status(name)["broker"] == "connected")
        except Unreachable:
            # at its start a busy process drops clients that wait; `answers` fails if it has ended
            return False

    def answers(self, name: str) -> bool:
        """Return whether a process serves its control socket; fail if it has ended."""
        process = self.processes[name]
        assert process.alive, f"{name} ended with {process.popen.returncode}: {process.errors()}"
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.config(name).parent / "control.sock")) == 0

    def kill(self, name: str) -> None:
        self.processes.pop(name).end(signal.SIGKILL)

    def stop(self, name: str) -> int:
        return self.processes.pop(name).end(signal.SIGTERM)

    def output(self, name: str) -> bytes:
        return self.processes[name].output()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.end(signal.SIGKILL)
        self.broker.thaw()
        self.broker.stop()
        self._log.close()

    # --- exercise time --------------------------------------------------------------------------------------------

    def forward(self, seconds: float, rate: int = 100) -> None:
        """Let `seconds` of exercise time pass at `rate`, then continue in real time."""
        begins = boot_ms() + 50
        ends = begins + int(seconds * 1_000 / rate)
        self.table = self.table.then(begins, rate).then(ends, 1)
        self.table.write(self.table_path)
        time.sleep(max(0, ends - boot_ms()) / 1_000)

    def forward_to(self, instant: str, rate: int = 100) -> None:
        """Let exercise time pass until `instant`."""
        self.forward((parsed(instant) - self.now) / 1_000, rate)

    @property
    def now(self) -> int:
        return self.table.exercise_at(boot_ms())

    def utc(self) -> str:
        return written(self.now)

    # --- queries and requests -------------------------------------------------------------------------------------

    def client(self, name: str, link: str = LINK) -> ControlClient:
        return ControlClient(self.config(name).parent / "control.sock", link)

    def ask(self, name: str, what: str, link: str = LINK) -> dict[str, Any]:
        return self.client(name, link).get(what)

    def status(self, name: str, link: str = LINK) -> dict[str, Any]:
        return self.ask(name, "status", link)

    def snapshot(self, name: str, link: str = LINK) -> dict[str, Any]:
        return self.ask(name, "snapshot", link)

    def alarms(self, name: str, link: str = LINK) -> Alarms:
        return {f"{each['code']}/{each['subject']}": each for each in self.status(name, link)["alarms"]}

    def alarm(self, name: str, key: str, link: str = LINK, within_s: float = 60) -> dict[str, Any]:
        """Wait for an active alarm and return it; `key` is `code/subject`, or only the code."""
        found: list[dict[str, Any]] = []

        def raised() -> bool:
            found[:] = [
                alarm
                for known, alarm in self.alarms(name, link).items()
                if key in {known, alarm["code"]} and "cleared_at" not in alarm
            ]
            return bool(found)

        self.until(raised, within_s)
        return found[0]

    def cleared(self, name: str, key: str, link: str = LINK, within_s: float = 60) -> None:
        """Wait until no alarm with this key is active."""
        self.until(
            lambda: (
                not any(
                    key in {known, alarm["code"]} and "cleared_at" not in alarm
                    for known, alarm in self.alarms(name, link).items()
                )
            ),
            within_s,
        )

    def credential(self, side: str, officer: str) -> str:
        return read_credential(self.credential_file(side, officer))

    def credential_file(self, side: str, officer: str) -> Path:
        return self.folder / "d" / side / "keys" / "officers" / f"{officer}.credential"

    def act(self, side: str, officer: str, action: str, link: str = LINK, **ask: Any) -> str:
        if "credential" not in ask:
            ask["credential"] = self.credential(side, officer)
        return self.client(side, link).act(action, {"officer": officer, **ask})

    def alert(self, side: str = "eucom", link: str = LINK, **ask: Any) -> str:
        """Raise an alert, by default a routine one, which needs no second officer; return its reference."""
        officer = default_terms.officers(side)[0]
        body = {"category": "air_pursuit", "precedence": "routine", "text": TEXT, "expires_in_s": 86_400} | ask
        return self.act(side, officer, "alert", link, **body)

    def alert_state(self, name: str, reference: str, link: str = LINK) -> str | None:
        return next(
            (each["state"] for each in self.snapshot(name, link)["alerts"] if each["reference"] == reference), None
        )

    def until(self, wanted: Callable[[], bool], within_s: float = 60) -> None:
        """Wait for a condition; after `within_s`, fail and show the last output of each process."""
        deadline = time.monotonic() + within_s
        while not wanted():
            if time.monotonic() > deadline:
                last = "\n".join(f"--- {name}\n{process.tail()}" for name, process in self.processes.items())
                raise AssertionError(f"not within {within_s} s, at {self.utc()}:\n{last}")
            time.sleep(0.03)

    def each(self, items: Iterable[T], wanted: Callable[[T], bool], within_s: float = 60) -> None:
        """Wait until the condition holds for each item in turn, each within `within_s`."""
        for item in items:
            self.until(functools.partial(wanted, item), within_s)

    # --- the record -----------------------------------------------------------------------------------------------

    def records(self, name: str, event: str = "", link: str = LINK) -> list[dict[str, Any]]:
        """Return the records of a journal, or only those of the kind `event`."""
        lines = b"".join(path.read_bytes().rstrip(b"\0") for path in segments(self.journal(name, link))).splitlines()
        decoded: list[dict[str, Any]] = [msgspec.json.decode(line) for line in lines if line and b"\0" not in line]
        return [record for record in decoded if event in {"", record["event"]}]

    def effects(self, name: str, effect: str, link: str = LINK) -> list[dict[str, Any]]:
        return [
            each for record in self.records(name, link=link) for each in record["effects"] if each["effect"] == effect
        ]

    def applied(self, name: str, link: str = LINK) -> list[tuple[str, int]]:
        """Return the sender and seq of each applied message, in order."""
        return [(each["sender"], each["message"]["seq"]) for each in self.effects(name, "Apply", link)]

    def settled(self, within_s: float = 60) -> None:
        """Wait until the outboxes of both sides are empty."""
        self.each(SIDES, lambda side: self.status(side)["outbox"] == {"waiting": 0, "in_flight": 0}, within_s)

    def deconflict(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a `deconflict` command to completion."""
        running = Running(arguments, {"COLUMNS": "200"} | environment)
        code = running.wait(60)
        return subprocess.CompletedProcess(arguments, code, running.output().decode(), running.errors())


class Running:
    """A running process; threads read its output continuously, as a log system would."""

    def __init__(
        self, arguments: Sequence[str], environment: dict[str, str], *, under: Sequence[str] = (), root: Path = ROOT
    ) -> None:
        """Start `deconflict ARGUMENTS`, perhaps `under` another program, or from the packages in another `root`."""
        (out, written), (err, complained) = os.pipe(), os.pipe()
        variables = os.environ | {"LC_ALL": "C.UTF-8"} | environment
        with open(os.devnull, "rb") as nothing, open(written, "wb"), open(complained, "wb"):  # noqa: PTH123 - descriptors
            streams = (nothing.fileno(), written, complained)
            self.popen = (
                _started([*under, sys.executable, "-m", "endpoints.cli.main", *arguments], variables, streams, root)
                if under or root != ROOT
                else ForkedProcess(arguments, variables, streams)
            )
        self._out: list[bytes] = []
        self._err: list[bytes] = []
        self._readers = [
            threading.Thread(target=_read, args=(out, self._out), daemon=True),
            threading.Thread(target=_read, args=(err, self._err), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def end(self, number: signal.Signals) -> int:
        if self.alive:
            self.popen.send_signal(number)
            if number is not signal.SIGKILL:
                self.popen.send_signal(signal.SIGCONT)
        return self.wait()

    def wait(self, within_s: float = 60) -> int:
        try:
            code = self.popen.wait(within_s)
        finally:
            if self.alive:
                self.popen.kill()
                self.popen.wait()
        for reader in self._readers:
            reader.join()
        return code

    def output(self) -> bytes:
        return b"".join(self._out)

    def errors(self) -> str:
        for reader in self._readers:
            if not self.alive:
                reader.join()
        return b"".join(self._err).decode()

    def tail(self) -> str:
        lines = self.output().decode(errors="replace").splitlines()[-6:]
        return "\n".join([*(line[:300] for line in lines), b"".join(self._err).decode(errors="replace")[-2_000:]])


def _started(
    command: Sequence[str], environment: dict[str, str], streams: tuple[int, int, int], root: Path
) -> subprocess.Popen[bytes]:
    nothing, out, err = streams
    return subprocess.Popen(command, stdin=nothing, stdout=out, stderr=err, cwd=root, env=environment)


def _read(descriptor: int, into: list[bytes]) -> None:
    with open(descriptor, "rb") as stream:
        into.extend(stream)
