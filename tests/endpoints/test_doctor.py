from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from broker.errors import BrokerError
from broker.local import LocalBroker, find
from broker.pki import Authority
from endpoints.clocks.clock import SystemClock
from endpoints.clocks.exercise_table import ExerciseTable
from endpoints.config import default_terms, link_file, provision, settings
from endpoints.doctor.examination import Examination
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.keys.signer import generate
from protocol.core.events import BatchClosed, Started, Stopped
from protocol.core.link import Link
from protocol.core.start_events import EpochOpened
from protocol.wire.instants import written

LINK = default_terms.LINK
NOW, MONO = SystemClock().now()
DAY_MS = 86_400_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor") / "made"
    terms = default_terms.terms()
    provision.provision(
        folder,
        [terms],
        {side: default_terms.party(side) for side in (terms.caller, terms.answering)},
        at=NOW,
        officers=default_terms.OFFICERS,
        broker=provision.BrokerPlan(port=free_port()),
    )
    return folder


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "site")
    return tmp_path / "site"


def findings(site: Path, at: int = NOW, side: str = "eucom") -> list[str]:
    """Return what the doctor says but for the broker, which does not run here."""
    name = "watch.toml" if side == "watch" else "endpoint.toml"
    found = Examination(settings.load(site / side / name, {}), lambda: at).run()
    return [str(each) for each in found if "the broker cannot be reached" not in each.finding]


@pytest.mark.parametrize("side", ["eucom", "ndmc", "watch"])
def test_what_init_makes_is_sound_but_for_the_broker_that_does_not_run(site: Path, side: str) -> None:
    name = "watch.toml" if side == "watch" else "endpoint.toml"
    examined = Examination(settings.load(site / side / name, {}), lambda: NOW)

    (only,) = examined.run()

    assert only.finding == "the broker cannot be reached: connection refused: nothing listens there"
    assert (only.check, only.severity) == ("broker", "error")
    assert len(examined.checked) >= 12


def hints(site: Path, side: str = "eucom") -> list[str]:
    name = "watch.toml" if side == "watch" else "endpoint.toml"
    examination = Examination(settings.load(site / side / name, {}), lambda: NOW)
    examination.run()
    found = [each for each in examination.hints if not each.check.startswith("comparison/")]
    return [str(each) for each in found if each.finding != "this journal is empty"]


def test_an_empty_journal_is_a_hint(site: Path) -> None:
    journal = site / "eucom" / "journal" / LINK
    examination = Examination(settings.load(site / "eucom" / "endpoint.toml", {}), lambda: NOW)
    examination.run()
    (hint,) = [str(each) for each in examination.hints if each.check == f"journal/{LINK}"]
    assert hint == (
        f"{journal}: this journal is empty; if this side ran on this link before, copy its journal here, or open a new "
        "epoch on both sides"
    )


def test_what_one_user_has_for_a_trial_is_a_hint_and_no_finding(site: Path) -> None:
    assert [line.partition(": ")[0] for line in hints(site)] == [
        str(site / name) for name in ("ndmc/endpoint.toml", "broker/mosquitto.conf", "authority/ca.key")
    ]
    assert len(hints(site, "watch")) == 4
    assert findings(site) == findings(site, side="watch") == []

    # as version 0.1.0 made it
    (site / "authority").rename(site / "broker" / "authority")
    assert any(line.startswith(f"{site}/broker/authority/ca.key: ") for line in hints(site))


def test_what_is_separated_is_no_hint(site: Path) -> None:
    shutil.rmtree(site / "authority")
    shutil.rmtree(site / "ndmc")
    if os.geteuid() == 0:
        os.chown(site / "broker" / "mosquitto.conf", 12_345, 12_345)
    else:
        shutil.rmtree(site / "broker")

    assert hints(site) == []


def open_to_others(site: Path) -> str:
    (site / "eucom" / "keys").chmod(0o755)
    return "eucom/keys: open to others (mode 0755)"


def key_open_to_others(site: Path) -> str:
    next((site / "eucom" / "keys").glob("*.pem")).chmod(0o644)
    return "this private key is open to others (mode 0644)"


