"""`deconflict demo` plays the day through real processes and the month in simulation, and ends cleanly on Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scenario.files import packaged

DEMO = [sys.executable, "-m", "endpoints.cli.main", "demo"]
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def still_running(folder: Path) -> list[str]:
    """Return the command lines of processes that were started on or in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        try:
            # where Mosquitto runs
            place = (process / "cwd").readlink()
        except OSError:
            # of a service, only root may know
            place = Path("/")
        if str(folder / "link") in command or place.is_relative_to(folder / "link"):
            found.append(command)
    return found


def wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while left := still_running(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_the_day_ends_as_expected(tmp_path: Path) -> None:
    folder = tmp_path / "day"
    done = subprocess.run(
        [*DEMO, "--keep", folder, "--json", "--lang", "en"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["passed"]
    assert result["agree"]
    assert result["seconds"] < 240
    assert [each["journal"] for each in result["journals"]] == [
        "eucom",
        "ndmc",
        "watch",
        "eucom, standard output",
        "ndmc, standard output",
        "watch, standard output",
    ]
    assert all(each["intact"] and each["identical"] and each["records"] for each in result["journals"])
    assert {each["what"] for each in result["expect"]} >= {"slots", "late", "lost", "applied_twice", "journals_agree"}
    assert not still_running(folder)
    narration = done.stderr
    assert "Говорит Висбаден" in narration
    assert "Говорит Москва" in narration
    assert "the endpoint is killed (kill -9)" in narration
    assert "The scenario ended as it must." in narration
    # both local times precede each line: 08:00 UTC
    assert re.search(r"^09:0\d:\d\d \| 11:0\d:\d\d  eucom ", narration, re.MULTILINE)
    # an officer places the test of each slot
    output = (folder / "output" / "eucom.jsonl").read_text()
    placed = [line for line in output.splitlines() if '"LineTestRequested"' in line]
    assert [json.loads(line)["officer"] for line in placed] == ["watch-1", "watch-1"]
    # the folder that is kept is an ordinary installation
    verify = [sys.executable, "-m", "endpoints.cli.main", "log", "verify"]
    journal = folder / "link" / "eucom" / "journal" / "eucom-ndmc"
    assert subprocess.run([*verify, journal], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_is_left_behind(tmp_path: Path, end: signal.Signals) -> None:
    folder = tmp_path / "day"
    output = tmp_path / "output"
    with output.open("wb") as file:
        player = subprocess.Popen([*DEMO, "--keep", folder, "--lang", "en"], stdout=file, stderr=file)
    deadline = time.monotonic() + 60
    # the first process may be connected before the last has begun
    while "connected to the broker" not in output.read_text() or len(still_running(folder)) < 4:
        assert player.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)

    os.kill(player.pid, end)

    assert player.wait(60) == (130 if end is not signal.SIGKILL else -signal.SIGKILL)
    wait_until_gone(folder)


def test_the_simulated_month_ends_as_expected() -> None:
    done = subprocess.run(
        [*DEMO, "--scenario", "november-2022", "--speed", "max", "--json"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["passed"]
    found = {(each["what"], each["about"]): each["found"] for each in result["expect"]}
    assert found["slots", ""] == 66
    assert found["answered_in_time", ""] == 64
    assert found["late", ""] == ["2022-11-21T16:00:00.000Z"]
    assert found["unanswered", ""] == ["2022-11-24T08:00:00.000Z"]
    assert found["alerts_between", "2022-11-15"] == 0


def test_an_unexpected_end_is_reported(tmp_path: Path) -> None:
    day = json.loads(packaged("one-day").read_bytes())
    day["expect"]["answered_in_time"] = 2
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(day))

    done = subprocess.run([*DEMO, "--scenario", wrong, "--speed", "max"], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "NOT AS EXPECTED" in done.stdout
    assert "The scenario did not end as it must." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--speed", "fast"], "--speed: not a whole number from 1 to 2000, nor max"),
        (["--scenario", "/nowhere.json"], "/nowhere.json: cannot read the scenario: No such file or directory"),
        (["--keep", "."], "--keep: . is not empty; name a new folder"),
    ],
)
def test_a_wrong_argument_gives_a_one_line_error(arguments: list[str], words: str) -> None:
    done = subprocess.run([*DEMO, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
