"""What a service manager is told, and when."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.supervisor import READY, Supervisor


@pytest.fixture(params=["path", "abstract"])
def supervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Yield the socket of a supervisor, and its name in the environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind(str(tmp_path / "notify") if request.param == "path" else "")
        name = listening.getsockname()
        yield listening, name if isinstance(name, str) else "@" + name[1:].decode()


def test_it_is_told_through_either_kind_of_socket(supervisor: tuple[socket.socket, str]) -> None:
    listening, name = supervisor
    Supervisor({"NOTIFY_SOCKET": name}).tell(READY)
    assert listening.recv(100) == b"READY=1"


def test_a_sign_of_life_comes_three_times_in_the_interval(supervisor: tuple[socket.socket, str]) -> None:
    listening, name = supervisor
    watched = Supervisor({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())})
    for second in range(60):
        watched.alive(second * 1_000)
    listening.setblocking(False)
    assert [listening.recv(100) for _ in range(6)] == [b"WATCHDOG=1"] * 6
    with pytest.raises(BlockingIOError):
        listening.recv(100)


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_PID": "1"}],
)
def test_a_process_that_is_not_watched_gives_no_sign(
    supervisor: tuple[socket.socket, str], environment: dict[str, str]
) -> None:
    listening, name = supervisor
    listening.setblocking(False)
    Supervisor({"NOTIFY_SOCKET": name, **environment}).alive(1)
    with pytest.raises(BlockingIOError):
        listening.recv(100)


def test_nobody_is_told_without_a_manager_or_after_its_end(tmp_path: Path) -> None:
    Supervisor({}).tell(READY)
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(READY)


def test_a_manager_that_does_not_read_holds_nobody_up(supervisor: tuple[socket.socket, str]) -> None:
    told = Supervisor({"NOTIFY_SOCKET": supervisor[1]})
    for _ in range(10_000):
        told.tell(READY)
