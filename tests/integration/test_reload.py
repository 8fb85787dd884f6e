"""A running process takes over changed files without losing its connection, a message or an answer (SPEC E1.6)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from endpoints.cli.log import log_verify
from endpoints.cli.reconcile import reconcile
from endpoints.cli.replay import replay
from endpoints.config import default_terms, link_file
from endpoints.config.toml_edit import editing
from endpoints.control import client
from endpoints.control.client import RequestRefused, Unreachable
from endpoints.failpoints import EXIT_CODE, VARIABLE
from endpoints.journal.segments import segments
from endpoints.keys.credentials import hash_credential
from endpoints.keys.signer import generate
from tests.support.failing_disk import Injection
from tests.support.station import LINK, SIDES, Station

pytestmark = pytest.mark.integration

NOTHING: dict[str, Any] = {"restarted": [], "stopped": [], "officers": False, "next_start": []}
RESTARTED = NOTHING | {"restarted": [LINK]}
CREDENTIAL = "a credential for tests"
BAD = "bad-disk"


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start("eucom", "ndmc", "watch")
        yield station


def reload(station: Station, name: str) -> dict[str, Any]:
    return client.reload(station.config(name).parent / "control.sock")


def say(station: Station, name: str, words: str) -> None:
    """Choose other words for this side's line tests."""
    with editing(station.config(name)) as document:
        for link in document["links"]:
            link["test_text"] = {"ru": words}


@contextmanager
def changed(*paths: Path) -> Iterator[None]:
    """Put the files back at the end."""
    before = {path: path.read_bytes() for path in paths}
    try:
        yield
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def last(station: Station, name: str) -> int:
    n: int = station.records(name)[-1]["n"]
    return n


def events(station: Station, name: str, after: int) -> list[str]:
    return [record["event"] for record in station.records(name) if record["n"] > after]


def test_a_link_whose_files_have_changed_starts_again_over_the_same_connection(station: Station) -> None:
    first = station.alert()
    station.settled()
    before = {name: (last(station, name), set(station.alarms(name))) for name in station.processes}
    assert reload(station, "eucom") == NOTHING
    assert last(station, "eucom") == before["eucom"][0]

    say(station, "eucom", "Говорит Висбаден.")
    done = reload(station, "eucom")

    assert done == RESTARTED
    taken = events(station, "eucom", before["eucom"][0])
    assert taken[:3] == ["Stopped", "BatchClosed", "Closed"]
    assert taken[3:7] == ["WordsChosen", "Started", "TransportConnected", "BatchClosed"]
    status = station.status("eucom")
    assert (status["broker"], status["peer"]) == ("connected", "present")
    second = station.alert()
    station.settled()
    assert [station.alert_state("ndmc", each) for each in (first, second)] == ["received", "received"]
    for name, (n, alarms) in before.items():
        assert "TransportLost" not in events(station, name, n)
        assert set(station.alarms(name)) == alarms
    assert "PeerPresenceChanged" not in events(station, "ndmc", before["ndmc"][0])


def test_a_stream_goes_on_across_a_reload(station: Station) -> None:
    following = station.client("eucom").follow("status")
    next(following)
    say(station, "eucom", "Проверка связи.")
    assert reload(station, "eucom") == RESTARTED
    station.alert(precedence="flash")
    assert any(line["drafts"] for line in following)
    following.close()


