"""The processes on a terminal print lines for people; elsewhere they print the journal."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator

import pytest

from endpoints.journal.stdout_feed import PLACE
from tests.support.station import Running, Station
from tests.support.terminal import COLUMNS, Terminal

pytestmark = pytest.mark.integration

_ROW = re.compile(r"2022-11-29 \d\d:\d\d:\d\d UTC  (eucom|ndmc|watch) {3,}\S| {35}\S")


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.broker.start()
        yield station


def test_run_tells_people_what_happens_and_says_goodbye(station: Station) -> None:
    terminal = Terminal("run", station.config("eucom"), LC_ALL="C.UTF-8")
    try:
        station.launch("ndmc")
        station.connected("ndmc")
        foul = "Smoke.\n2022-11-29 12:00:00 UTC  eucom     stopped"
        reference = station.alert("ndmc", text={"ru": foul, "en": foul})
        terminal.until(f"{reference} (")
        station.kill("ndmc")
        terminal.until("ndmc is no longer present")
    finally:
        code = terminal.end(signal.SIGINT)
    assert code == 0
    lines = [line for line in terminal.lines if line not in {"", "^C"}]
    first = next(index for index, line in enumerate(lines) if _ROW.match(line))
    *rows, goodbye = lines[first:]
    head = " ".join(line.strip() for line in lines[:first])
    assert head.startswith("eucom: what happens, for people to read")
    assert f"journal of eucom-ndmc: {station.journal('eucom')}" in head
    assert goodbye == "eucom has stopped in order"
    wrong = [row for row in rows if not _ROW.match(row) or len(row) > COLUMNS]
    assert not wrong
    assert any(r"Smoke.\n2022" in row for row in rows)
    # this output is no journal: the next one on standard output begins where the last one ended
    assert not (station.journal("eucom") / PLACE).exists()


@pytest.mark.parametrize("log", ["text", "json"])
def test_the_option_decides_in_a_pipe_too(station: Station, log: str) -> None:
    running = Running(["watch", str(station.config("watch")), "--log", log, "--lang", "ru"], {})
    station.processes["watch"] = running
    station.connected("watch")
    assert station.stop("watch") == 0
    lines = running.output().decode().splitlines()
    if log == "text":
        assert lines[0].startswith("watch: ход событий")
        assert lines[-1] == "watch: работа завершена по порядку"
    else:
        # ordinary lines stand between the records, and the first may precede them
        numbers = [found["n"] for found in map(json.loads, lines) if "n" in found]
        assert numbers[:2] == [1, 2]
