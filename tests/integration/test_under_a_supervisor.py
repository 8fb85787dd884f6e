"""Real processes under a service manager: ready, alive with every turn of the loop, stopping."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.local import find
from endpoints.cli.main import main
from tests.support.broker_site import free_port
from tests.support.failing_disk import Injection

pytestmark = pytest.mark.integration

DECONFLICT = Path(sys.executable).with_name("deconflict")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("managed") / "try"
    with pytest.raises(SystemExit) as ended:
        main(["init", str(folder), "--port", str(free_port())])
    assert not ended.value.code
    return folder


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(30)
        listening.bind(str(tmp_path / "notify"))
        yield listening


@pytest.mark.parametrize(
    ("command", "place"), [("run", "eucom/endpoint.toml"), ("watch", "watch/watch.toml"), ("broker", "")]
)
def test_it_is_told_what_the_process_does(
    installation: Path, supervisor: socket.socket, command: str, place: str
) -> None:
    find()
    # a sign of life every second
    environment = {**os.environ, "NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "3000000"}
    with subprocess.Popen(
        [DECONFLICT, command, installation / place], env=environment, stdout=subprocess.DEVNULL
    ) as process:
        try:
            words = [supervisor.recv(100) for _ in range(4)]
            process.send_signal(signal.SIGTERM)
            while words[-1] != b"STOPPING=1":
                words.append(supervisor.recv(100))
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
    assert words.count(b"READY=1") == 1
    assert words.index(b"READY=1") <= 1
    assert words.count(b"WATCHDOG=1") >= 3


def silent(supervisor: socket.socket) -> bool:
    """Return whether a socket becomes silent for as long as its time-out, before a hundred words have come."""
    try:
        for _ in range(100):
            supervisor.recv(100)
    except TimeoutError:
        return True
    return False


def test_a_loop_that_hangs_gives_no_sign_of_life(installation: Path, supervisor: socket.socket) -> None:
    watched = {"NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "3000000", "DECONFLICT_ALLOW_PTRACE": "1"}
    config = installation / "ndmc" / "endpoint.toml"
    with subprocess.Popen(
        [DECONFLICT, "run", config], env={**os.environ, **watched}, stdout=subprocess.DEVNULL
    ) as process:
        try:
            while supervisor.recv(100) != b"READY=1":
                pass
            # longer than the interval; each turn of asyncio's loop makes this call
            supervisor.settimeout(5)
            with Injection(process.pid, "epoll_wait", "delay_enter=60000000"):
                assert silent(supervisor)
            assert process.poll() is None
        finally:
            process.kill()
