"""Full and closed standard streams, and the end of the terminal: one line, and a stop in order."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.station import ROOT, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """One endpoint, which has sent an alert, and the watch."""
    with Station.of(tmp_path_factory) as station:
        station.start("eucom", "watch")
        station.alert()
        yield station


def into(station: Station, stdout: str, *words: str) -> tuple[int, str]:
    """Return the exit code and the standard error of a command whose output goes to the redirection `stdout`."""
    names = {"CONFIG": station.config("eucom"), "JOURNAL": station.journal("eucom"), "LINK": station.link_file()}
    command = [sys.executable, "-m", "endpoints.cli.main", *(str(names.get(word, word)) for word in words)]
    shell = ["sh", "-c", f'exec "$@" {stdout}', "sh", *command]
    ended = subprocess.run(shell, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        "--version",
        "alarms --help",
        "messages CONFIG",
        "messages CONFIG --json",
        "messages CONFIG --follow",
        "status CONFIG",
        "status CONFIG --json --follow",
        "schedule CONFIG",
        "drafts CONFIG",
        "show CONFIG eucom/1/1",
        "alarms list CONFIG",
        "doctor CONFIG --json",
        "log show JOURNAL",
        "log verify JOURNAL",
        "replay JOURNAL",
        "link show LINK --json",
    ],
)
def test_every_command_reports_in_one_line_that_nothing_can_be_printed(station: Station, words: str) -> None:
    assert into(station, ">/dev/full", *words.split()) == (
        1,
        "deconflict: the output cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize("words", ["--help", "messages CONFIG", "status CONFIG --json"])
def test_a_closed_output_is_one_line_too(station: Station, words: str) -> None:
    assert into(station, ">&-", *words.split()) == (
        1,
        "deconflict: the output cannot be written: Bad file descriptor\n",
    )
    # nobody reads why, and the exit code is the same
    assert into(station, ">&- 2>/dev/full", *words.split()) == (1, "")
    assert into(station, ">/dev/full 2>&-", *words.split()) == (1, "")


def test_no_file_takes_the_number_of_a_closed_stream(station: Station) -> None:
    assert into(station, "<&- >/dev/null", "status", "CONFIG")[1] == ""
    assert into(station, "<&- >/dev/null", "link", "fingerprint", "LINK", "--compare")[0] == 2


@pytest.mark.parametrize("name", ["eucom", "watch"])
def test_the_end_of_the_terminal_stops_a_process_in_order(station: Station, name: str) -> None:
    assert station.processes.pop(name).end(signal.SIGHUP) == 0
    assert station.records(name)[-1]["event"] == "Closed"


def test_a_process_under_nohup_goes_on(station: Station) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        station.launch("watch")
    finally:
        signal.signal(signal.SIGHUP, before)
    station.connected("watch")
    ignored = Path(f"/proc/{station.processes['watch'].popen.pid}/status").read_text("ascii")
    bits = next(int(line.split()[1], 16) for line in ignored.splitlines() if line.startswith("SigIgn"))
    assert bits >> (signal.SIGHUP - 1) & 1
    os.kill(station.processes["watch"].popen.pid, signal.SIGHUP)
    assert station.stop("watch") == 0
