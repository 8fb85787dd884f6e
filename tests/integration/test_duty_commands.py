"""The commands that a duty officer runs at a terminal: their output and exit codes."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from endpoints.control.client import RequestRefused
from tests.support.station import ALL, Running, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ALERT = (
    "--category",
    "critical_infrastructure",
    "--precedence",
    "priority",
    "--text",
    "en=Dam.",
    "--text",
    "ru=Дамба.",
)


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start(*ALL)
        yield station


def officer(station: Station, side: str, name: str) -> tuple[str, ...]:
    return "--officer", name, "--credential-file", str(station.credential_file(side, name))


def test_each_step_of_delivery_is_shown_when_it_is_reached(station: Station) -> None:
    configuration = str(station.config("eucom"))
    waiting = Running(
        [
            *("alert", configuration, *ALERT, *officer(station, "eucom", "watch-1")),
            *("--area", "Nova Kakhovka dam,46.7758,33.3706,10km", "--expires", "2h"),
            *("--wait", "acknowledged", "--timeout", "40s", "--lang", "en"),
        ],
        {},
    )
    station.until(lambda: waiting.output() != b"")
    reference = waiting.output().decode().strip()
    station.until(lambda: station.alert_state("ndmc", reference) is not None)

    acknowledged = station.deconflict(
        *("acknowledge", str(station.config("ndmc")), reference, *officer(station, "ndmc", "duty-2")),
        *("--decision", "will_reply", "--text", "ru=Принято."),
    )

    assert acknowledged.returncode == 0, acknowledged.stderr
    assert waiting.wait() == 0
    assert waiting.output().decode() == f"{reference}\n"
    assert waiting.errors().splitlines() == [
        f"{reference}: journaled",
        f"{reference}: the broker has it",
        f"{reference}: received by the other side's machine",
        f"{reference}: acknowledged by an officer (duty-2, a reply will follow)",
    ]
    area = station.snapshot("ndmc")["alerts"][-1]["alert"]["area"]
    assert area == {
        "name": "Nova Kakhovka dam",
        "latitude_udeg": 46_775_800,
        "longitude_udeg": 33_370_600,
        "radius_m": 10_000,
    }


def test_a_flash_alert_is_released_and_refused_with_a_referral(station: Station) -> None:
    eucom, ndmc = str(station.config("eucom")), str(station.config("ndmc"))
    held = station.deconflict(
        *("alert", eucom, *ALERT[:2], "--precedence", "flash", *ALERT[4:], *officer(station, "eucom", "watch-1")),
        *("--lang", "en"),
    )
    assert (held.returncode, held.stdout) == (0, "draft/1\n")
    assert held.stderr.splitlines()[0] == "draft/1: nothing was sent yet; it waits for a second officer"
    assert held.stderr.splitlines()[1].startswith("watch-2 may release it until ")
    alone = station.deconflict("release", eucom, "draft/1", *officer(station, "eucom", "watch-1"))
    assert (alone.returncode, alone.stdout) == (2, "")
    assert alone.stderr == "deconflict: watch-1 wrote draft/1: another officer must release it\n"
    (draft,) = msgspec.json.decode(station.deconflict("drafts", eucom, "--json").stdout)["drafts"]
    assert (draft["draft"], draft["may_release"], draft["text"]["en"]) == ("draft/1", ["watch-2"], "Dam.")
    waiting = Running(
        [
            *("release", eucom, "draft/1", *officer(station, "eucom", "watch-2"), "--seen", draft["seen"], "--yes"),
            *("--wait", "acknowledged", "--timeout", "40s", "--json"),
        ],
        {},
    )
    station.until(lambda: waiting.output().count(b"\n") > 1)
    reference = msgspec.json.decode(waiting.output().splitlines()[0])["reference"]
    station.until(lambda: station.alert_state("ndmc", reference) is not None)

    refused = station.deconflict(
        *("refuse", ndmc, reference, *officer(station, "ndmc", "duty-1")),
        *("--reason", "out_of_scope", "--referral", "ministers", "--json"),
    )

    assert refused.returncode == 0, refused.stderr
    assert msgspec.json.decode(refused.stdout)["reference"].startswith("ndmc/1/")
    assert waiting.wait() == 11
    last = msgspec.json.decode(waiting.output().splitlines()[-1])
    assert last["steps"] == ["journaled", "broker", "received", "refused"]
    assert last["reply"]["referral"] == "ministers"


def test_a_wait_that_times_out_does_not_cancel_the_alert(station: Station) -> None:
    waited = station.deconflict(
        *("alert", str(station.config("eucom")), *ALERT, *officer(station, "eucom", "watch-1")),
        *("--wait", "acknowledged", "--timeout", "1s", "--lang", "ru"),
    )

    assert waited.returncode == 10
    assert waited.stderr.splitlines()[-1] == "за 1s ещё не «подтверждено дежурным»; сообщение не потеряно"
    assert station.deconflict(
        *("cancel", str(station.config("eucom")), waited.stdout.strip(), *officer(station, "eucom", "watch-2"))
    ).stdout.startswith("eucom/1/")


def test_a_line_test_is_placed_and_answered(station: Station) -> None:
    placed = station.deconflict("test", str(station.config("eucom")))
    reference = placed.stdout.strip()
    station.until(lambda: any(test["reference"] == reference for test in station.snapshot("ndmc")["tests"]))
    words = " ".join(station.snapshot("ndmc")["tests"][-1]["heartbeat"]["challenge"])
    answering = ("answer", str(station.config("ndmc")), reference, *officer(station, "ndmc", "duty-1"))
    assert station.deconflict("status", str(station.config("ndmc"))).returncode == 10

    few = station.deconflict(*answering, "--words", "one", "two")
    assert (few.returncode, few.stderr) == (2, "deconflict: --words: expected the 3 words of the test, found 2\n")
    unasked = station.deconflict(*answering)
    assert "there is no terminal to ask for the three words" in unasked.stderr
    assert station.deconflict(*answering, "--words", words).returncode == 0

    station.until(lambda: bool(station.status("eucom")["last_test"]["state"] == "answered"))


def test_status_prints_json_or_text(station: Station) -> None:
    shown = station.deconflict("status", str(station.config("watch")), "--json")
    document = msgspec.json.decode(shown.stdout)
    assert list(document) == [
        *("link", "status", "side", "state", "reasons", "broker", "peer", "presence_age_s", "last_signed_at"),
        *("last_test", "next_slot", "outbox", "alarms", "open", "awaited", "drafts", "on_watch", "confirmed"),
        "decides",
    ]
    assert (document["side"], document["outbox"]) == ("watch", None)
    people = station.deconflict("status", str(station.config("eucom")), "--lang", "ru")
    assert people.stdout.startswith("eucom-ndmc (УЧЕНИЕ), eucom: ")
    assert "Europe/Berlin" in people.stdout
    assert "  дежурство никем не принято\n" in people.stdout


def test_status_is_followed_until_the_process_stops(station: Station) -> None:
    following = Running(["status", str(station.config("ndmc")), "--follow", "--json"], {})
    station.until(lambda: following.output().count(b"\n") == 1)
    station.alert()
    station.stop("ndmc")

    assert following.wait() == 12
    states = [msgspec.json.decode(line)["state"] for line in following.output().splitlines()]
    assert states[0] != "unknown"
    assert states[-1] == "unknown"
    gone = station.deconflict("status", str(station.config("ndmc")))
    assert gone.returncode == 12
    title, reason = gone.stdout.splitlines()
    assert title == "eucom-ndmc (EXERCISE), ndmc: UNKNOWN"
    assert "nobody answers on this control socket" in reason
    assert gone.stderr == ""
    for command in (("test",), ("alarms", "list")):
        assert station.deconflict(*command, str(station.config("ndmc"))).returncode == 12
    station.start("ndmc")


def test_ctrl_c_ends_the_wait_but_not_the_alert(station: Station) -> None:
    waiting = Running(
        [
            *("alert", str(station.config("eucom")), *ALERT, *officer(station, "eucom", "watch-1")),
            *("--wait", "acknowledged", "--timeout", "40s"),
        ],
        {},
    )
    station.until(lambda: "received" in waiting.tail())
    assert waiting.end(signal.SIGINT) == 130
    assert "Traceback" not in waiting.errors()
    assert station.alert_state("ndmc", waiting.output().decode().strip()) == "received"


def test_the_watch_s_socket_accepts_only_acknowledgements_of_alarms(station: Station) -> None:
    station.stop("ndmc")
    station.alarm("watch", "peer_disconnected/ndmc")
    acknowledging = ("alarms", "acknowledge", str(station.config("watch")), "peer_disconnected/ndmc")

    done = station.deconflict(*acknowledging, *officer(station, "watch", "observer-1"))

    assert (done.returncode, done.stdout) == (0, "peer_disconnected/ndmc\n"), done.stderr
    assert station.alarms("watch")["peer_disconnected/ndmc"]["acknowledged_by"] == "observer-1"
    twice = station.deconflict(*acknowledging, *officer(station, "watch", "observer-1"))
    assert twice.returncode == 2
    assert twice.stderr.count("\n") == 1
    station.start("ndmc")
    station.until(lambda: station.alarms("watch") == {})
    with pytest.raises(RequestRefused) as refused:
        station.client("watch").act("test", {})
    assert refused.value.code == "not_authorised"


def test_the_watch_is_taken_handed_over_and_left(station: Station) -> None:
    configuration = str(station.config("eucom"))

    def duty(*words: str, name: str) -> tuple[int, str, str]:
        done = station.deconflict("duty", words[0], configuration, *words[1:], *officer(station, "eucom", name))
        return done.returncode, done.stdout, done.stderr

    assert duty("take", name="watch-1") == (0, "watch/watch-1\n", "on watch now: watch-1\n")
    since = station.status("eucom")["on_watch"]["since"]
    assert station.status("eucom")["on_watch"] == {"officer": "watch-1", "since": since}
    conflict = r"deconflict: watch-1 is on watch since \d+ \w+ 2022, [\d:]+ UTC: relieve watch-1\n"
    code, out, err = duty("take", name="watch-2")
    assert (code, out) == (9, "")
    assert re.fullmatch(conflict, err)
    assert duty("leave", name="watch-2")[0] == 9
    relieved = duty("take", "--relieves", "watch-1", "--lang", "ru", name="watch-2")
    assert relieved == (0, "watch/watch-2\n", "теперь дежурит: watch-2\n")
    people = station.deconflict("status", configuration, "--lang", "en")
    assert "  on watch: watch-2 since " in people.stdout
    station.stop("eucom")
    station.start("eucom")
    assert station.status("eucom")["on_watch"]["officer"] == "watch-2"
    assert duty("leave", "--why", "log-out", name="watch-2")[0] == 0
    assert station.status("eucom")["on_watch"] is None
    wrong = duty("take", "--relieves", "Watch 2", name="watch-1")
    assert wrong[0] == 2
    assert wrong[2].count("\n") == 1
    shown = station.deconflict("log", "show", str(station.journal("eucom")), "--lang", "en").stdout
    assert "watch-2 took the watch from watch-1" in shown
    assert "watch-2 left the watch: log-out" in shown
    told = station.deconflict("log", "show", str(station.journal("ndmc")), "--lang", "en").stdout
    assert "the watch" not in told


def test_a_refusal_of_the_endpoint_is_in_the_officers_language(station: Station, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.credential"
    wrong.write_text("another-word\n", encoding="utf-8")
    wrong.chmod(0o600)
    command = ("test", str(station.config("eucom")), "--officer", "watch-1", "--credential-file", str(wrong))

    said = {language: station.deconflict(*command, "--lang", language) for language in ("en", "ru")}

    assert "officer 'watch-1' with this credential is not enrolled here" in said["en"].stderr
    assert "офицера 'watch-1' с такими учётными данными здесь нет" in said["ru"].stderr
    assert said["en"].returncode == said["ru"].returncode == 2
