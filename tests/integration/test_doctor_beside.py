"""The doctor beside real processes: what it finds, and that it changes nothing."""

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.pki import Authority
from tests.support.broker_site import free_port, now
from tests.support.station import ALL, LINK, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DAY_MS = 86_400_000


def doctor(station: Station, name: str, **environment: str) -> list[dict[str, Any]]:
    """Return what the doctor finds in the installation of `name`, in a process of its own."""
    run = station.deconflict("doctor", str(station.config(name)), "--json", **environment)
    assert run.returncode == (0 if msgspec.json.decode(run.stdout)["ok"] else 1), run.stderr
    found: list[dict[str, Any]] = msgspec.json.decode(run.stdout)["findings"]
    return found


def texts(station: Station, name: str) -> list[str]:
    return [f"{each['where']}: {each['what']}" for each in doctor(station, name)]


def connections(station: Station, name: str) -> int:
    """Return how often the broker has seen `name` connect."""
    return (station.folder / "mosquitto.log").read_text("utf-8").count(f" as {name} (p5")


def heard(station: Station, name: str) -> list[bool]:
    """Return what `name` has heard of the presence of eucom, in order."""
    return [each["present"] for each in station.records(name, "PeerPresenceChanged") if each["party"] == "eucom"]


def test_it_changes_nothing_and_displaces_nobody(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Station.of(tmp_path_factory) as station:
        station.start(*ALL)
        reference = station.alert()
        station.until(lambda: station.alert_state("ndmc", reference) == "received")
        for name in ALL:
            before = connections(station, name), len(station.records(name, "TransportLost"))
            assert texts(station, name) == []
            assert (connections(station, name), len(station.records(name, "TransportLost"))) == before == (1, 0)

        # while an endpoint is stopped, and its peer goes on sending
        assert station.stop("eucom") == 0
        station.each(("ndmc", "watch"), lambda name: bool(station.status(name)["peer"] == "gone"))
        waiting = station.alert("ndmc")
        known = {name: heard(station, name) for name in ("ndmc", "watch")}
        assert all(presence[-1] is False for presence in known.values())
        assert texts(station, "eucom") == []
        assert connections(station, "eucom") == 2
        station.start("eucom")
        station.until(lambda: station.alert_state("eucom", waiting) == "received")
        # it was gone before, and is back once
        station.each(known, lambda name: heard(station, name) == [*known[name], True])
        assert not station.records("ndmc", "FramesSuppressed")


def test_what_the_access_list_lacks(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Station.of(tmp_path_factory) as station:
        path = station.folder / "d" / "broker" / "acl"
        whole = path.read_text("utf-8")
        path.write_text(re.sub(r"\nuser eucom\n(topic .*\n)+", "", whole), "utf-8")
        station.broker.start()

        (listed, refused) = doctor(station, "eucom")
        assert (listed["check"], listed["where"]) == ("access", str(path))
        assert "user eucom: no right to read deconfliction/v1/eucom-ndmc/ndmc/message, and 6" in listed["finding"]
        assert refused["check"] == "broker"
        assert refused["finding"] == (
            "the broker refuses to publish to deconfliction/v1/eucom-ndmc/eucom/presence: we are not authorised: its "
            "access list lacks us"
        )
        assert "access list" in refused["remedy"]
        assert doctor(station, "ndmc") == []
        # a broker on another machine
        path.rename(path.with_name("elsewhere"))
        assert [each["check"] for each in doctor(station, "eucom")] == ["broker"]


def test_each_node_that_is_not_there_is_one_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Station.of(tmp_path_factory) as station:
        station.broker.start()
        closed = free_port()
        nodes = (f"127.0.0.1:{station.broker_port}", f"127.0.0.1:{closed}", "brokr.invalid:8883")

        for name in ("eucom", "watch"):
            found = doctor(station, name, DECONFLICT_BROKER_ADDRESSES=",".join(nodes))
            assert [(each["check"], each["where"]) for each in found] == [("broker", nodes[1]), ("broker", nodes[2])]
            dead, mistyped = (each["finding"] for each in found)
            assert dead == "the broker cannot be reached: connection refused: nothing listens there"
            assert mistyped == "the broker cannot be reached: the name of the server does not resolve"


def test_a_link_file_that_run_refuses(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Station.of(tmp_path_factory) as station:
        station.start("eucom", "ndmc", "watch")
        for name in ("eucom", "watch"):
            assert station.stop(name) == 0
        path = station.link_file()
        path.write_text(path.read_text("utf-8").replace('grace = "15m"', 'grace = "16m"'), "utf-8")

        for name in ("eucom", "watch", "ndmc"):
            found = [each for each in doctor(station, name) if each["check"] == f"journal/{LINK}"]
            assert ["a changed policy needs the next epoch" in each["finding"] for each in found] == [True]
            assert Path(found[0]["where"]).resolve() == path.resolve()
        run = station.deconflict("run", str(station.config("eucom")))
        assert "a changed policy needs the next epoch" in run.stderr


def test_an_alarm_that_status_would_show(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Both sides run under different policies: while they run, and after the stop, from the journal."""
    with Station.of(tmp_path_factory) as station:
        station.start("ndmc")
        path = station.link_file()
        whole = path.read_text("utf-8")
        path.write_text(whole.replace('grace = "15m"', 'grace = "16m"'), "utf-8")
        station.start("eucom")
        station.alert()
        station.alarm("ndmc", "policy_mismatch")
        path.write_text(whole, "utf-8")

        (found,) = [each for each in doctor(station, "ndmc") if "policy_mismatch" in each["finding"]]
        assert (found["check"], found["severity"]) == (f"service/{LINK}", "error")
        assert f"deconflict alarms list {station.config('ndmc')}" in found["remedy"]
        station.broker.stop()
        station.until(lambda: station.status("ndmc")["broker"] == "disconnected")
        (found,) = [each for each in doctor(station, "ndmc") if "the running service reports" in each["finding"]]
        assert (found["check"], found["where"]) == (f"service/{LINK}", f"127.0.0.1:{station.broker_port}")
        assert found["finding"].startswith("the running service reports: no connection to the broker: ")
        assert found["remedy"].startswith("it tries again within 30 s: repeat this check, or see: deconflict status ")
        assert station.stop("ndmc") == 0
        (found,) = [each for each in doctor(station, "ndmc") if "policy_mismatch" in each["finding"]]
        assert found["check"] == f"journal/{LINK}"
        assert "was open when the service stopped" in found["finding"]


def test_the_broker_s_certificate_and_a_silent_webhook(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Station.of(tmp_path_factory) as station:
        home = station.folder / "d"
        # 825 days, of which 20 are left
        Authority.load(home / "authority").issue_server(home / "broker" / "tls", now() - 804 * DAY_MS)
        station.broker.start()
        config = station.config("watch")
        with config.open("a", encoding="utf-8") as file:
            file.write(f'\n[dead_man]\nurl = "https://127.0.0.1:{station.broker_port}/secret"\n')

        expiring, webhook = doctor(station, "watch")
        assert (expiring["check"], expiring["severity"]) == ("broker", "warning")
        assert expiring["finding"].startswith("the broker's certificate expires on 20")
        assert (webhook["check"], webhook["where"]) == ("notifications", str(config))
        assert (
            "dead_man.url: the web server does not answer: the server's certificate is from an unknown authority"
            in webhook["finding"]
        )
        assert "secret" not in str(webhook)


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_what_enrol_makes_runs_under_any_umask(tmp_path_factory: pytest.TempPathFactory, mask: int) -> None:
    with Station.of(tmp_path_factory) as station:
        home, other = station.folder / "d", station.folder / "hq x"
        before = os.umask(mask)
        try:
            site = ("--authority", str(home / "authority"), "--port", str(station.broker_port))
            files = []
            for side in ("eucom", "ndmc", "watch"):
                run = station.deconflict("enrol", str(other), "--side", side, *site)
                assert run.returncode == 0, run.stderr
                files.append(station.folder / f"{side}.toml")
                files[-1].write_text(run.stdout, "utf-8")
            made = station.deconflict(
                *("link", "make", str(other / "link.toml"), *map(str, files[:2]), "--watch", str(files[2])),
                *("--status", "exercise"),
            )
            assert made.returncode == 0, made.stderr
        finally:
            os.umask(before)
        station.broker.start()
        folder: Path = other / "eucom"
        run = station.deconflict("doctor", str(folder / "endpoint.toml"), "--json")
        assert msgspec.json.decode(run.stdout)["findings"] == []
        # as the earlier version left it
        folder.chmod(0o755)
        run = station.deconflict("doctor", str(folder / "endpoint.toml"), "--json")
        (found,) = msgspec.json.decode(run.stdout)["findings"]
        assert "the control socket's folder is open to others (mode 0755)" in found["finding"]
        assert f"chmod 700 '{folder}'" in found["finding"]
        run = station.deconflict("run", str(folder / "endpoint.toml"))
        assert run.returncode == 2
        assert f"chmod 700 '{folder}'" in run.stderr
