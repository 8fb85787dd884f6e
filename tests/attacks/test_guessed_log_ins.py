"""Programs of this machine guess officers' credentials at the console's log-in, as fast as they are answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from tests.support.console_station import ConsoleStation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStation]:
    with ConsoleStation.of(tmp_path_factory) as started:
        started.start("watch", "eucom")
        started.open_console("eucom")
        yield started


def test_no_guesser_of_this_machine_keeps_an_officer_out(station: ConsoleStation) -> None:
    """A browser that nobody knows takes turns with a few guessers; among many, one that is known need not wait."""
    form = {"officer": "watch-1", "credential": station.credential("eucom", "watch-1")}
    headers = {"origin": station.origin("eucom"), "sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=station.origin("eucom"), headers=headers, trust_env=False, timeout=60) as client:
        with guessing(station, 8):
            station.until(lambda: len(station.records("eucom", "CredentialsRefused")) > 3)
            entered = client.post("/log-in", data=form)
            assert entered.status_code == 303, entered.text
        cookies = [each.partition(";")[0] for each in entered.headers.get_list("set-cookie")]
        (known,) = (each for each in cookies if each.startswith("__Host-browser-"))
        link = station.board_link("eucom").removeprefix(station.origin("eucom"))
        with guessing(station, 40):
            station.until(lambda: "too many log-ins from here" in client.post("/log-in", data=form).text)
            assert client.post("/log-in", data=form, headers={"cookie": known}).status_code == 303
            opened = client.get(link).headers.get_list("set-cookie")[1].partition(";")[0]
            assert client.post("/log-in", data=form, headers={"cookie": opened}).status_code == 303


@contextmanager
def guessing(station: ConsoleStation, connections: int) -> Iterator[None]:
    """Guess over several connections at once."""
    ended = threading.Event()

    def guess() -> None:
        headers = {"origin": station.origin("eucom"), "sec-fetch-site": "same-origin"}
        with httpx.Client(base_url=station.origin("eucom"), headers=headers, trust_env=False, timeout=60) as client:
            while not ended.is_set():
                client.post("/log-in", data={"officer": "watch-1", "credential": "guess-guess-guess"})

    with ThreadPoolExecutor(connections) as pool:
        guessers = [pool.submit(guess) for _ in range(connections)]
        try:
            yield
        finally:
            ended.set()
    for each in guessers:
        each.result()