def no_key(site: Path) -> str:
    next((site / "eucom" / "keys").glob("*.pem")).unlink()
    return "eucom/keys: the suite 'ed25519' needs one ed25519 key; found none"


def another_key(site: Path) -> str:
    ours, theirs = (next((site / side / "keys").glob("*.pem")) for side in ("eucom", "ndmc"))
    ours.unlink()
    shutil.copy(theirs, ours.parent)
    return "is enrolled there, so the other side will refuse every frame"


def no_peer_key(site: Path) -> str:
    content = link_file.load(site / "link.toml")
    path = site / "link.toml"
    path.write_text(path.read_text("utf-8").replace(content.keys["ndmc"][0].public, "AA=="), "utf-8")
    return "link.toml: "


def another_certificate(site: Path) -> str:
    for name in ("client.crt", "client.key"):
        shutil.copy(site / "ndmc" / "tls" / name, site / "eucom" / "tls" / name)
    return "client.crt: issued to ndmc, not to eucom"


def another_authority(site: Path) -> str:
    Authority.make(site / "other", NOW)
    shutil.copy(site / "other" / "ca.crt", site / "eucom" / "tls" / "ca.crt")
    return "client.crt: not issued by the authority in"


def key_of_another_certificate(site: Path) -> str:
    shutil.copy(site / "ndmc" / "tls" / "client.key", site / "eucom" / "tls" / "client.key")
    return "not a certificate and its unencrypted private key"


def malformed_certificate(site: Path) -> str:
    (site / "eucom" / "tls" / "ca.crt").write_bytes(b"\xff\x00")
    return "ca.crt: not a certificate in PEM form"


def damaged_journal(site: Path) -> str:
    folder = site / "eucom" / "journal" / "eucom-ndmc"
    with_record(site)
    path = next(folder.glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"Stopped", b"Started", 1))
    return ".jsonl: record 2: its bytes do not give its hash"


def only_one_officer(site: Path) -> str:
    path = site / "eucom" / "endpoint.toml"
    path.write_text(path.read_text("utf-8").partition("[officers.watch-2]")[0], "utf-8")
    return "one officer cannot release their own alert"


def no_pager(site: Path) -> str:
    path = site / "eucom" / "endpoint.toml"
    path.write_text(path.read_text("utf-8").replace("log = true", 'command = ["/none/pager"]'), "utf-8")
    return "notifications.command: no such program: /none/pager"


def no_exercise_clock(site: Path) -> str:
    path = site / "eucom" / "endpoint.toml"
    path.write_text('exercise_clock = "e.clock"\n' + path.read_text("utf-8"), "utf-8")
    return "e.clock: no such file"


def no_folder_for_the_socket(site: Path) -> str:
    path = site / "eucom" / "endpoint.toml"
    path.write_text('control = "run/control.sock"\n' + path.read_text("utf-8"), "utf-8")
    return "eucom/run: no such folder; the control socket needs it"


@pytest.mark.parametrize(
    "fault",
    [
        open_to_others,
        key_open_to_others,
        no_key,
        another_key,
        no_peer_key,
        another_certificate,
        another_authority,
        key_of_another_certificate,
        malformed_certificate,
        damaged_journal,
        only_one_officer,
        no_pager,
        no_exercise_clock,
        no_folder_for_the_socket,
    ],
)
def test_each_fault_is_reported_in_one_line(site: Path, fault: Callable[[Path], str]) -> None:
    expected = fault(site)

    found = findings(site)

    assert any(expected in line for line in found), found
    assert all("\n" not in line for line in found)


def with_record(site: Path, at: int = NOW, *, folder: str = "eucom", side: str = "eucom") -> None:
    with_journal = JournalWriter.open(FolderStore(site / folder / "journal" / "eucom-ndmc"), "eucom-ndmc", side)
    opened = EpochOpened(at=at, mono=MONO, terms=link_file.load(site / "link.toml").terms, rules=Link.RULES)
    with_journal.append([(opened, ()), (Stopped(at=at, mono=MONO), ()), (BatchClosed(at=at, mono=MONO), ())])
    with_journal.close(at, MONO, None)


