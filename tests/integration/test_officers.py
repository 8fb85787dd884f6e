"""Officers come, go and get new credentials while the service runs (SPEC P1.5, W7)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from endpoints.control.client import RequestRefused
from tests.support.station import LINK, ROOT, Station
from tests.support.terminal import Terminal

pytestmark = pytest.mark.integration

FLASH = ("--category", "air_pursuit", "--precedence", "flash", "--text", "en=A fighter.", "--text", "ru=Истребитель.")
TAKEN = f"taken over by the running process: restarted {LINK}; other officers\n"


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start("eucom", "ndmc", "watch")
        yield station


def officer(station: Station, *words: str, name: str = "eucom") -> subprocess.CompletedProcess[str]:
    verb, *rest = words
    done: subprocess.CompletedProcess[str] = station.deconflict(
        "officer", verb, str(station.config(name)), *rest, "--lang", "en"
    )
    return done


def file_of(tmp_path: Path, credential: str) -> tuple[str, str]:
    path = tmp_path / "credential"
    path.write_text(credential, "utf-8")
    path.chmod(0o600)
    return "--credential-file", str(path)


def refused(station: Station, officer: str, credential: str, side: str = "eucom") -> str:
    with pytest.raises(RequestRefused) as why:
        station.act(side, officer, "acknowledge-alarm", code="fork", subject="x", credential=credential)
    return why.value.code


def roster(station: Station, name: str = "eucom") -> set[str]:
    officers: dict[str, Any] = station.records(name, "OfficersEnrolled")[-1]["officers"]
    return set(officers)


def test_an_added_officer_acts_at_once_and_a_reset_ends_the_old_credential(station: Station) -> None:
    added = officer(station, "add", "watch-3", "--name", "Major Weber")
    assert (added.returncode, TAKEN in added.stderr) == (0, True), added.stderr
    first = added.stdout.strip()
    assert refused(station, "watch-3", first) == "unknown_alarm"
    assert roster(station) == {"watch-1", "watch-2", "watch-3"}

    # what they tried before the reset does not keep them out
    for _ in range(3):
        assert refused(station, "watch-3", "a forgotten credential") == "not_authorised"
    reset = officer(station, "reset", "watch-3")
    assert (reset.returncode, TAKEN in reset.stderr) == (0, True), reset.stderr
    assert refused(station, "watch-3", reset.stdout.strip()) == "unknown_alarm"
    assert refused(station, "watch-3", first) == "not_authorised"

    listed = officer(station, "list")
    assert "watch-3  Major Weber; enrolled since " in listed.stdout
    assert listed.stderr == ""


def test_an_officer_removed_in_mid_act_gets_one_clear_line(station: Station, tmp_path: Path) -> None:
    """With the watch, with a draft that somebody waits for, with another's draft on the screen."""
    config, watch_1 = str(station.config("eucom")), str(station.credential_file("eucom", "watch-1"))
    credential = station.credential("eucom", "watch-2")
    proof = ("--officer", "watch-2", *file_of(tmp_path, credential))
    assert station.deconflict("duty", "take", config, *proof).returncode == 0
    waiting = subprocess.Popen(
        [
            *(sys.executable, "-m", "endpoints.cli.main", "alert", config, *FLASH, *proof),
            *("--wait", "received", "--timeout", "2m", "--lang", "en"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert waiting.stdout is not None
    own = waiting.stdout.readline().strip()
    other = station.deconflict("alert", config, *FLASH, "--officer", "watch-1", "--credential-file", watch_1).stdout
    other = other.strip()
    reading = Terminal("release", config, other, "--officer", "watch-2", "--lang", "en")
    reading.until("[y/N]")

    removed = officer(station, "remove", "watch-2", "--yes")

    assert (removed.returncode, TAKEN in removed.stderr) == (0, True), removed.stderr
    assert f"{LINK} (EXERCISE): has the watch, which nobody has then\n" in removed.stderr
    assert (
        f"{LINK} (EXERCISE): wrote {own}, which nobody can release any more: it has to be discarded\n" in removed.stderr
    )
    assert not station.credential_file("eucom", "watch-2").exists()
    assert "watch-2" not in roster(station)
    assert station.snapshot("eucom")["on_watch"] is None
    # the draft that was on the screen
    reading.type("y\n")
    reading.until("Credential of watch-2:")
    reading.type(f"{credential}\n")
    assert reading.end() == 2
    assert "officer 'watch-2' with this credential is not enrolled here" in " ".join(reading.text.split())
    # the draft that was waited for
    _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 11
    assert err.endswith(f"{own}: its author was removed: it can only be discarded; nothing was sent\n")
    # nobody else releases it either
    late = station.deconflict(
        "release", config, own, "--officer", "watch-1", "--credential-file", watch_1, "--lang", "en"
    )
    assert (late.returncode, late.stderr) == (
        2,
        f"deconflict: watch-2, who wrote {own}, is not enrolled any more: discard it, and write the alert again\n",
    )
    assert refused(station, "watch-2", credential) == "not_authorised"
    for draft in (own, other):
        station.act("eucom", "watch-1", "cancel", draft=int(draft.removeprefix("draft/")))
    assert station.snapshot("eucom")["drafts"] == []
    assert not station.records("eucom", "OfficerReleased")


def test_the_officers_of_the_watch_are_exchanged_too(station: Station) -> None:
    assert officer(station, "add", "observer-2", name="watch").returncode == 0
    credential = station.credential("watch", "observer-1")
    removed = officer(station, "remove", "observer-1", "--yes", name="watch")
    assert removed.returncode == 0, removed.stderr
    assert roster(station, "watch") == {"observer-2"}
    assert refused(station, "observer-1", credential, "watch") == "not_authorised"


def test_a_change_that_the_running_process_refuses_is_not_made(station: Station, tmp_path: Path) -> None:
    """Another file is broken, and a process takes over all its files or none."""
    config, link_file = station.config("eucom"), station.link_file()
    before, text = config.read_bytes(), link_file.read_text("utf-8")
    assert '"15m"' in text
    link_file.write_text(text.replace('"15m"', '"14m"', 1), "utf-8")
    try:
        for words in (
            ("remove", "watch-3", "--yes"),
            ("add", "watch-4", "--credential-file", str(tmp_path / "new")),
            ("reset", "watch-1", "--credential-file", str(tmp_path / "new")),
        ):
            refusal = officer(station, *words)
            assert (refusal.returncode, refusal.stdout) == (2, "")
            last = refusal.stderr.splitlines()[-1]
            assert last.startswith("deconflict: nothing was taken over, and everything runs on as before: "), last
    finally:
        link_file.write_text(text, "utf-8")

    assert config.read_bytes() == before
    assert not (tmp_path / "new").exists()
    assert station.credential_file("eucom", "watch-1").exists()
    assert roster(station) == {"watch-1", "watch-3"}
    assert refused(station, "watch-1", station.credential("eucom", "watch-1")) == "unknown_alarm"


def test_audits_accept_the_journals(station: Station) -> None:
    station.settled()
    for name in ("eucom", "ndmc", "watch"):
        verified = station.deconflict(
            "log", "verify", str(station.journal(name)), "--link-file", str(station.link_file())
        )
        assert verified.returncode == 0, verified.stdout
