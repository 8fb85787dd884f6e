"""A running pair amends its schedule through both sides' commands, as two adversaries do: files are handed over."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.station import ALL, LINK, SIDES, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory, answered_by="service") as station:
        # a link file of its own for each process
        for name in ALL:
            config = station.config(name)
            own_file(station, name).write_bytes(station.link_file().read_bytes())
            own_file(station, name).chmod(0o644)
            config.write_text(config.read_text().replace('file = "../link.toml"', 'file = "link.toml"'))
        station.link_file().unlink()
        station.start(*ALL)
        yield station


def own_file(station: Station, name: str, file: str = "link.toml") -> Path:
    return station.config(name).parent / file


def done(station: Station, *words: str | Path) -> str:
    """Run a command that must succeed; return what it says."""
    result = station.deconflict(*map(str, words))
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


def test_an_amended_schedule_takes_effect_without_a_restart_and_nothing_is_lost(station: Station) -> None:
    before = station.alert()
    station.until(lambda: station.alert_state("ndmc", before) == "received")
    processes = {name: station.processes[name].popen.pid for name in ALL}

    done(station, "link", "amend", station.config("eucom"), "--slots", "30 13 * * *", "0 15 * * *", "--yes")
    ready = own_file(station, "eucom", "link.next.toml")
    for name in ("ndmc", "watch"):
        said = done(station, "link", "accept", station.config(name), ready, "--yes")
        assert 'line tests: "0 9,17 * * *" -> "30 13 * * *"; "0 15 * * *"' in said
    # nothing has changed on the line
    assert station.snapshot("ndmc")["epoch"] == 1
    station.settled()

    for name in ALL:
        said = done(station, "epoch", station.config(name), "--yes")
        assert "epoch 1 ends, and epoch 2 opens" in said
        assert not own_file(station, name, "link.next.toml").exists()
        assert f"{before}, alert, ROUTINE" in said
    station.each(ALL, lambda name: station.snapshot(name)["epoch"] == 2)
    for name in ALL:
        station.cleared(name, "policy_mismatch")
    assert processes == {name: station.processes[name].popen.pid for name in ALL}
    assert {name: station.snapshot(name)["policy"] for name in ALL} == dict.fromkeys(
        ALL, station.snapshot("eucom")["policy"]
    )

    # the alert of the first epoch is acknowledged in the second
    station.act("ndmc", "duty-1", "acknowledge", of=before, decision="understood")
    station.until(lambda: station.alert_state("eucom", before) == "understood")
    after = station.alert()
    assert after == "eucom/2/1"
    station.until(lambda: station.alert_state("ndmc", after) == "received")
    # 13:30 in Berlin
    station.forward_to("2022-11-29T12:30:05.000Z")
    slot = "2022-11-29T12:30:00.000Z"
    station.until(
        lambda: (slot, "met") in [(each["slot"], each["state"]) for each in station.snapshot("eucom")["slots"]]
    )
    station.settled()

    journals = [station.journal(side) for side in SIDES]
    compared = json.loads(done(station, "reconcile", *journals, "--watch", station.journal("watch"), "--json"))
    assert compared["agree"]
    assert compared["statuses"] == {"1": "exercise", "2": "exercise"}
    messages = [(each["sender"], each["epoch"], each["seq"]) for each in compared["messages"]]
    assert len(messages) == len(set(messages))
    assert {("eucom", 1, 1), ("eucom", 2, 1)} <= set(messages)


def test_an_epoch_opened_on_one_side_costs_what_it_said_and_the_other_side_follows(station: Station) -> None:
    """SPEC E2.2, E3."""
    assert station.stop("ndmc") == 0
    lost = station.alert()

    asked = station.deconflict("epoch", str(station.config("eucom")))
    assert asked.returncode == 2
    assert f"{lost}, alert, ROUTINE" in asked.stderr
    assert "no amended link file is prepared" in asked.stderr
    assert station.snapshot("eucom")["epoch"] == 1

    said = json.loads(station.deconflict("epoch", str(station.config("eucom")), "--yes", "--json").stdout)
    assert [each["reference"] for each in said["undelivered"]] == [lost]
    assert said["running"] is True
    assert station.alarm("eucom", "undelivered")["subject"] == "epoch 1"

    # a process that does not run opens it when it starts
    said = json.loads(station.deconflict("epoch", str(station.config("ndmc")), "--yes", "--json").stdout)
    assert said["running"] is False
    done(station, "epoch", station.config("watch"), "--yes")
    station.start("ndmc")
    assert station.snapshot("ndmc")["epoch"] == 2
    for name in ALL:
        station.cleared(name, "policy_mismatch")
    after = station.alert()
    station.until(lambda: station.alert_state("ndmc", after) == "received")


def test_an_epoch_that_the_running_service_refuses_leaves_every_file_as_it_was(station: Station) -> None:
    done(station, "link", "amend", station.config("eucom"), "--grace", "10m", "--yes")
    files = [own_file(station, "eucom", name) for name in ("link.toml", "link.next.toml")]
    before = [file.read_bytes() for file in files]
    # a key that the service cannot read: every reload is refused
    key = next((station.config("eucom").parent / "keys").glob("*.pem"))
    key.chmod(0o644)

    refused = station.deconflict("epoch", str(station.config("eucom")), "--yes")

    assert refused.returncode == 2
    assert "open to others" in refused.stderr.splitlines()[-1]
    assert [file.read_bytes() for file in files] == before
    assert station.snapshot("eucom")["epoch"] == 1
    key.chmod(0o600)
    done(station, "epoch", station.config("eucom"), "--yes")
    assert station.snapshot("eucom")["epoch"] == 2
    assert station.ask("eucom", "status", LINK)["broker"] == "connected"
