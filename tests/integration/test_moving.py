"""Moves an endpoint, starts its second copy, and restores its journal: with real processes and a real broker."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from endpoints.config import default_terms
from endpoints.control.client import ControlClient, RequestRefused
from tests.support.station import ALL, LINK, SIDES, TEXT, Running, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start(*ALL)
        yield station


def delivered(station: Station, side: str = "eucom") -> str:
    """Send an alert and wait until the other side has it."""
    reference, (other,) = station.alert(side), set(SIDES) - {side}
    station.until(lambda: station.alert_state(other, reference) == "received")
    return reference


def displaced(process: Running) -> bool:
    return any("a second copy of this installation may run" in line for line in log_lines(process))


def log_lines(process: Running) -> list[str]:
    lines = [msgspec.json.decode(line) for line in process.output().splitlines() if line.startswith(b"{")]
    return [line["event"] for line in lines if "n" not in line]


def epoch(station: Station) -> None:
    """Both sides open the next epoch: here they share one link file."""
    for name in tuple(station.processes):
        assert station.stop(name) == 0
    run = station.deconflict("epoch", str(station.config("ndmc")), "--yes")
    assert run.returncode == 0, run.stderr


def test_a_restored_journal_waits_for_a_new_epoch(station: Station) -> None:
    first = delivered(station)
    assert station.stop("ndmc") == 0
    backup = station.folder / "backup"
    shutil.copytree(station.journal("ndmc"), backup)
    station.start("ndmc")
    after = [delivered(station), delivered(station, "ndmc")]
    assert station.stop("ndmc") == 0
    config, journal = station.config("ndmc"), station.journal("ndmc")
    whole = sorted(journal.iterdir())

    refused = station.deconflict("log", "restore", str(backup), str(config))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{journal}: a journal is there already" in refused.stderr
    assert sorted(journal.iterdir()) == whole
    done = station.deconflict("log", "restore", str(backup), str(config), "--replace", "--json")
    assert done.returncode == 0, done.stderr
    mark = msgspec.json.decode(done.stdout)
    assert (mark["link"], mark["side"], mark["epoch"]) == (LINK, "ndmc", 1)
    aside = Path(mark["replaced"])
    assert [path.name for path in whole] == sorted(path.name for path in aside.iterdir())

    # run and doctor refuse it, and the commands that read it report it
    for command in ("run", "doctor"):
        refused = station.deconflict(command, str(config))
        assert refused.returncode == (2 if command == "run" else 1)
        assert "first both sides open a new epoch, later than 1: deconflict epoch" in refused.stdout + refused.stderr
    verified = station.deconflict("log", "verify", str(journal), "--json")
    assert verified.returncode == 0
    assert msgspec.json.decode(verified.stdout)["restored"]["head"] == mark["head"]

    epoch(station)
    station.start(*ALL)
    (record,) = station.records("ndmc", "JournalRestored")
    assert (record["records"], record["head"]) == (mark["records"], mark["head"])
    assert not (journal / "restored.json").exists()
    # every message of the new epoch once, and none of the old one again
    before = station.applied("ndmc")
    assert [delivered(station), delivered(station, "ndmc")] == ["eucom/2/1", "ndmc/2/1"]
    station.settled()
    assert station.applied("ndmc") == [*before, ("eucom", 1)]
    assert station.alert_state("ndmc", first) == "received"
    # what was said after the copy is not in it, but in the journal that was moved aside
    assert [station.alert_state("ndmc", reference) for reference in after] == [None, None]
    for path in (journal, aside):
        assert station.deconflict("log", "verify", str(path), "--json").returncode == 0
    said = f"restored at {mark['restored_at']} from a copy: what followed record {mark['records']} then is missing"
    replayed = station.deconflict("replay", str(journal), "--lang", "en")
    assert replayed.returncode == 0
    assert said in replayed.stdout
    compared = station.deconflict("timeline", str(station.journal("eucom")), str(journal), "--lang", "en")
    assert said in compared.stdout
    assert "ndmc: the journal was restored from a copy, which lacks this time" in compared.stdout


def test_a_restored_journal_stops_its_link_alone_until_the_epoch(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Station.of(tmp_path_factory, links=(LINK, "two")) as station:
        station.start(*SIDES)
        reference = station.alert()
        station.until(lambda: station.alert_state("ndmc", reference) == "received")
        assert station.stop("ndmc") == 0
        backup, config = station.folder / "backup", str(station.config("ndmc"))
        shutil.copytree(station.journal("ndmc"), backup)
        done = station.deconflict("log", "restore", str(backup), config, "--link", LINK, "--replace")
        assert f"deconflict epoch {config} --link {LINK}" in done.stdout

        station.launch("ndmc")
        station.until(lambda: station.answers("ndmc"))
        assert "first both sides open a new epoch" in str(station.alarm("ndmc", "journal_failure")["detail"])
        other = station.alert(link="two")
        station.until(lambda: station.alert_state("ndmc", other, "two") == "received")

        # the sides share the link file here; the running processes take it over, and the link comes back
        opened = station.deconflict("epoch", config, "--link", LINK, "--yes")
        assert opened.returncode == 0, opened.stderr
        assert station.deconflict("epoch", str(station.config("eucom")), "--link", LINK, "--yes").returncode == 0
        station.cleared("ndmc", "journal_failure")
        reference = station.alert()
        station.until(lambda: station.alert_state("ndmc", reference) == "received")
        assert len(station.records("ndmc", "JournalRestored")) == 1


@pytest.mark.parametrize("copied", ["older", "none"])
def test_a_journal_that_nobody_marked_is_found_by_the_other_side(station: Station, copied: str) -> None:
    delivered(station)
    assert station.stop("ndmc") == 0
    backup, journal = station.folder / "backup", station.journal("ndmc")
    shutil.copytree(journal, backup)
    station.start("ndmc")
    for side in SIDES:
        delivered(station, side)
    assert station.stop("ndmc") == 0
    shutil.rmtree(journal)
    if copied == "older":
        shutil.copytree(backup, journal)

    station.start("ndmc")
    lost = station.alert()
    # its receipts say less than eucom has sealed, and its messages are others than those that eucom has
    station.alarm("ndmc", "journal_behind")
    try:
        station.alert("ndmc")
    except RequestRefused:
        # eucom's receipts came first, and name messages that this journal has not sent
        station.alarm("ndmc", "fork")
    else:
        station.alarm("eucom", "equivocation")
    assert station.alert_state("eucom", lost) == "sent"
    assert any("this journal is new" in line for line in log_lines(station.processes["ndmc"])) == (copied == "none")

    epoch(station)
    station.start(*ALL)
    for name in ALL:
        for code in ("journal_behind", "equivocation", "fork"):
            station.cleared(name, code)
    assert station.alarm("eucom", "undelivered")["subject"] == "epoch 1"
    assert [delivered(station), delivered(station, "ndmc")] == ["eucom/2/1", "ndmc/2/1"]


def test_a_moved_endpoint_and_its_second_copy(station: Station) -> None:
    delivered(station)
    assert station.stop("eucom") == 0
    waiting = station.alert("ndmc")
    home, moved = station.folder / "d", station.folder / "moved"
    moved.mkdir()
    shutil.copytree(home / "eucom", moved / "eucom")
    config = str(moved / "eucom" / "endpoint.toml")

    # the forgotten half
    for command in (["run"], ["doctor"], ["log", "restore", str(moved)]):
        run = station.deconflict(*command, config)
        said = run.stdout + run.stderr
        assert run.returncode == (1 if command == ["doctor"] else 2)
        assert said.splitlines()[0].count(f"{moved}/link.toml") == 1
        assert "the link file belongs to this installation" in said.splitlines()[0]
    shutil.copy2(home / "link.toml", moved / "link.toml")
    assert station.deconflict("doctor", config).returncode == 0

    new = station.processes["moved"] = Running(["run", config], {})
    client = ControlClient(moved / "eucom" / "control.sock", LINK)
    station.until(lambda: "connected to the broker" in log_lines(new))
    officer = default_terms.officers("eucom")[0]
    ask: dict[str, Any] = {"officer": officer, "credential": station.credential("eucom", officer)}
    ask |= {"category": "air_pursuit", "precedence": "routine", "text": TEXT, "expires_in_s": 3_600}
    reference = client.act("alert", ask)
    station.until(lambda: station.alert_state("ndmc", reference) == "received")
    assert waiting in {each["reference"] for each in client.get("snapshot")["alerts"]}
    station.until(lambda: station.status("ndmc")["outbox"] == {"waiting": 0, "in_flight": 0})
    journals = [str(moved / "eucom" / "journal" / LINK), str(station.journal("ndmc"))]
    assert station.deconflict("reconcile", *journals).returncode == 0

    # nobody removed the old one, and it starts again
    found = station.deconflict("doctor", str(station.config("eucom")))
    assert "another process uses this certificate" in found.stdout
    old = station.launch("eucom")
    station.until(lambda: station.answers("eucom"))
    # each speaks: the other side has two versions of one message, and follows neither
    station.alert()
    client.act("alert", ask)
    # both report it before there is an alarm
    for process in (old, new):
        station.until(partial(displaced, process))
    for name in ("ndmc", "watch"):
        station.alarm(name, "equivocation/eucom", within_s=120)
