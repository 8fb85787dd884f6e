"""`status` is fine only while the line is proven: real processes, a real broker, killed and stopped (decision 0091)."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import msgspec
import pytest

from tests.support.station import SIDES, Running, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ALL = (*SIDES, "watch")


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        # the watch greets nobody: it must be there when the endpoints arrive, or hears them only at their next beat
        station.start("watch")
        station.start(*SIDES)
        proven(station)
        yield station


def proven(station: Station) -> None:
    """Place a line test, answer it, and wait until the link is fine everywhere."""
    reference = station.client("eucom").act("test", {})
    station.until(lambda: any(each["reference"] == reference for each in station.snapshot("ndmc")["tests"]))
    words = station.snapshot("ndmc")["tests"][-1]["heartbeat"]["challenge"]
    station.act("ndmc", "duty-1", "answer", of=reference, words=words)
    fine(station, *ALL)


def fine(station: Station, *names: str) -> None:
    station.each(names, lambda name: bool(station.status(name)["state"] == "fine"))


def codes(station: Station, name: str) -> set[str]:
    return {each["code"] for each in station.status(name)["reasons"]}


def test_the_link_is_not_fine_once_the_broker_is_lost_until_all_are_heard_again(station: Station) -> None:
    station.broker.stop()
    station.each(ALL, lambda name: "not_connected" in codes(station, name))
    assert "fine" not in {station.status(name)["state"] for name in ALL}
    assert station.status("eucom")["reasons"][-1]["text"].startswith("no connection to the broker: ")
    assert [station.status(name)["peer"] for name in ALL] == ["unknown"] * 3

    station.broker.start()

    # presence is reported anew, although nothing changed
    fine(station, *SIDES)


def test_a_killed_peer_spoils_fine_and_its_return_restores_it(station: Station) -> None:
    station.kill("ndmc")
    station.each(("eucom", "watch"), lambda name: "peer_gone" in codes(station, name))
    station.alert()
    assert station.status("eucom")["state"] == "unproven"
    station.forward(31, rate=31)
    station.until(lambda: "unreceipted" in codes(station, "eucom"))

    command = ("status", *(str(station.config(name)) for name in ALL))
    shown = station.deconflict(*command, "--json")
    assert shown.returncode == 12
    documents = [msgspec.json.decode(line) for line in shown.stdout.splitlines()]
    assert [(each["side"], each["state"]) for each in documents] == [
        ("eucom", "late"),
        ("ndmc", "unknown"),
        ("watch", documents[2]["state"]),
    ]
    assert [each["code"] for each in documents[1]["reasons"]] == ["no_answer"]
    people = station.deconflict(*command, "--lang", "ru")
    assert people.returncode == 12
    assert [line for line in people.stdout.splitlines() if line and not line.startswith(" ")] == [
        "eucom-ndmc (УЧЕНИЕ), eucom: ОПАЗДЫВАЕТ",
        "eucom-ndmc (УЧЕНИЕ), ndmc: НЕИЗВЕСТНО",
        next(line for line in people.stdout.splitlines() if line.startswith("eucom-ndmc (УЧЕНИЕ), watch: ")),
        "код завершения 12: eucom-ndmc (УЧЕНИЕ), ndmc: НЕИЗВЕСТНО",
    ]

    station.start("ndmc")
    station.each(SIDES, lambda name: "peer_gone" not in codes(station, name))
    station.settled()


def test_a_process_that_hangs_is_unknown_within_the_limit(station: Station) -> None:
    process = station.processes["ndmc"].popen
    following = Running(["status", *(str(station.config(name)) for name in SIDES), "--follow", "--json"], {})
    try:
        station.until(lambda: following.output().count(b"\n") >= len(SIDES))
        process.send_signal(signal.SIGSTOP)

        asked = station.deconflict("status", str(station.config("ndmc")), "--json")

        assert asked.returncode == 12
        assert msgspec.json.decode(asked.stdout)["reasons"][0]["text"].endswith("the process or its disk hangs")
        # a follower that hears nothing must not go on showing what was
        station.until(lambda: b'"state":"unknown"' in following.output())
    finally:
        process.send_signal(signal.SIGCONT)
        following.end(signal.SIGKILL)


def test_what_waits_is_listed_in_the_order_of_handling(station: Station) -> None:
    routine = station.alert(expires_in_s=3_600)
    draft = station.alert(precedence="flash")
    flash = station.act("eucom", "watch-2", "release", draft=int(draft.removeprefix("draft/")))
    station.until(lambda: station.alert_state("ndmc", flash) == "received")
    waiting = station.alert("ndmc", precedence="immediate")

    ndmc = station.deconflict("messages", str(station.config("ndmc")), "--open", "--json")
    rows = msgspec.json.decode(ndmc.stdout)["open"]

    listed = [each["reference"] for each in rows]
    assert listed[0] == flash
    assert set(listed) >= {flash, routine, waiting}
    assert all(len(each["seen"]) == 64 for each in rows)
    shown = station.deconflict("messages", str(station.config("ndmc")), "--open", "--limit", "1", "--lang", "ru")
    assert shown.stdout.startswith(f"{flash}  осталось ")
    assert "Europe/Moscow" in shown.stdout
    assert f"ждут ещё {len(rows) - 1}" in shown.stderr
    assert f"подтвердить: deconflict acknowledge {station.config('ndmc')} {flash} --officer ID" in shown.stderr
    status = station.status("eucom")
    assert status["awaited"][0]["reference"] == flash
    assert waiting in [each["draft"] for each in station.status("ndmc")["drafts"]]
    nothing = station.deconflict("messages", str(station.config("watch")), "--open")
    assert (nothing.returncode, nothing.stdout) == (0, "")
