"""A program of the same user attaches to a service, or reads its memory, where the private keys are."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from endpoints.config import confirmations, link_file
from endpoints.config.confirmations import ComparisonNote
from tests.support.station import ALL, ROOT, Station

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux protects a process from its own user"),
]

# as an ordinary user's: root's gives up the rights (capabilities) that let root look into any process
ORDINARY = """
import ctypes, os, sys
PR_CAPBSET_DROP = 24
for capability in range(64):
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
INTRUDER = """
import ctypes, json, os, sys
libc, pid = ctypes.CDLL(None, use_errno=True), int(sys.argv[1])
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
attached = libc.ptrace(PTRACE_ATTACH, pid, None, None) == 0
if attached:
    os.waitpid(pid, 0)
    libc.ptrace(PTRACE_DETACH, pid, None, None)
read = []
for name in ("environ", "maps", "mem"):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            name == "mem" or file.read(1)
            read.append(name)
    except OSError:
        pass
print(json.dumps({"attached": attached, "read": read}))
"""


def intruder(pid: int) -> dict[str, Any]:
    """Return what another program of this user achieves against a process."""
    command = [sys.executable, "-c", ORDINARY, "-c", INTRUDER, str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def core_limit(pid: int) -> list[str]:
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line.split()[4:6] for line in limits if line.startswith("Max core file size"))


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        yield station


@contextmanager
def serving(station: Station, name: str, **environment: str) -> Iterator[int]:
    """Run a process; yield its id once it serves its control socket, and stop it in the end."""
    verb, config = "watch" if name == "watch" else "run", station.config(name)
    command = [sys.executable, "-c", ORDINARY, "-m", "endpoints.cli.main", verb, str(config)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | environment)

    def serves() -> bool:
        assert process.poll() is None
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(config.parent / "control.sock")) == 0

    try:
        station.until(serves)
        yield process.pid
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ALL)
def test_no_program_of_the_same_user_looks_into_a_service(station: Station, name: str) -> None:
    with serving(station, name) as pid:
        assert intruder(pid) == {"attached": False, "read": []}
        assert core_limit(pid) == ["0", "0"]


def test_an_exercise_may_be_profiled(station: Station) -> None:
    with serving(station, "eucom", DECONFLICT_ALLOW_PTRACE="1") as pid:
        found = intruder(pid)
        # Yama (a module of the kernel) may still forbid to attach
        assert set(found["read"]) >= {"environ", "maps"}


def make_actual(station: Station) -> None:
    """Make the link an actual one, which has no exercise clock, and which an officer has confirmed."""
    content = link_file.load(station.link_file())
    policy = msgspec.structs.replace(content.terms.policy, status="actual")
    terms = msgspec.structs.replace(content.terms, policy=policy)
    link_file.save(msgspec.structs.replace(content, terms=terms), station.link_file())
    for name in ALL:
        path = station.config(name)
        lines = path.read_text("utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith("exercise_clock")), "utf-8")
    confirmations.save(
        station.config("eucom").parent,
        ComparisonNote(
            link=terms.link,
            digest=link_file.load(station.link_file()).digest,
            officer="watch-1",
            compared_at="2022-11-29T08:00:00.000Z",
            first_word=1,
        ),
    )


@pytest.mark.parametrize("name", ["eucom", "watch"])
def test_an_actual_link_is_not_profiled(station: Station, name: str) -> None:
    make_actual(station)
    verb = "watch" if name == "watch" else "run"

    refused = station.deconflict(verb, str(station.config(name)), DECONFLICT_ALLOW_PTRACE="1")

    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr == (
        "deconflict: DECONFLICT_ALLOW_PTRACE: the status of link eucom-ndmc is actual; "
        "only links whose status is exercise may use it\n"
    )
    with serving(station, name) as pid:
        assert intruder(pid) == {"attached": False, "read": []}


def test_a_variable_that_is_neither_set_nor_unset_is_refused(station: Station) -> None:
    refused = station.deconflict("run", str(station.config("eucom")), DECONFLICT_ALLOW_PTRACE="no")

    assert (refused.returncode, refused.stderr) == (
        2,
        "deconflict: DECONFLICT_ALLOW_PTRACE: expected 1 or nothing, found 'no'\n",
    )


COMMANDS = """
import ctypes, sys, threading
from endpoints.cli import credential, init
from pathlib import Path
PR_GET_DUMPABLE = 3
def dumpable():
    return ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
assert dumpable() == 1
if sys.argv[1] == "init":
    init.init(Path(sys.argv[2]), as_json=True)
elif sys.argv[1] == "enrol":
    init.enrol(Path(sys.argv[2]), side="eucom")
else:
    credential.obtain("watch-1", Path(sys.argv[2]))
assert dumpable() == 0
"""


@pytest.mark.parametrize("what", ["init", "enrol", "officer"])
def test_commands_that_hold_a_secret_are_protected_too(tmp_path: Path, what: str) -> None:
    place = tmp_path / "place"
    if what == "officer":
        place.touch(mode=0o600)
        place.write_text("secret-secret\n")
    subprocess.run(
        [sys.executable, "-c", COMMANDS, what, str(place)], cwd=ROOT, capture_output=True, timeout=60, check=True
    )
