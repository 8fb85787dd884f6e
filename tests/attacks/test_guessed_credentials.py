"""Programs of this machine guess officers' credentials at the control socket, as fast as they are answered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from endpoints.control.client import RequestRefused
from tests.support.station import ROOT, Station

pytestmark = pytest.mark.integration

GUESSERS = 8
STRANGER = 12_345
WITHIN_S = 90
"""An officer's command is done in this time. It fails if its turn does not come within 30 s: then the client gives up.
The rest is for its start on a busy machine."""
TYPED = "guess-guess-guess"

# argv: the socket, the user to become (or -), whether every guess comes from a new process; ends when a guesser does
GUESSER = f"""
import os, sys
from pathlib import Path
from endpoints.control.client import ControlClient
from endpoints.errors import UserError
path, user, fresh = sys.argv[1:]
os.chdir(Path(path).parent)
client = ControlClient(Path(path).relative_to(Path.cwd()), "eucom-ndmc")

def guess(number):
    try:
        client.act("test", {{"officer": "watch-1", "credential": f"{TYPED}-{{number}}"}})
    except UserError:
        pass

if user != "-":
    os.setgroups([])
    os.setresuid(int(user), int(user), int(user))
parent = os.getpid()
if all(os.fork() for _ in range({GUESSERS})):
    sys.exit(os.wait()[1] or 1)
number = 0
while os.getppid() == parent:
    number += 1
    if fresh == "same":
        guess(number)
    elif (child := os.fork()):
        os.waitpid(child, 0)
    else:
        guess(number)
        os._exit(0)
"""


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.launch("eucom")
        station.until(lambda: station.answers("eucom"))
        yield station


@contextmanager
def guessing(station: Station, user: str, fresh: str) -> Iterator[None]:
    """Let eight processes guess, once the endpoint has refused several guesses."""
    socket = station.config("eucom").parent / "control.sock"
    guessers = subprocess.Popen(
        [sys.executable, "-c", GUESSER, str(socket), user, fresh], cwd=ROOT, start_new_session=True
    )
    try:
        station.until(lambda: len(station.records("eucom", "CredentialsRefused")) > 3)
        yield
        assert guessers.poll() is None
    finally:
        os.killpg(guessers.pid, signal.SIGKILL)
        guessers.wait()


def acts(station: Station) -> None:
    """Place a line test as an officer, with the command line, within `WITHIN_S`."""
    command = ["test", str(station.config("eucom")), "--officer", "watch-1"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "endpoints.cli.main", *command),
            *("--credential-file", str(station.credential_file("eucom", "watch-1"))),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("eucom/1/")


def sources(station: Station) -> set[str]:
    return {record["source"] for record in station.records("eucom", "CredentialsRefused")}


def open_to_all(station: Station) -> None:
    """Let any user of this machine reach the socket, as an access list of the file system would."""
    socket = station.config("eucom").parent / "control.sock"
    socket.chmod(0o666)
    # of the folders above, another user's program needs none: it was started in this one
    socket.parent.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has processes of two users")
@pytest.mark.parametrize("fresh", ["same", "fresh"])
def test_guesses_of_another_user_make_no_officer_wait(station: Station, fresh: str) -> None:
    open_to_all(station)
    with guessing(station, str(STRANGER), fresh):
        for _ in range(3):
            acts(station)
    assert sources(station) == {f"uid-{STRANGER}"}


@pytest.mark.parametrize("fresh", ["same", "fresh"])
def test_guesses_under_the_same_user_do_not_lock_an_officer_out(station: Station, fresh: str) -> None:
    with guessing(station, "-", fresh):
        acts(station)
    assert sources(station) == {f"uid-{os.geteuid()}"}


def test_ten_guesses_raise_an_alarm_and_what_was_typed_is_nowhere(station: Station) -> None:
    source = f"uid-{os.geteuid()}"
    with guessing(station, "-", "fresh"):
        alarm = station.alarm("eucom", f"credentials_refused/{source}")
    assert alarm["severity"] == "warning"
    assert alarm["detail"] == f"10 wrong credentials of officers from {source}"
    assert station.stop("eucom") == 0
    journal = b"".join(path.read_bytes() for path in station.journal("eucom").iterdir())
    assert b"credentials_refused" in journal
    assert TYPED.encode() not in journal
    # nothing about it was said to the peer
    assert station.effects("eucom", "Queue") == []
    story = station.deconflict("log", "show", str(station.journal("eucom")), "--lang", "ru")
    assert f"неверные учётные данные дежурных, источник {source}: 1" in story.stdout


def test_an_unknown_officer_and_a_wrong_credential_get_the_same_answer(station: Station) -> None:
    said = set()
    for officer in ("watch-1", "nobody"):
        with pytest.raises(RequestRefused) as refused:
            station.client("eucom").act("test", {"officer": officer, "credential": TYPED})
        assert refused.value.code == "not_authorised"
        said.add(str(refused.value).replace(officer, "X"))
    assert len(said) == 1
