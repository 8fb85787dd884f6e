"""The console as a process beside a real endpoint: it starts without any key, serves, and stops in order."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.support.console_station import ConsoleStation, console
from tests.support.station import LINK, Running

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStation]:
    with ConsoleStation.of(tmp_path_factory) as started:
        started.start("watch", "eucom")
        # the running processes have read them; nobody else may need them
        for place in ("eucom", "watch"):
            shutil.rmtree(started.config(place).parent / "keys")
            (started.config(place).parent / "tls" / "client.key").unlink()
        started.open_console("eucom")
        yield started


def command(station: ConsoleStation, *words: str) -> Running:
    return Running(["console", *words], {"DECONFLICT_CONSOLE_LISTEN": f"localhost:{station.ports['eucom']}"})


def link_of(station: ConsoleStation, *options: str) -> str:
    """Return the one-time link that the command prints."""
    printed = command(station, "board-link", str(station.config("eucom")), *options)
    assert printed.wait(30) == 0, printed.errors()
    return printed.output().decode().strip()


@contextmanager
def reader(station: ConsoleStation, link: str) -> Iterator[httpx.Client]:
    """Yield a browser that has opened a one-time link."""
    with httpx.Client(base_url=station.origin("eucom"), trust_env=False) as client:
        client.headers["cookie"] = client.get(link).headers["set-cookie"].partition(";")[0]
        yield client


def test_a_console_without_any_key_shows_the_link(station: ConsoleStation) -> None:
    with reader(station, link_of(station)) as client:
        station.until(lambda: "UNPROVEN" in client.get(f"/links/{LINK}/board").text)
        page = client.get(f"/links/{LINK}/board").text
        assert "EXERCISE · УЧЕНИЕ" in page
        assert "INDEPENDENT WATCH" in page
        assert client.get(f"/links/{LINK}/messages").status_code == 403


def test_sessions_survive_a_restart_and_end_by_the_command(station: ConsoleStation) -> None:
    with reader(station, link_of(station, "--role", "investigator")) as client:
        assert client.get(f"/links/{LINK}/history").status_code == 200
        assert station.stop(console("eucom")) == 0
        station.open_console("eucom")
        assert client.get(f"/links/{LINK}/history").status_code == 200
        ended = command(station, "end-sessions", str(station.config("eucom")))
        assert ended.wait(30) == 0
        assert b"ended" in ended.output()
        assert client.get(f"/links/{LINK}/history").headers["location"] == "/log-in"


def test_an_open_stream_does_not_keep_a_console_from_stopping(station: ConsoleStation) -> None:
    with reader(station, link_of(station)) as client, client.stream("GET", "/stream") as stream:
        assert next(stream.iter_lines()).startswith("data: ")
        process = station.processes[console("eucom")]
        assert station.stop(console("eucom")) == 0
        assert process.errors() == ""
        assert all(line.startswith(b"{") for line in process.output().splitlines()), "a log line is JSON"
    station.open_console("eucom")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("eucom", "the configuration of an endpoint; the independent watch has watch.toml"),
        ("nowhere", "No such file"),
    ],
)
def test_a_wrong_watch_is_named_in_one_line(station: ConsoleStation, place: str, words: str) -> None:
    path = str(station.config(place))
    wrong = command(station, str(station.config("eucom")), path)
    assert wrong.wait(30) == 2
    complaint = wrong.errors()
    assert complaint.count("\n") == 1
    assert path in complaint
    assert words.lower() in complaint.lower()


def test_a_second_console_at_the_same_address_is_refused_in_one_line(station: ConsoleStation) -> None:
    second = command(station, str(station.config("eucom")))
    assert second.wait(30) == 2
    assert second.errors().count("\n") == 1
    assert "cannot listen at" in second.errors()
