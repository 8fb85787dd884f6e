"""Both sides rotate their signing keys at the same time, by the commands alone, while alerts flow both ways."""

from __future__ import annotations

import io
import json
import shutil
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from endpoints.config import link_file
from endpoints.config.link_file import LinkFile
from endpoints.control.client import RequestRefused, Unreachable
from endpoints.keys import key_files
from tests.support.comparison import Comparison
from tests.support.exchange import words_asked
from tests.support.station import ALL, LINK, SIDES, Station
from tests.support.two_sides import run

OFFICERS = {"eucom": "watch-1", "ndmc": "duty-1", "watch": "observer-1"}


class Apart(Station):
    """A station whose sides and watch have a link file each, as on three machines."""

    def split(self) -> None:
        shared = self.link_file()
        for name in ALL:
            shutil.copy(shared, self.own_file(name))
            config = self.config(name)
            config.write_bytes(config.read_bytes().replace(b'file = "../link.toml"', b'file = "link.toml"'))
        shared.unlink()

    def own_file(self, name: str) -> Path:
        return self.config(name).parent / "link.toml"

    def content(self, name: str) -> LinkFile:
        return link_file.load(self.own_file(name))

    def keys(self, name: str) -> list[str]:
        return list(key_files.stored(self.config(name).parent / "keys"))

    def command(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            assert run(*words, "--lang", "en") in codes, printed.getvalue()
        return printed.getvalue()

    def exchange(self) -> None:
        """Hand each side's link file to the other side, and the one to which that leads to the watch."""
        brought = {side: self.folder / f"{side}.toml" for side in SIDES}
        for side, path in brought.items():
            shutil.copy(self.own_file(side), path)
        for name, path in zip(SIDES, reversed(brought.values()), strict=True):
            self.command("link", "accept", str(self.config(name)), str(path), "--yes")
        self.command("link", "accept", str(self.config("watch")), str(self.own_file("ndmc")), "--yes")
        assert len({self.content(name).digest for name in ALL}) == 1

    def accept(self, name: str) -> str:
        """Let the officer of `name` accept the change with the words that another place reads."""
        alarm = self.alarm(name, "keys_changed")
        other = next(each for each in SIDES if each != name)
        words = words_asked(self.content(other), alarm["words_from"])
        return self.command(
            *("alarms", "acknowledge", str(self.config(name)), f"keys_changed/{alarm['subject']}"),
            *("--officer", OFFICERS[name], "--words", " ".join(words)),
            *("--credential-file", str(self.credential_file(name, OFFICERS[name]))),
        )


class Alerts:
    """Raises alerts on one side without a pause, and keeps the references of those that were taken."""

    def __init__(self, station: Station, side: str) -> None:
        self.taken: list[str] = []
        self._station, self._side = station, side
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._raise, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join(30)

    def _raise(self) -> None:
        while not self._end.wait(0.1):
            try:
                self.taken.append(self._station.alert(self._side))
            except (RequestRefused, Unreachable):
                # the link restarts on other files, or the outbox is full
                continue


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    with Apart.of(tmp_path_factory) as station:
        station.split()
        station.start(*ALL)
        yield station


def signatures(station: Apart, side: str) -> int:
    """Return how many keys have signed the newest frame of a side."""
    frames = [frame for record in station.records(side, "BatchClosed") for frame in record.get("frames", ())]
    return len(json.loads(b64decode(frames[-1]))["signatures"]) if frames else 0


def test_a_comparison_is_journaled_beside_a_running_service(station: Apart) -> None:
    """SPEC E1.8: who compared, and when; the connection stands meanwhile."""
    assert station.status("eucom")["confirmed"] is None
    config = station.config("eucom")
    assert "link file: not compared with the other side's" in station.command("status", str(config), codes=(0, 10, 11))
    comparison = Comparison(config)
    code, _, err = comparison.hear(station.content("ndmc"))
    assert (code, "deconflict run" in err) == (0, False)
    confirmed = station.status("eucom")["confirmed"]
    assert (confirmed["officer"], confirmed["digest"]) == ("watch-1", station.content("eucom").digest)
    (record,) = station.records("eucom", "LinkConfirmed")
    assert (record["officer"], record["first_word"]) == ("watch-1", comparison.start)
    assert "link file: compared by watch-1, " in station.command("status", str(config), codes=(0, 10, 11))


def test_a_stolen_key_is_revoked_on_both_sides(station: Apart) -> None:
    """SPEC F5.4: its frames are refused at once; what waited arrives under the next key."""
    (stolen,) = station.keys("ndmc")
    printed = station.command("key", "revoke", str(station.config("eucom")), f"ndmc/{stolen}", "--yes")
    assert "link eucom-ndmc: ndmc has no other accepted key" in printed
    waited = station.alert("ndmc")
    station.alarm("eucom", "bad_frames")
    assert station.alert_state("eucom", waited) is None

    printed = station.command("key", "revoke", str(station.config("ndmc")), stolen, "--yes")
    assert "link eucom-ndmc: 1 message without a receipt is signed again with the next key" in printed
    assert stolen not in station.keys("ndmc")
    station.exchange()
    for name in ALL:
        station.accept(name)
    station.until(lambda: station.alert_state("eucom", waited) is not None)
    station.settled()


def test_both_sides_rotate_at_once_while_alerts_flow(station: Apart) -> None:
    """SPEC F5.4 to F5.6: no word is lost or doubled, and the old private keys are gone at the end."""
    old = {side: station.keys(side)[0] for side in SIDES}
    alerts = {side: Alerts(station, side) for side in SIDES}
    station.until(lambda: all(len(each.taken) > 2 for each in alerts.values()))

    for side in SIDES:
        station.command("key", "add", str(station.config(side)))
    station.exchange()
    for name in ALL:
        station.accept(name)
    for side in SIDES:
        station.until(lambda side=side: signatures(station, side) == 2)  # type: ignore[misc]

    for side in SIDES:
        said = station.command("key", "retire", str(station.config(side)), old[side], "--yes")
        assert "its private file in" not in said
    station.exchange()
    accepted = {name: station.accept(name) for name in ALL}
    for side in SIDES:
        assert f"{old[side]}: its private file in" in accepted[side]
        assert old[side] not in station.keys(side)
        assert len(station.keys(side)) == 1
        station.until(lambda side=side: signatures(station, side) == 1)  # type: ignore[misc]

    for each in alerts.values():
        each.stop()
    station.settled()
    taken = {side: [int(each.rsplit("/", 1)[1]) for each in alerts[side].taken] for side in SIDES}
    for side, other in (SIDES, reversed(SIDES)):
        applied = [seq for sender, seq in station.applied(other) if sender == side]
        assert len(applied) == len(set(applied))
        assert set(taken[side]) <= set(applied)
    for name in ALL:
        assert station.stop(name) == 0

    file = str(station.own_file("eucom"))
    journals = [str(station.journal(name)) for name in SIDES]
    agree = station.deconflict(
        "reconcile", *journals, "--watch", str(station.journal("watch")), "--link-file", file, "--json"
    )
    assert agree.returncode == 0, agree
    assert json.loads(agree.stdout)["agree"] is True
    for name in ALL:
        verified = station.deconflict(
            "log", "verify", str(station.journal(name)), "--link-file", str(station.own_file(name))
        )
        assert verified.returncode == 0, verified
    assert LINK in station.command("key", "show", str(station.config("eucom")))