@pytest.mark.parametrize("side", ["eucom", "watch"])
def test_a_private_key_that_is_not_enrolled_is_a_hint(site: Path, side: str) -> None:
    generate(site / side / "keys")
    (_,) = [each for each in hints(site, side) if "is enrolled in no link file, so it signs nothing" in each]
    assert findings(site, side=side) == []


def test_a_key_of_the_watch_that_is_missing_on_one_side_is_reported(site: Path) -> None:
    path, file = site / "watch" / "watch.toml", site / "link.toml"
    content = link_file.load(file)
    link_file.save(structs.replace(content, watch=None), file)
    (found,) = findings(site, side="watch")
    assert "link.toml: watch.keys: no ed25519 key of " in found
    assert "is enrolled there, so no audit accepts what the watch signs" in found

    # a watch without a key, under a file without one, is sound
    text = path.read_text("utf-8")
    path.write_text(text.replace('keys = "keys"\n', ""), "utf-8")
    assert findings(site, side="watch") == []

    link_file.save(content, file)
    (found,) = findings(site, side="watch")
    assert "watch.toml: keys: none, but" in found

    path.write_text(text, "utf-8")
    shutil.rmtree(site / "watch" / "keys")
    assert any("watch/keys: no such folder" in each for each in findings(site, side="watch"))


def test_a_watch_that_is_not_named_watch_finds_its_own_journal_intact(site: Path) -> None:
    Authority.load(site / "authority").issue_client("watch-2", site / "watch" / "tls", NOW)
    path = site / "watch" / "watch.toml"
    path.write_text(path.read_text("utf-8").replace('"watch"', '"watch-2"'), "utf-8")
    with_record(site, folder="watch", side="watch-2")

    (found,) = findings(site, side="watch")
    assert "broker/acl: user watch-2: no right to read deconfliction/v1/eucom-ndmc/eucom/message" in found


def test_only_a_journal_from_the_future_is_a_finding(site: Path) -> None:
    with_record(site)
    assert findings(site) == []

    (late,) = findings(site, NOW - 60_000)
    assert "later than now (" in late
    assert late.endswith("); check the machine's clock")


def with_start(site: Path, side: str, tzdata: str) -> None:
    journal = JournalWriter.open(FolderStore(site / side / "journal" / "eucom-ndmc"), "eucom-ndmc", side)
    at: dict[str, Any] = {"at": NOW, "mono": MONO}
    opened = EpochOpened(**at, terms=link_file.load(site / "link.toml").terms, rules=Link.RULES)
    started = Started(**at, software="test", slots=(), slots_until=written(NOW), tzdata=tzdata)
    journal.append([(opened, ()), (started, ()), (BatchClosed(**at), ())])
    journal.close(NOW, MONO, None)


def test_other_time_zone_data_at_another_site_of_this_machine_is_reported(site: Path) -> None:
    with_start(site, "eucom", "2020a")
    assert findings(site) == []
    assert any("planned with time zone data 2020a, and 20" in line for line in hints(site))

    with_start(site, "watch", "2020b")
    (found,) = findings(site)
    assert found.startswith(f"{site}/watch/journal/eucom-ndmc: its slots are planned with time zone data 2020b, and ")
    assert "those of eucom with 2020a" in found


def test_a_journal_that_grows_while_it_is_examined_is_not_from_the_future(site: Path) -> None:
    times = iter(range(NOW, NOW + 60_000, 1_000))

    def now() -> int:
        at = next(times)
        if at == NOW:
            # the service writes on, after the first reading of the clock
            with_record(site, NOW + 500)
        return at

    found = Examination(settings.load(site / "eucom" / "endpoint.toml", {}), now).run()

    assert [each.check for each in found] == ["broker"]


