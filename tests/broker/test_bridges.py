"""The files of bridged brokers: who may do what at which, and what crosses in which direction."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker import bridges, configuration
from broker.access import grants
from broker.bridges import CHANNELS, Bridges, Remote
from broker.changes import FileChanges
from broker.errors import BrokerError
from broker.pki import Authority
from broker.versions import check_version
from tests.support.broker_site import now

LINKS = {"eucom-ndmc": ("eucom", "ndmc"), "syria": ("centcom", "ndmc")}
EUCOM = {"eucom-ndmc": ("eucom", "ndmc")}
CALLING = Bridges("eucom", {"ndmc": Remote("b2.example", 8884)})
ACCEPTING = Bridges("ndmc", {})


def rights(links: configuration.Links, made: Bridges) -> dict[str, set[str]]:
    """Return what each user may read and write, of all topics of all links."""
    text = configuration.access_list(links, "watch", made)
    topics = {
        f"deconfliction/v1/{link}/{side}/{channel}"
        for link, sides in links.items()
        for side in sides
        for channel in CHANNELS
    }
    users = [line.removeprefix("user ") for line in text.splitlines() if line.startswith("user ")]
    return {
        user: {
            f"{access} {topic.removeprefix('deconfliction/v1/')}"
            for topic in topics
            for access in ("read", "write")
            if grants(text, user, access, topic)
        }
        for user in users
    }


def both(link: str, own: str, peer: str) -> set[str]:
    writes = {f"write {link}/{own}/{channel}" for channel in CHANNELS}
    return writes | {f"read {link}/{peer}/{channel}" for channel in CHANNELS}


def test_a_bridge_has_the_rights_of_the_side_that_it_stands_for_and_that_side_has_none() -> None:
    """SPEC Q2.3"""
    calling, accepting = rights(EUCOM, CALLING), rights(EUCOM, ACCEPTING)
    assert calling["eucom"] == both("eucom-ndmc", "eucom", "ndmc")
    assert calling["bridge-eucom"] == both("eucom-ndmc", "ndmc", "eucom")
    assert accepting["ndmc"] == both("eucom-ndmc", "ndmc", "eucom")
    assert accepting["bridge-eucom"] == both("eucom-ndmc", "eucom", "ndmc")
    assert set(calling) == {"eucom", "bridge-eucom", "watch"}
    assert set(accepting) == {"ndmc", "bridge-eucom", "watch"}


def test_each_of_several_bridges_has_the_links_of_its_side_alone() -> None:
    found = rights(LINKS, Bridges("ndmc", {"centcom": Remote("b3.example", 8883)}))
    assert found["bridge-eucom"] == both("eucom-ndmc", "eucom", "ndmc")
    # ndmc's broker connects to centcom's, under its own name
    assert found["bridge-ndmc"] == both("syria", "centcom", "ndmc")


def test_each_topic_crosses_in_one_direction_alone() -> None:
    text = bridges.sections(CALLING, EUCOM)
    crossing = [line.split()[1:] for line in text.splitlines() if line.startswith("topic ")]
    assert len({topic for topic, _, _ in crossing}) == len(crossing) == 6
    for topic, direction, qos in crossing:
        _, _, link, side, channel = topic.split("/")
        assert (link, direction) == ("eucom-ndmc", "out" if side == "eucom" else "in")
        assert int(qos) == CHANNELS[channel]
    # no option of Mosquitto 2.1 alone: the file loads on 2.0, too
    assert not {"bridge_receive_maximum", "bridge_max_topic_alias", "bridge_session_expiry_interval"} & set(
        text.split()
    )
    assert "topic " not in bridges.sections(ACCEPTING, EUCOM)


@pytest.mark.parametrize("made", [CALLING, ACCEPTING])
def test_the_files_say_what_the_bridges_are(tmp_path: Path, made: Bridges) -> None:
    assert configuration.present_bridges(tmp_path) is None
    configuration.write(tmp_path, EUCOM, bridges=made)
    assert configuration.present_bridges(tmp_path) == made
    configuration.write(tmp_path, EUCOM)
    assert configuration.present_bridges(tmp_path) is None


@pytest.mark.parametrize(
    ("links", "made", "why"),
    [
        (LINKS, CALLING, "link syria is between centcom and ndmc; the broker of eucom serves the links of eucom alone"),
        (EUCOM, Bridges("eucom", {"centcom": Remote("b", 1)}), "centcom: no link has it as its other side"),
        (EUCOM, Bridges("eucom", {"ndmc": Remote("b\nuser x", 1)}), "not a host name or address"),
        (EUCOM, Bridges("eucom", {"ndmc": Remote("b", 0)}), "0: not a port from 1 to 65535"),
        ({"x": ("eucom", "bridge-eucom")}, Bridges("eucom", {"bridge-eucom": Remote("b", 1)}), "the name of a bridge"),
        ({"x": ("a" * 32, "ndmc")}, Bridges("ndmc", {}), "too long for the identity of a bridge"),
    ],
)
def test_bridges_that_do_not_fit_are_refused(
    tmp_path: Path, links: configuration.Links, made: Bridges, why: str
) -> None:
    with pytest.raises(BrokerError, match=why):
        configuration.write(tmp_path, links, bridges=made)
    assert not list(tmp_path.iterdir())


def test_a_renewed_certificate_of_a_bridge_is_taken_over(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "authority", now())
    own = tmp_path / "broker"
    place = own / bridges.FOLDER / "ndmc"
    place.mkdir(parents=True)
    (own / "tls").mkdir()
    authority.issue_server(own / "tls", now())
    configuration.write(own, EUCOM, bridges=CALLING)
    changes = FileChanges(own)
    authority.issue_client("bridge-eucom", place, now())
    assert [changes.look(), changes.look(), changes.look()] == [False, True, False]
    (place / "client.key").write_text("")
    authority.issue_client("bridge-eucom", tmp_path, now())
    (place / "client.crt").write_bytes((tmp_path / "client.crt").read_bytes())
    assert changes.look() is False
    with pytest.raises(BrokerError, match=r"client\.key: not the private key of .*client\.crt"):
        changes.look()


@pytest.mark.parametrize(
    ("version", "refused"), [("2.0.11", True), ("2.0.20", True), ("2.0.21", False), ("2.1.2", False)]
)
def test_a_mosquitto_that_hangs_makes_no_bridge(tmp_path: Path, version: str, refused: bool) -> None:
    program = tmp_path / "mosquitto"
    program.write_text(f"#!/bin/sh\necho 'mosquitto version {version}'\nexit 3\n")
    program.chmod(0o755)
    configuration.write(tmp_path, EUCOM, bridges=ACCEPTING)
    check_version(str(program), tmp_path)
    configuration.write(tmp_path, EUCOM, bridges=CALLING)
    if refused:
        with pytest.raises(BrokerError, match=f"Mosquitto {version} hangs .* install 2.0.21 or later"):
            check_version(str(program), tmp_path)
    else:
        check_version(str(program), tmp_path)


def test_a_mosquitto_that_cannot_run_makes_no_bridge(tmp_path: Path) -> None:
    program = tmp_path / "mosquitto"
    program.write_text("no program")
    program.chmod(0o755)
    configuration.write(tmp_path, EUCOM, bridges=CALLING)
    with pytest.raises(BrokerError, match=r"does not say its version \(-h\)"):
        check_version(str(program), tmp_path)