def test_invalid_files_change_nothing(station: Station) -> None:
    """The answer says what is wrong, and everything runs on as before."""
    config, file, keys = station.config("eucom"), station.link_file(), station.config("eucom").parent / "keys"
    settings, content = config.read_text("utf-8"), link_file.load(file)
    before = {name: last(station, name) for name in ("eucom", "ndmc")}

    def refusal(status: str = "invalid_files") -> str:
        with pytest.raises(RequestRefused) as refused:
            reload(station, "eucom")
        assert refused.value.code == status
        assert {name: events(station, name, n) for name, n in before.items()} == {name: [] for name in before}
        return str(refused.value)

    with changed(config):
        config.write_text("side =", "utf-8")
        assert "runs on as before" in refusal()
        config.write_text(settings.replace("[[links]]", "nonsense = 1\n[[links]]", 1), "utf-8")
        assert f"{config}: nonsense: " in refusal()
        # the links of another side's settings would be started with its words, keys and officers
        config.write_text(settings.replace('side = "eucom"', 'side = "ndmc"'), "utf-8")
        assert "this is the process of eucom, not of ndmc" in refusal("not_reloadable")
        config.write_text(settings, "utf-8")
        config.chmod(0o644)
        assert "open to others" in refusal()
        config.chmod(0o600)
    with changed(file):
        terms = structs.replace(content.terms, policy=structs.replace(content.terms.policy, grace_s=1_000))
        link_file.save(structs.replace(content, terms=terms), file)
        assert "a changed policy needs the next epoch" in refusal()
        others = {"eucom": content.parties["eucom"], "dc": content.parties["ndmc"]}
        other = structs.replace(content.terms, answering="dc")
        link_file.save(structs.replace(content, terms=other, parties=others), file)
        assert f"link {LINK} has other parties" in refusal("not_reloadable")
        file.unlink()
        assert "no such file" in refusal()
    (key,) = keys.glob("*.pem")
    key.rename(key.with_suffix(".away"))
    assert "needs one ed25519 key; found none" in refusal()
    generate(keys)
    assert "is among those that" in refusal()
    for made in keys.glob("*.pem"):
        made.unlink()
    key.with_suffix(".away").rename(key)

    said = station.deconflict("reload", str(config), "--lang", "ru")
    assert (said.returncode, said.stdout) == (0, "эти файлы у работающего процесса уже есть: изменений нет\n")
    config.chmod(0o644)
    said = station.deconflict("reload", str(config))
    assert (said.returncode, said.stdout, said.stderr.count("\n")) == (2, "", 1)
    config.chmod(0o600)
    assert station.alert().startswith("eucom/")


@pytest.mark.parametrize(("name", "officer"), [("eucom", "watch-1"), ("watch", "observer-1")])
def test_officers_are_exchanged_at_once(station: Station, name: str, officer: str) -> None:
    """SPEC P1.5: once the reload is answered, a removed officer can do nothing, and a new credential counts."""
    config = station.config(name)

    def refused(officer: str, credential: str) -> str:
        with pytest.raises(RequestRefused) as why:
            station.act(name, officer, "acknowledge-alarm", code="fork", subject="x", credential=credential)
        return why.value.code

    old = station.credential(name, officer)
    assert refused(officer, old) == "unknown_alarm"
    with changed(config):
        with editing(config) as document:
            document["officers"][officer]["credential"] = hash_credential(CREDENTIAL)
            document["officers"]["other-1"] = {"credential": hash_credential(CREDENTIAL)}
        assert reload(station, name) == RESTARTED | {"officers": True}
        assert [refused(officer, old), refused(officer, CREDENTIAL)] == ["not_authorised", "unknown_alarm"]
        assert refused("other-1", CREDENTIAL) == "unknown_alarm"
        with editing(config) as document:
            del document["officers"][officer]
        reload(station, name)
        assert refused(officer, CREDENTIAL) == "not_authorised"
        assert set(station.records(name, "OfficersEnrolled")[-1]["officers"]) >= {"other-1"}
        assert officer not in station.records(name, "OfficersEnrolled")[-1]["officers"]
    assert reload(station, name)["officers"]
    assert refused(officer, old) == "unknown_alarm"


