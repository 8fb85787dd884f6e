"""Clients that do nothing, or read nothing, cost the endpoint neither its descriptors nor its log."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoints.control.client import RequestRefused, Unreachable
from endpoints.control.connections import CONNECTIONS_MAX
from tests.support.station import Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
LOG_MAX_BYTES = 50_000
STREAM = b"GET /v1/links/eucom-ndmc/status?follow=true HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start("eucom")
        yield station


@contextlib.contextmanager
def clients(station: Station, count: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connect clients that send `sent` and then do nothing."""
    path = str(station.config("eucom").parent / "control.sock")
    made = [socket.socket(socket.AF_UNIX) for _ in range(count)]
    try:
        for client in made:
            client.connect(path)
            client.settimeout(10)
            with contextlib.suppress(ConnectionError):
                client.sendall(sent)
        yield made
    finally:
        for client in made:
            client.close()


def complaints(station: Station) -> bytes:
    """Return the ordinary lines of the log."""
    return b"\n".join(line for line in station.output("eucom").splitlines() if b'"n":' not in line[:8])


HALF = b"POST /v1/links/eucom-ndmc/alert HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"


@pytest.mark.parametrize("sent", [b"", b"GET /v1/links HTTP/1.1\r\n", HALF], ids=["nothing", "a line", "half a body"])
def test_the_oldest_idle_client_makes_room(station: Station, sent: bytes) -> None:
    with clients(station, 3 * CONNECTIONS_MAX, sent) as made:
        assert station.status("eucom")["broker"] == "connected"
        with contextlib.suppress(ConnectionError):
            # closed, or broken off
            assert made[0].recv(1_000) == b""
    assert len(complaints(station)) < LOG_MAX_BYTES


def test_followers_leave_room_for_single_requests(station: Station) -> None:
    with clients(station, 2 * CONNECTIONS_MAX, STREAM):
        assert station.status("eucom")["broker"] == "connected"
        with pytest.raises(RequestRefused, match="follow this process already"):
            next(station.client("eucom").follow("status"))

    def room() -> bool:
        with (
            contextlib.suppress(RequestRefused, Unreachable),
            contextlib.closing(station.client("eucom").follow("status")) as lines,
        ):
            return bool(next(lines)["broker"] == "connected")
        return False

    station.until(room)


def test_status_answers_when_descriptors_have_run_out(station: Station) -> None:
    """The limit is lowered to what the process has open, as a leak elsewhere would do."""
    pid = station.processes["eucom"].popen.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    printed = len(station.output("eucom"))
    highest = max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        with clients(station, 2 * CONNECTIONS_MAX):
            for _ in range(3):
                assert station.status("eucom")["broker"] == "connected"
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert len(station.output("eucom")) - printed < LOG_MAX_BYTES
    assert station.processes["eucom"].alive


def test_an_endpoint_with_few_descriptors_keeps_some_for_itself(tmp_path: Path) -> None:
    """It starts, connects clients, and answers, with a quarter of the usual limit."""
    script = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from endpoints.cli.main import main
main(["run", {str(tmp_path / "try" / "eucom" / "endpoint.toml")!r}])
"""
    deconflict = [sys.executable, "-m", "endpoints.cli.main"]
    subprocess.run([*deconflict, "init", str(tmp_path / "try")], check=True, capture_output=True)
    running = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out: list[bytes] = []
    assert running.stdout is not None
    started = threading.Event()

    def read() -> None:
        for line in running.stdout or ():
            out.append(line)
            if b'"event":"started"' in line:
                started.set()
        started.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    path = str(tmp_path / "try" / "eucom" / "control.sock")
    try:
        assert started.wait(60)
        assert running.poll() is None
        idle = [socket.socket(socket.AF_UNIX) for _ in range(100)]
        for client in idle:
            client.connect(path)
        assert len(os.listdir(f"/proc/{running.pid}/fd")) < 64 - 8  # noqa: PTH208 - a count
        config = str(tmp_path / "try" / "eucom" / "endpoint.toml")
        asked = subprocess.run([*deconflict, "status", config, "--json"], capture_output=True, check=False)
        assert b'"side":"eucom"' in asked.stdout
        for client in idle:
            client.close()
    finally:
        running.terminate()
        running.wait(20)
        reader.join()
        running.stdout.close()
        assert running.stderr is not None
        running.stderr.close()
    assert sum(map(len, out)) < LOG_MAX_BYTES
