"""What a broker must refuse from inside its network, whichever broker it is: one list, tried as real clients."""

from __future__ import annotations

import io
import json
import secrets
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import trustme
from msgspec import Struct

from tests.stack.compose import Compose
from tests.support.engine import docker

Broker = Literal["mosquitto", "rabbitmq"]
TOPIC = "deconfliction/v1/eucom-ndmc"
ATTACKER = Path(__file__).with_name("attacker.py")
PARTIES = {"watch": "tls", "ndmc": "tls", "broker": "health"}
"""Whose certificates the attacker has, and where these lie in the volumes; `broker` is the identity without rights."""
CLOSED = frozenset({"no connection", "closed", "nothing"})
"""No answer that would be a success."""
NOT_AUTHORIZED, DISPLACED = frozenset({"published 135"}), frozenset({"closed"})
MALFORMED, WRONG_IDENTITY = frozenset({"closed"}), frozenset({"refused 133"})
_WITHIN_S = 300


class Attack(Struct, frozen=True):
    """One attack.

    Attributes:
        how: what the attacker does, as `attacker.py` reads it. Without `id`, the client id is the certificate's name.
        mosquitto, rabbitmq: the outcomes that are refusals at each broker. RabbitMQ answers a publish without
            permission by closing the connection.
    """

    how: dict[str, Any]
    mosquitto: frozenset[str] = CLOSED
    rabbitmq: frozenset[str] = CLOSED


def _by(party: str, **how: Any) -> dict[str, Any]:
    identity = "health" if party == "broker" else party
    return {"certificate": f"/{party}/{PARTIES[party]}", "id": identity, **how}


def _forbidden(party: str, topic: str, **how: Any) -> Attack:
    """Return a publish to a topic that the party must not write.

    The party itself, which the attacker's connection displaces, may come back and displace that before it is answered.
    """
    return Attack(_by(party, publish=topic, **how), NOT_AUTHORIZED | DISPLACED, MALFORMED)


ATTACKS: dict[str, Attack] = {
    "without a certificate": Attack({"publish": f"{TOPIC}/eucom/message"}),
    "a foreign authority's certificate": Attack(
        {"certificate": "/foreign", "id": "eucom", "publish": f"{TOPIC}/eucom/message"}
    ),
    "TLS 1.2": Attack(_by("watch", tls="1.2", subscribe=f"{TOPIC}/eucom/message")),
    "without TLS": Attack({"plain": True, "publish": f"{TOPIC}/eucom/message"}),
    "the usual port without TLS": Attack({"plain": True, "port": 1883, "publish": "x"}),
    # Mosquitto takes the certificate's name for the client id
    "the watch with eucom's client id": Attack(
        _by("watch", id="eucom", publish=f"{TOPIC}/eucom/message"), NOT_AUTHORIZED, WRONG_IDENTITY
    ),
    "ndmc with eucom's client id": Attack(
        _by("ndmc", id="eucom", publish=f"{TOPIC}/eucom/message"), NOT_AUTHORIZED, WRONG_IDENTITY
    ),
    "the watch as eucom": _forbidden("watch", f"{TOPIC}/eucom/message"),
    "the watch as ndmc": _forbidden("watch", f"{TOPIC}/ndmc/receipt"),
    "the watch's own name": _forbidden("watch", f"{TOPIC}/watch/message"),
    "ndmc as eucom": _forbidden("ndmc", f"{TOPIC}/eucom/message"),
    "ndmc as eucom's presence": _forbidden("ndmc", f"{TOPIC}/eucom/presence"),
    "ndmc on another link": _forbidden("ndmc", "deconfliction/v1/other/ndmc/message"),
    "ndmc beside its topics": _forbidden("ndmc", f"{TOPIC}/ndmc/else"),
    "ndmc below its topics": _forbidden("ndmc", f"{TOPIC}/ndmc/message/x"),
    # in RabbitMQ, dots are what separates levels
    "ndmc as eucom with dots": _forbidden("ndmc", f"{TOPIC}/eucom/message".replace("/", ".")),
    "ndmc outside the protocol": _forbidden("ndmc", "$SYS/broker/x"),
    "ndmc with QoS 2": Attack(_by("ndmc", publish=f"{TOPIC}/ndmc/presence", qos=2)),
    "ndmc with a retained message": Attack(
        _by("ndmc", publish=f"{TOPIC}/ndmc/presence", retain=True), CLOSED, frozenset({"published 0"})
    ),
    "ndmc with a large packet": Attack(_by("ndmc", publish=f"{TOPIC}/ndmc/message", size=200_000)),
    "ndmc with a topic alias": Attack(_by("ndmc", publish=f"{TOPIC}/ndmc/message", alias=1)),
    "ndmc with a will as eucom": Attack(
        _by("ndmc", will=f"{TOPIC}/eucom/message", publish=f"{TOPIC}/ndmc/message", qos=2)
    ),
    "ndmc reads everything": Attack(_by("ndmc", subscribe="#", within_s=2)),
    "ndmc reads its own words": Attack(_by("ndmc", subscribe=f"{TOPIC}/ndmc/#", within_s=2)),
    "ndmc reads by a wildcard": Attack(_by("ndmc", subscribe="deconfliction/v1/+/watch/+", within_s=2)),
    # the container's own check takes the session over, if it comes at the same time
    "the health check publishes": Attack(
        _by("broker", publish=f"{TOPIC}/eucom/message"), NOT_AUTHORIZED | {"closed"}, MALFORMED
    ),
    "the health check reads": Attack(_by("broker", subscribe="#", within_s=4)),
    "the health check reads eucom's words": Attack(_by("broker", subscribe=f"{TOPIC}/eucom/presence", within_s=2)),
    "the health check reads the broker": Attack(_by("broker", subscribe="$SYS/#", within_s=2)),
}


def foreign(folder: Path) -> Path:
    """Make a certificate of a foreign authority for `eucom` in `folder`; return the folder."""
    issued = trustme.CA().issue_cert(common_name="eucom")
    issued.private_key_pem.write_to_path(folder / "client.key")
    issued.cert_chain_pems[0].write_to_path(folder / "client.crt")
    return folder


def tried(stack: Compose, attacks: Mapping[str, Attack], foreign: Path, host: str = "broker") -> dict[str, str]:
    """Return how far each attack has come at the node `host`.

    The true ndmc is stopped meanwhile: its certificate connects only once.
    """
    stack("stop", "ndmc")
    name = f"link-test-attacker-{secrets.token_hex(4)}"
    volumes = [word for party in PARTIES for word in ("--volume", f"{stack.volume(party)}:/{party}:ro")]
    image = stack.containers()["provision"]["Image"]
    lines = [
        {"name": name, "host": host, "authority": "/watch/tls/ca.crt", **attack.how} for name, attack in attacks.items()
    ]
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
        told = docker(
            *("start", "--attach", "--interactive", name),
            stdin="\n".join(map(json.dumps, lines)).encode(),
            within_s=_WITHIN_S,
        )
    finally:
        docker("rm", "--force", name)
        stack("start", "ndmc")
    found: dict[str, str] = json.loads(told)
    return found


def successes(outcomes: Mapping[str, str], broker: Broker) -> dict[str, str]:
    """Return the outcomes with which this broker has granted something."""
    return {name: found for name, found in outcomes.items() if found not in getattr(ATTACKS[name], broker)}