def test_what_only_a_start_takes_over_is_named(station: Station) -> None:
    config = station.config("eucom")
    with changed(config):
        with editing(config) as document:
            document["links"][0]["journal"] = "journal/elsewhere"
            document["control"] = "other.sock"
            document["broker"]["port"] = 1
            document["notifications"]["log"] = False
        done = reload(station, "eucom")
        assert done | {"next_start": []} == NOTHING
        assert [each["text"] for each in done["next_start"]] == [
            f"another journal folder of link {LINK}: {config.parent}/journal/elsewhere",
            f"another control socket: {config.parent}/other.sock",
            "another address or other certificate files of the broker",
            "other receivers of notifications",
        ]
    with changed(config):
        with editing(config) as document:
            document["control"] = "other.sock"
        # the command looks for the process at the socket of the file
        lost = station.deconflict("reload", str(config))
        assert (lost.returncode, lost.stderr.count("\n")) == (12, 1)
        assert f"its process runs, but not at the control socket {config.parent}/other.sock" in lost.stderr
    assert reload(station, "eucom") == NOTHING
    assert not (config.parent / "journal" / "elsewhere").exists()


def test_messages_and_answers_survive_reloads_of_both_sides(station: Station) -> None:
    """Q1.2, M3.1: nothing is lost or doubled, and each request is answered once."""
    before = {side: len([each for each in station.applied(side) if each[0] != side]) for side in SIDES}
    answered: dict[str, list[str]] = {side: [] for side in SIDES}
    done = threading.Event()

    def write(side: str) -> None:
        while not done.is_set():
            answered[side].append(station.alert(side))

    writers = [threading.Thread(target=write, args=(side,)) for side in SIDES]
    for writer in writers:
        writer.start()
    for round_ in range(6):
        for name in ("eucom", "ndmc"):
            say(station, name, f"Проверка {round_}.")
        both = [threading.Thread(target=reload, args=(station, name)) for name in ("eucom", "ndmc", "eucom")]
        for each in both:
            each.start()
        for each in both:
            each.join()
    done.set()
    for writer in writers:
        writer.join()
    station.settled()
    for side, peer in (SIDES, reversed(SIDES)):
        assert len(set(answered[side])) == len(answered[side]) > 5
        arrived = [each for each in station.applied(peer) if each[0] == side]
        assert len(set(arrived)) == len(arrived)
        assert len(arrived) - before[peer] == len(answered[side])
        assert len(station.records(side, "TransportLost")) == 0
        assert len(station.records(side, "Started")) >= 7
    journals = [str(station.journal(side)) for side in SIDES]
    assert reconcile(*journals, watch=str(station.journal("watch"))) == 0
    assert [replay(journal) for journal in journals] == [0, 0]


CRASHES = {
    "before_stopped": 1,
    "after_stopped": 1,
    "after_closed": 1,
    "after_lock": 2,
    "before_started": 2,
    "after_started": 2,
}


@pytest.mark.parametrize("place", CRASHES)
def test_a_process_killed_within_a_reload_starts_again(station: Station, place: str) -> None:
    """Nothing of a reload is half done on disk: the next start takes the new files, and no message is lost."""
    station.kill("eucom")
    station.launch("eucom", **{VARIABLE: f"{place}:{CRASHES[place]}"})
    station.connected("eucom")
    sent = station.alert()
    say(station, "eucom", f"Проверка: {place}.")
    with pytest.raises(Unreachable):
        reload(station, "eucom")
    assert station.processes.pop("eucom").wait() == EXIT_CODE
    station.launch("eucom")
    station.connected("eucom")
    assert reload(station, "eucom") == NOTHING
    assert station.records("eucom", "WordsChosen")[-1]["test_text"] == f"Проверка: {place}."
    station.settled()
    assert station.alert_state("ndmc", sent) == "received"
    assert log_verify(str(station.journal("eucom")), link_file=(station.link_file(),)) == 0


def test_a_process_killed_while_it_opens_an_epoch_starts_again_in_it(station: Station) -> None:
    """The command does not put the former file back: the journal may have the new epoch, and would refuse it."""
    station.kill("eucom")
    station.launch("eucom", **{VARIABLE: "after_started:2"})
    station.connected("eucom")
    config = str(station.config("eucom"))

    done = station.deconflict("epoch", config, "--yes", "--lang", "en")

    assert done.returncode == 12
    assert done.stderr.splitlines()[-1].startswith(f"deconflict: {config} was changed, but whether ")
    assert station.processes.pop("eucom").wait() == EXIT_CODE
    station.launch("eucom")
    station.connected("eucom")
    assert station.status("eucom")["link"] == LINK
    assert station.snapshot("eucom")["epoch"] == 2
    # both sides of this station share the file
    assert reload(station, "ndmc") == RESTARTED
    assert reload(station, "watch") == RESTARTED
    reference = station.alert()
    station.until(lambda: station.alert_state("ndmc", reference) == "received")