def test_a_journal_of_a_newer_version_is_reported(site: Path) -> None:
    folder = site / "eucom" / "journal" / "eucom-ndmc"
    journal = JournalWriter.open(FolderStore(folder), "eucom-ndmc", "eucom")
    opened = EpochOpened(at=NOW, mono=MONO, terms=link_file.load(site / "link.toml").terms, rules="99")
    journal.append([(opened, ()), (BatchClosed(at=NOW, mono=MONO), ())])
    journal.close(NOW, MONO, None)

    (found,) = findings(site)
    assert "run the version that wrote it" in found


def test_the_journal_of_an_exercise_may_be_from_any_time(site: Path) -> None:
    with_record(site)
    path = site / "eucom" / "endpoint.toml"
    path.write_text('exercise_clock = "e.clock"\n' + path.read_text("utf-8"), "utf-8")
    ExerciseTable.begin(0, 0, 1).write(site / "eucom" / "e.clock")

    assert findings(site, NOW - 60_000) == []


@pytest.mark.parametrize(
    ("days", "expected"),
    [(-3, "not valid before"), (100, ""), (800, "client.crt: expires on"), (900, "client.crt: expired on")],
)
def test_a_certificate_that_expires_within_a_month_is_reported(site: Path, days: int, expected: str) -> None:
    found = findings(site, NOW + days * DAY_MS)

    assert any(expected in line for line in found) if expected else found == []


# --- the broker, and other listeners ------------------------------------------------------------------------------


@pytest.fixture
def listener(site: Path) -> Iterator[socket.socket]:
    port = settings.load_endpoint(site / "eucom" / "endpoint.toml", {}).broker.addresses[0].port
    with socket.create_server(("127.0.0.1", port)) as listening:
        yield listening


def broker_finding(site: Path) -> list[str]:
    return [each.what for each in Examination(settings.load(site / "eucom" / "endpoint.toml", {}), lambda: NOW).run()]


def test_a_listener_without_tls_is_reported(site: Path, listener: socket.socket) -> None:
    def greet() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.recv(4_096)

    server = threading.Thread(target=greet)
    server.start()
    (found,) = broker_finding(site)
    server.join()

    assert found.startswith("no TLS 1.3 connection with our certificate: the server does not speak TLS on this port; ")


def test_an_unknown_host_is_reported(site: Path) -> None:
    found = Examination(
        settings.load(site / "eucom" / "endpoint.toml", {"DECONFLICT_BROKER_HOST": "no-such-host.invalid"}), lambda: NOW
    ).run()

    (only,) = found
    assert only.finding.startswith("the broker cannot be reached: the name ")


@pytest.mark.integration
def test_a_running_broker_is_reached_and_a_foreign_certificate_is_reported(made: Path, site: Path) -> None:
    try:
        find()
    except BrokerError as error:
        pytest.skip(str(error))
    with LocalBroker(made / "broker", SystemClock().real_ms):
        assert broker_finding(site) == []

        stranger = Authority.make(site / "other", NOW)
        stranger.issue_client("eucom", site / "eucom" / "tls", NOW)
        (found,) = broker_finding(site)
        unknown = "the server's certificate is from an unknown authority"
        assert found.startswith(f"the broker's certificate is not trusted: {unknown}; ")

        shutil.copy(made / "eucom" / "tls" / "ca.crt", site / "eucom" / "tls" / "ca.crt")
        mismatch, refused = broker_finding(site)
        assert mismatch.startswith("not issued by the authority in")
        assert refused.startswith(
            ("no TLS 1.3 connection with our certificate: ", "the broker closes the connection at once")
        )


def test_an_address_of_the_health_listener_that_is_taken_is_found(site: Path, listener: socket.socket) -> None:
    path, port = site / "eucom" / "endpoint.toml", str(listener.getsockname()[1])

    def of_health(environment: dict[str, str]) -> list[str]:
        return [
            each.what
            for each in Examination(settings.load(path, environment), lambda: NOW).run()
            if each.check == "health"
        ]

    assert of_health({}) == []
    assert of_health({"DECONFLICT_HEALTH_PORT": str(free_port())}) == []
    (taken,) = of_health({"DECONFLICT_HEALTH_PORT": port})
    assert taken.startswith(f"health: cannot listen at 127.0.0.1 port {port}: Address already in use")
