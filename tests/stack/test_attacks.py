"""The broker refuses from inside the network what it must: strangers, other identities and topics, other features."""

import io
import json
import secrets
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.stack.compose import Compose, docker

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

TOPIC = "deconfliction/v1/eucom-ndmc"
ATTACKER = Path(__file__).with_name("attacker.py")
PARTIES = {"watch": "tls", "ndmc": "tls", "broker": "health"}
"""Whose certificates the attacker has, and where these lie in the volumes; `broker` is the identity without rights."""
CLOSED = {"no connection", "closed", "nothing"}

REFUSED: dict[str, tuple[dict[str, Any], set[str]]] = {
    # name: the attack, and what the broker answers
    "without a certificate": ({"publish": f"{TOPIC}/eucom/message"}, CLOSED),
    "a foreign authority's certificate": (
        {"certificate": "/foreign", "id": "eucom", "publish": f"{TOPIC}/eucom/message"},
        CLOSED,
    ),
    "TLS 1.2": ({"certificate": "/watch/tls", "tls": "1.2", "subscribe": f"{TOPIC}/eucom/message"}, CLOSED),
    "without TLS": ({"plain": True, "publish": f"{TOPIC}/eucom/message"}, CLOSED),
    "the usual port without TLS": ({"plain": True, "port": 1883, "publish": "x"}, CLOSED),
    "the watch as eucom": (
        {"certificate": "/watch/tls", "id": "eucom", "publish": f"{TOPIC}/eucom/message"},
        {"published 135"},
    ),
    "the watch as ndmc": ({"certificate": "/watch/tls", "publish": f"{TOPIC}/ndmc/receipt"}, {"published 135"}),
    "the watch's own name": ({"certificate": "/watch/tls", "publish": f"{TOPIC}/watch/message"}, {"published 135"}),
    "ndmc as eucom": ({"certificate": "/ndmc/tls", "publish": f"{TOPIC}/eucom/message"}, {"published 135"}),
    "ndmc on another link": (
        {"certificate": "/ndmc/tls", "publish": "deconfliction/v1/other/ndmc/message"},
        {"published 135"},
    ),
    "ndmc beside its topics": ({"certificate": "/ndmc/tls", "publish": f"{TOPIC}/ndmc/else"}, {"published 135"}),
    "ndmc with QoS 2": ({"certificate": "/ndmc/tls", "publish": f"{TOPIC}/ndmc/presence", "qos": 2}, CLOSED),
    "ndmc with a retained message": (
        {"certificate": "/ndmc/tls", "publish": f"{TOPIC}/ndmc/presence", "retain": True},
        CLOSED,
    ),
    "the health check publishes": (
        {"certificate": "/broker/health", "publish": f"{TOPIC}/eucom/message"},
        {"published 135"},
    ),
    "the health check reads": ({"certificate": "/broker/health", "subscribe": "#", "within_s": 4}, CLOSED),
    "the health check reads the broker": (
        {"certificate": "/broker/health", "subscribe": "$SYS/#", "within_s": 2},
        CLOSED,
    ),
}


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a certificate of a foreign authority for `eucom`."""
    folder = tmp_path_factory.mktemp("foreign")
    issued = trustme.CA().issue_cert(common_name="eucom")
    issued.private_key_pem.write_to_path(folder / "client.key")
    issued.cert_chain_pems[0].write_to_path(folder / "client.crt")
    return folder


@pytest.fixture
def outcomes(stack: Compose, foreign: Path) -> Iterator[dict[str, str]]:
    """Yield how far each attack has come; the true ndmc is stopped, since its certificate connects only once."""
    stack("stop", "ndmc")
    name = f"link-test-attacker-{secrets.token_hex(4)}"
    volumes = [word for party in PARTIES for word in ("--volume", f"{stack.volume(party)}:/{party}:ro")]
    image = stack.containers()["provision"]["Image"]
    attacks = [{"name": name, "authority": "/watch/tls/ca.crt", **attack} for name, (attack, _) in REFUSED.items()]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(ATTACKER, "attacker.py")
        archive.add(foreign, "foreign")
    docker(
        *("create", "--name", name, "--network", f"{stack.project}_link", "--user", "0:0", "--interactive"),
        *(*volumes, "--entrypoint", "python3", image, "/attacker.py"),
    )
    try:
        docker("cp", "-", f"{name}:/", stdin=packed.getvalue())
        yield json.loads(
            docker(
                "start",
                "--attach",
                "--interactive",
                name,
                stdin="\n".join(map(json.dumps, attacks)).encode(),
                within_s=200,
            )
        )
    finally:
        docker("rm", "--force", name)
        stack("start", "ndmc")


def test_the_broker_refuses_what_it_must(stack: Compose, outcomes: dict[str, str]) -> None:
    wrong = {name: found for name, found in outcomes.items() if found not in REFUSED[name][1]}
    assert not wrong
    assert len(outcomes) == len(REFUSED)
    assert not stack.alarms("eucom") & {"bad_frames", "identity_in_use"}
