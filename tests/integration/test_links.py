"""Several links over one connection: a failure of one journal stops only its link."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from endpoints.config import link_file
from endpoints.control.client import RequestRefused
from endpoints.journal.segments import segments
from tests.support.station import ALL, SIDES, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

FIRST, SECOND = "eucom-ndmc", "eucom-ndmc-air"


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory, links=(FIRST, SECOND)) as station:
        station.start(*ALL)
        yield station


def test_each_link_has_its_own_stream_and_its_own_journal(station: Station) -> None:
    assert station.alert(link=FIRST) == "eucom/1/1"
    assert station.alert(link=SECOND) == "eucom/1/1"
    assert station.alert(link=SECOND) == "eucom/1/2"
    for link, last in ((FIRST, 1), (SECOND, 2)):
        station.until(lambda link=link, last=last: station.snapshot("ndmc", link)["theirs"]["eucom"]["last"] == last)  # type: ignore[misc]
        station.until(lambda link=link, last=last: station.snapshot("watch", link)["theirs"]["eucom"]["last"] == last)  # type: ignore[misc]
    assert {record["link"] for record in station.records("eucom", link=SECOND)} == {SECOND}


def test_a_command_requires_a_choice_between_links(station: Station) -> None:
    config = str(station.config("eucom"))
    unclear = station.deconflict("messages", config)
    assert unclear.returncode == 2
    assert "choose one with --link: eucom-ndmc, eucom-ndmc-air" in unclear.stderr
    chosen = station.deconflict("messages", config, "--link", SECOND, "--json")
    assert chosen.returncode == 0
    assert msgspec.json.decode(chosen.stdout)["link"] == SECOND
    with pytest.raises(RequestRefused) as unknown:
        station.status("eucom", "no-such-link")
    assert unknown.value.code == "unknown_link"


def test_a_printed_command_chooses_its_link(station: Station) -> None:
    """Copied as it stands, it acts on the link that it is about."""
    station.alert(link=SECOND)
    station.until(lambda: station.snapshot("ndmc", SECOND)["alerts"] != [])
    waiting = station.deconflict("messages", str(station.config("ndmc")), "--open", "--link", SECOND)
    officers = station.config("eucom").parent / "keys" / "officers"
    words = ("--category", "air_pursuit", "--precedence", "flash", "--text", "en=A test.", "--text", "ru=Проверка.")
    who = ("--officer", "watch-1", "--credential-file", str(officers / "watch-1.credential"))
    held = station.deconflict("alert", str(station.config("eucom")), "--link", SECOND, "--expires", "2h", *words, *who)
    assert (waiting.returncode, held.returncode) == (0, 0), held.stderr
    printed = [line for line in (waiting.stderr + held.stderr).splitlines() if ": deconflict " in line]
    assert [line.split(": deconflict ")[1].split()[0] for line in printed] == ["acknowledge", "show", "release"]
    assert all(f" --link {SECOND}" in line for line in printed)


def test_status_shows_every_link_unless_one_is_chosen(station: Station) -> None:
    config = str(station.config("eucom"))
    for choice, shown in (((), [FIRST, SECOND]), (("--link", SECOND), [SECOND])):
        told = station.deconflict("status", config, *choice, "--json").stdout.splitlines()
        assert [msgspec.json.decode(line)["link"] for line in told] == shown


def test_a_journal_that_cannot_be_written_stops_only_its_link(station: Station) -> None:
    # make the first journal much larger than the second, then limit file sizes to a value between the two
    while len(station.records("eucom", link=FIRST)) < 3 * len(station.records("eucom", link=SECOND)):
        station.alert(link=FIRST, text={"en": "x" * 3_000})
    size = {link: written(station, link) for link in (FIRST, SECOND)}
    limit = size[SECOND] + (size[FIRST] - size[SECOND]) // 2
    process = station.processes["eucom"].popen.pid
    resource.prlimit(process, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    with pytest.raises(RequestRefused) as stopped:
        station.alert(link=FIRST)

    assert stopped.value.code == "link_stopped"
    assert "File too large" in str(stopped.value)
    status = station.status("eucom", FIRST)
    assert (status["state"], status["broker"]) == ("alarm", "disconnected")
    assert status["alarms"][0]["code"] == "journal_failure"
    assert station.deconflict("status", str(station.config("eucom")), "--link", FIRST).returncode == 11

    def told() -> bool:
        lines = [
            msgspec.json.decode(line) for line in station.output("eucom").splitlines() if b'"notification"' in line
        ]
        return any(each.get("alarm", {}).get("code") == "journal_failure" for each in lines)

    station.until(told)
    station.until(lambda: bool(station.status("ndmc", FIRST)["peer"] == "gone"))
    # the other link works in both directions, also while the peer sends on the stopped link
    station.alert("ndmc", FIRST)
    for side in SIDES:
        reference = station.alert(side, SECOND)
        other = "ndmc" if side == "eucom" else "eucom"
        station.until(lambda other=other, ref=reference: station.alert_state(other, ref, SECOND) == "received")  # type: ignore[misc]
    assert station.status("eucom", SECOND)["broker"] == "connected"


def test_a_stopped_link_resumes_automatically_from_its_journal(station: Station) -> None:
    process = station.processes["eucom"].popen.pid
    resource.prlimit(process, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    station.cleared("eucom", "journal_failure", FIRST)
    station.until(lambda: bool(station.status("ndmc", FIRST)["peer"] == "present"))
    station.each(SIDES, lambda side: station.status(side, FIRST)["outbox"] == {"waiting": 0, "in_flight": 0})
    reference = station.alert(link=FIRST)
    station.until(lambda: station.alert_state("ndmc", reference, FIRST) == "received")
    ours = [message["message"] for message in station.effects("eucom", "Queue", FIRST)]
    assert ours == [each["message"] for each in station.effects("ndmc", "Apply", FIRST)]


@contextmanager
def unreadable(station: Station, name: str) -> Iterator[Path]:
    """Put a file in place of the first link's journal folder."""
    folder = station.journal(name, FIRST)
    kept = folder.rename(folder.with_name("kept"))
    folder.write_text("not a folder")
    yield folder
    folder.unlink()
    kept.rename(folder)