def test_an_officer_added_in_a_reload_that_is_killed_can_act_after_the_next_start(station: Station) -> None:
    station.kill("eucom")
    station.launch("eucom", **{VARIABLE: "after_closed:1"})
    station.connected("eucom")
    config = str(station.config("eucom"))

    added = station.deconflict("officer", "add", config, "watch-9", "--lang", "en")

    assert added.returncode == 12
    credential = added.stdout.strip()
    assert f"{config} was changed, but whether the running process has taken it over is not known" in added.stderr
    assert station.processes.pop("eucom").wait() == EXIT_CODE
    station.launch("eucom")
    station.connected("eucom")
    with pytest.raises(RequestRefused) as why:
        station.act("eucom", "watch-9", "acknowledge-alarm", code="fork", subject="x", credential=credential)
    assert why.value.code == "unknown_alarm"


def test_nobody_runs(station: Station) -> None:
    assert station.stop("watch") == 0
    nobody = station.deconflict("reload", str(station.config("watch")))
    assert (nobody.returncode, nobody.stderr.count("\n")) == (12, 1)
    assert "nobody answers on this control socket" in nobody.stderr
    station.start("watch")


def test_a_stopped_link_takes_the_files_when_its_journal_is_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The other link takes them at once."""
    with Station.of(tmp_path_factory, links=(LINK, BAD)) as station:
        station.start("eucom", "ndmc")
        pid, segment = station.processes["eucom"].popen.pid, segments(station.journal("eucom", BAD))[-1]
        with Injection(pid, "fdatasync", "error=EIO", segment):
            with suppress(RequestRefused):
                station.alert(link=BAD)
            station.alarm("eucom", f"journal_failure/{BAD}", BAD)
            say(station, "eucom", "Говорит Висбаден.")
            assert reload(station, "eucom") == RESTARTED | {"stopped": [BAD]}
        station.until(lambda: not station.alarms("eucom", BAD))
        for link in (LINK, BAD):
            assert station.records("eucom", "WordsChosen", link)[-1]["test_text"] == "Говорит Висбаден."
        assert reload(station, "eucom") == NOTHING
        reference = station.alert(link=BAD)
        station.until(lambda: station.alert_state("ndmc", reference, BAD) == "received")
        assert len(station.records("eucom", "TransportLost")) == 0

        # a link that the settings no longer name runs on, without the officers that they no longer name
        with changed(station.config("eucom")):
            with editing(station.config("eucom")) as document:
                del document["links"][1]
                document["officers"].pop(default_terms.officers("eucom")[0])
            done = reload(station, "eucom")
            assert (done["restarted"], done["officers"]) == ([LINK, BAD], True)
            assert [each["text"] for each in done["next_start"]] == [f"the end of link {BAD}, which runs on until then"]
            with pytest.raises(RequestRefused, match="is not enrolled here"):
                station.alert(link=BAD)
            for link in (LINK, BAD):
                assert len(station.records("eucom", "OfficersEnrolled", link)[-1]["officers"]) == 1

        # a damaged journal is not opened again before the next start
        assert station.stop("eucom") == 0
        segment = segments(station.journal("eucom", BAD))[-1]
        segment.write_bytes(segment.read_bytes().replace(b'"Started"', b'"Stareed"', 1))
        station.start("eucom")
        say(station, "eucom", "Проверка связи.")
        done = reload(station, "eucom")
        assert (done["restarted"], done["stopped"]) == ([LINK], [])
        assert [each["text"] for each in done["next_start"]] == [f"the files of link {BAD}, which stays stopped"]
