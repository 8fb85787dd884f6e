"""Line tests by people: an officer is notified of the slot and places its test, another one answers it."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import pytest

from protocol.wire.instants import parsed
from tests.support.station import Station
from tests.support.world import MINUTE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SLOT = "2022-11-29T08:00:00.000Z"
UNTIL = "2022-11-29T08:15:00.000Z"


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    # however long the start takes, the slot comes after it
    begins = parsed(SLOT) - 10 * MINUTE
    with Station.of(tmp_path_factory, starts=begins, placed_by="officer") as station:
        station.start("eucom", "ndmc")
        station.forward_to(SLOT, rate=200)
        yield station


def at_a_terminal(*words: str, dialogue: list[tuple[str, str]]) -> tuple[int, str]:
    """Run a command at a terminal, and type each line of the dialogue when its question stands there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "endpoints.cli.main", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(theirs)
    left, output, asked = list(dialogue), b"", 0
    try:
        while piece := os.read(ours, 65_536):
            output += piece
            if left and left[0][0].encode() in output[asked:]:
                asked = len(output)
                os.write(ours, f"{left.pop(0)[1]}\n".encode())
    except OSError:
        # Linux reports the end of a terminal's output as EIO
        pass
    finally:
        os.close(ours)
    assert not left
    return process.wait(), output.decode().replace("\r", "")


def test_an_officer_places_the_test_of_a_slot_and_an_officer_answers_it(station: Station) -> None:
    """SPEC W1.3, B2.3"""
    eucom, ndmc = str(station.config("eucom")), str(station.config("ndmc"))
    station.until(lambda: any(each["kind"] == "slot" for each in station.effects("eucom", "Notify")))
    told = next(each for each in station.effects("eucom", "Notify") if each["kind"] == "slot")
    assert (told["slot"], told["until"]) == (SLOT, UNTIL)
    shown = station.deconflict("schedule", eucom, "-n", "1", "--lang", "en").stdout
    assert "an officer of this side places each test, within 15 minutes of its slot" in shown
    assert (
        "line tests: an officer of eucom places each test" in station.deconflict("status", ndmc, "--lang", "en").stdout
    )

    nobody = station.deconflict("test", eucom, "--lang", "en")
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert nobody.stderr == (
        "deconflict: --officer: the line test of 29 Nov 2022, 08:00:00 UTC (09:00:00 Europe/Berlin) is due, and an "
        "officer has to place it: one of watch-1, watch-2\n"
    )
    file = str(station.credential_file("eucom", "watch-2"))
    placed = station.deconflict("test", eucom, "--officer", "watch-2", "--credential-file", file, "--lang", "en")
    assert placed.returncode == 0, placed.stderr
    reference = placed.stdout.strip()
    (request,) = station.records("eucom", "LineTestRequested")
    assert request["officer"] == "watch-2"
    test = next(each for each in station.snapshot("eucom")["tests"] if each["reference"] == reference)
    assert test["heartbeat"]["slot"] == SLOT

    station.until(lambda: any(each["reference"] == reference for each in station.snapshot("ndmc")["tests"]))
    first, second, third = test["heartbeat"]["challenge"]
    file = str(station.credential_file("ndmc", "duty-1"))
    typed = [("the three words: ", f" {first.upper()},jryj  {third} "), ("word 2: ", second.capitalize())]
    code, shown = at_a_terminal(
        *("answer", ndmc, reference, "--officer", "duty-1", "--credential-file", file, "--lang", "en"), dialogue=typed
    )
    assert code == 0, shown
    assert shown.index("| Говорит Висбаден.") < shown.index(f"its three words: {first}  {second}  {third}")
    assert "word 2: 'jryj' has Latin letters (j, r, y)" in shown
    (answered,) = station.records("ndmc", "OfficerAnswered")
    assert answered["read_back"] == [first, second, third]