def test_a_link_waits_for_its_journal_while_the_others_run(station: Station) -> None:
    for name in ("eucom", "watch"):
        assert station.stop(name) == 0
    with unreadable(station, "eucom") as folder, unreadable(station, "watch"):
        for name in ("eucom", "watch"):
            station.launch(name)
            station.until(lambda name=name: station.answers(name))  # type: ignore[misc]
            station.until(lambda name=name: bool(station.status(name, SECOND)["broker"] == "connected"))  # type: ignore[misc]
            alarm = station.alarm(name, "journal_failure", FIRST)
            assert (alarm["severity"], "cleared_at" in alarm) == ("critical", False)
            assert "can't be opened: Not a directory" in alarm["detail"]
            status = station.status(name, FIRST)
            assert (status["state"], status["broker"], status["peer"]) == ("alarm", "disconnected", "unknown")
        config = str(station.config("eucom"))
        shown = station.deconflict("status", config, "--link", FIRST)
        assert (shown.returncode, "Not a directory" in shown.stdout) == (11, True)
        assert "Not a directory" in station.deconflict("alarms", "list", config, "--link", FIRST).stdout
        for ask in (lambda: station.alert(link=FIRST), lambda: station.snapshot("eucom", FIRST)):
            with pytest.raises(RequestRefused, match=f"this link has stopped: {folder}") as refused:
                ask()
            assert refused.value.code == "link_stopped"
        theirs = station.alert("ndmc", FIRST)
        station.alert(link=SECOND)

    for name in ("eucom", "watch"):
        station.cleared(name, "journal_failure", FIRST)
        station.until(lambda name=name: bool(station.status(name, FIRST)["broker"] == "connected"))  # type: ignore[misc]
    station.until(lambda: station.alert_state("ndmc", theirs, FIRST) == "received")
    reference = station.alert(link=FIRST)
    station.until(lambda: station.alert_state("watch", reference, FIRST) == "received")


def test_a_damaged_journal_stops_only_its_link_and_is_not_changed(station: Station) -> None:
    assert station.stop("eucom") == 0
    segment = segments(station.journal("eucom", FIRST))[-1]
    before = segment.read_bytes()
    started = station.records("eucom", "Started", FIRST)[0]["n"]
    damaged = before.replace(b'"Started"', b'"Stareed"', 1)
    segment.write_bytes(damaged)

    station.launch("eucom")
    station.until(lambda: station.answers("eucom"))
    alarm = station.alarm("eucom", "journal_failure", FIRST)
    assert f"record {started}" in alarm["detail"]
    reference = station.alert(link=SECOND)
    station.until(lambda: station.alert_state("ndmc", reference, SECOND) == "received")
    assert station.stop("eucom") == 0
    assert segment.read_bytes() == damaged

    other = segments(station.journal("eucom", SECOND))[-1]
    kept = other.read_bytes()
    other.write_bytes(kept.replace(b'"Started"', b'"Stareed"', 1))
    refused = station.launch("eucom")
    assert refused.wait() == 4
    assert (refused.errors().count("\n"), f"record {started}" in refused.errors()) == (1, True)
    segment.write_bytes(before)
    other.write_bytes(kept)


def test_an_error_in_one_link_file_prevents_the_start(station: Station) -> None:
    path = station.link_file(SECOND)
    before = path.read_bytes()
    content = link_file.load(path)
    terms = Station.terms(SECOND, grace_s=60)
    link_file.save(msgspec.structs.replace(content, terms=terms), path)

    refused = station.launch("eucom")

    assert refused.wait() == 2
    errors = refused.errors()
    assert (errors.count("\n"), f"link {SECOND}: the link file's policy is not the one" in errors) == (1, True)
    path.write_bytes(before)


def written(station: Station, link: str) -> int:
    """Return the size of the records in eucom's journal, in bytes."""
    return sum(len(path.read_bytes().rstrip(b"\0")) for path in station.journal("eucom", link).glob("*.jsonl"))
