import re
from pathlib import Path
from typing import get_args

import pytest

from broker import configuration
from broker.errors import BrokerError
from endpoints.mqtt.topics import Topic, TopicChannel

LINKS = {"eucom-ndmc": ("eucom", "ndmc"), "syria": ("centcom", "ndmc")}


def rules(text: str) -> dict[str, set[tuple[str, str]]]:
    """Return the permissions of each user, as Mosquitto reads the access list."""
    found: dict[str, set[tuple[str, str]]] = {}
    user = ""
    for line in text.splitlines():
        if line.startswith("user "):
            user = line.removeprefix("user ")
            assert user not in found
            found[user] = set()
        elif line and not line.startswith("#"):
            _, access, topic = line.split(" ")
            found[user].add((access, topic))
    return found


def test_endpoints_write_their_topics_and_read_their_peer_s_and_the_watch_reads_all() -> None:
    """SPEC Q2.3"""

    def topics(access: str, link: str, party: str) -> set[tuple[str, str]]:
        return {(access, str(Topic(link, party, channel))) for channel in get_args(TopicChannel)}

    assert rules(configuration.access_list(LINKS, "watch")) == {
        "eucom": topics("write", "eucom-ndmc", "eucom") | topics("read", "eucom-ndmc", "ndmc"),
        "centcom": topics("write", "syria", "centcom") | topics("read", "syria", "ndmc"),
        "ndmc": (
            topics("write", "eucom-ndmc", "ndmc")
            | topics("read", "eucom-ndmc", "eucom")
            | topics("write", "syria", "ndmc")
            | topics("read", "syria", "centcom")
        ),
        "watch": {rule for link, parties in LINKS.items() for party in parties for rule in topics("read", link, party)},
    }


def test_no_pattern_and_no_wildcard_in_the_access_list() -> None:
    lines = [line for line in configuration.access_list(LINKS, "watch").splitlines() if not line.startswith("#")]
    assert not re.search(r"[%+#]|pattern", "\n".join(lines))


def settings(path: Path) -> dict[str, str]:
    lines = [line.split(" ", 1) for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(lines)


def test_the_configuration_is_hardened_and_its_paths_are_relative(tmp_path: Path) -> None:
    configuration.write(tmp_path, LINKS, address="0.0.0.0")
    assert (
        settings(tmp_path / "mosquitto.conf").items()
        >= {
            "allow_anonymous": "false",
            "allow_zero_length_clientid": "false",
            "require_certificate": "true",
            "use_identity_as_username": "true",
            "use_username_as_clientid": "true",
            "tls_version": "tlsv1.3",
            "max_qos": "1",
            "max_topic_alias": "0",
            "retain_available": "false",
            "max_packet_size": "131072",
            "set_tcp_nodelay": "true",
            "persistent_client_expiration": "30d",
            "listener": "8883 0.0.0.0",
            "acl_file": "acl",
            "keyfile": "tls/server.key",
            "persistence_location": "data/",
            # four clients with 64 MiB each, half as much again, and 64 MiB for the broker
            "memory_limit": str(4 * 96 * 2**20 + 64 * 2**20),
        }.items()
    )
    # a second time, over its own files
    configuration.write(tmp_path, LINKS)
    assert settings(tmp_path / "mosquitto.conf")["acl_file"] == "acl"
    assert (tmp_path / "data").is_dir()


@pytest.mark.parametrize(
    ("links", "watch", "message"),
    [
        ({"a b": ("eucom", "ndmc")}, "watch", "'a b': not an identity"),
        ({"a": ("eucom", "ndmc\ntopic #")}, "watch", "not an identity"),
        ({"a": ("eucom", "ndmc")}, "+", r"'\+': not an identity"),
        ({"a": ("eucom", "eucom")}, "watch", "three different names"),
        ({"a": ("eucom", "ndmc")}, "ndmc", "three different names"),
    ],
)
def test_a_name_that_is_special_in_an_access_list_is_refused(
    tmp_path: Path, links: configuration.Links, watch: str, message: str
) -> None:
    with pytest.raises(BrokerError, match=message):
        configuration.write(tmp_path, links, watch=watch)
    assert not list(tmp_path.iterdir())


def test_a_wrong_address_or_port_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="70000: not a port from 1 to 65535"):
        configuration.write(tmp_path, LINKS, port=70_000)
    with pytest.raises(BrokerError, match="not an address to listen at"):
        configuration.write(tmp_path, LINKS, address="127.0.0.1\nallow_anonymous true")


def test_a_file_with_the_same_text_is_left_alone(tmp_path: Path) -> None:
    """A running broker is started again for another mosquitto.conf only."""
    configuration.write(tmp_path, {"eucom-ndmc": ("eucom", "ndmc")})
    before = {name: (tmp_path / name).stat() for name in ("mosquitto.conf", "acl")}
    configuration.write(tmp_path, {"eucom-ndmc": ("eucom", "ndmc"), "air": ("eucom", "ndmc")})
    after = {name: (tmp_path / name).stat() for name in ("mosquitto.conf", "acl")}
    assert after["mosquitto.conf"].st_ino == before["mosquitto.conf"].st_ino
    assert "/air/" in (tmp_path / "acl").read_text()
    # unless others can read it
    (tmp_path / "acl").chmod(0o644)
    configuration.write(tmp_path, {"eucom-ndmc": ("eucom", "ndmc"), "air": ("eucom", "ndmc")})
    assert (tmp_path / "acl").stat().st_mode & 0o777 == 0o600
