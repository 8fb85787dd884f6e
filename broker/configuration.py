"""Writes Mosquitto's configuration and access list, from the templates in this folder.

The files are `DIR/broker/mosquitto.conf` and `DIR/broker/acl`, beside `DIR/broker/data/`; `broker.pki` fills
`DIR/broker/tls/`. The templates give the reason for every setting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from string import Template

from broker.errors import BrokerError
from broker.pki import IDENTITY
from protocol.phrases import phrase

PORT = 8883
"""The registered port of MQTT over TLS."""

_PORT_MAX = 65_535
_TEMPLATES = Path(__file__).parent
_CHANNELS = ("message", "receipt", "presence")
_MIB = 1024 * 1024
_QUEUE_BYTES = 64 * _MIB
_BROKER_ITSELF_BYTES = 64 * _MIB

Links = Mapping[str, tuple[str, str]]
"""The two endpoints of each link, by the link's id."""


def write(
    folder: Path,
    links: Links,
    *,
    watch: str = "watch",
    address: str = "127.0.0.1",
    port: int = PORT,
) -> None:
    """Write `mosquitto.conf` and `acl` into `folder`, replacing older ones, and make `folder/data`.

    Args:
        folder: the broker's folder, which must exist.
        links: the two endpoints of each link.
        watch: the identity that reads every link and publishes nothing.
        address: the address that the broker listens at; 0.0.0.0 for all of this machine.
        port: the port that it listens at.

    Raises BrokerError if an identity, the address or the port is not valid in these files.
    """
    if not 1 <= port <= _PORT_MAX:
        raise BrokerError(phrase("{port}: not a port from 1 to 65535", port=port))
    if not address or any(character.isspace() for character in address):
        raise BrokerError(
            phrase("{address}: not an address to listen at, such as 127.0.0.1 or 0.0.0.0", address=repr(address))
        )
    access = access_list(links, watch)
    clients = len({watch}.union(*links.values()))
    configuration = Template((_TEMPLATES / "mosquitto.conf").read_text("utf-8")).substitute(
        address=address,
        port=port,
        clients=clients,
        memory_limit=clients * _QUEUE_BYTES * 3 // 2 + _BROKER_ITSELF_BYTES,
    )
    (folder / "data").mkdir(mode=0o700, exist_ok=True)
    # whatever the umask: Mosquitto must be able to save sessions there, and nobody else to read them
    (folder / "data").chmod(0o700)
    for name, text in (("mosquitto.conf", configuration), ("acl", access)):
        path = folder / name
        path.write_text(text, "utf-8")
        # Mosquitto 2.1 warns about an access list that other users may read, and later versions will refuse it
        path.chmod(0o600)


def access_list(links: Links, watch: str) -> str:
    """Return the access list. Raises BrokerError for an identity that it could not hold unambiguously."""
    lines: dict[str, list[str]] = defaultdict(list)
    for link, endpoints in links.items():
        for name in (link, watch, *endpoints):
            if not IDENTITY.fullmatch(name):
                raise BrokerError(
                    phrase(
                        "{identity}: not an identity, which has 1 to 32 lower-case letters, digits and hyphens",
                        identity=repr(name[:80]),
                    )
                )
        if len({watch, *endpoints}) != len(endpoints) + 1:
            raise BrokerError(phrase("{link}: give its two endpoints and the watch three different names", link=link))
        for own, peer in (endpoints, endpoints[::-1]):
            lines[own] += [f"topic write deconfliction/v1/{link}/{own}/{channel}" for channel in _CHANNELS]
            lines[own] += [f"topic read deconfliction/v1/{link}/{peer}/{channel}" for channel in _CHANNELS]
            lines[watch] += [f"topic read deconfliction/v1/{link}/{own}/{channel}" for channel in _CHANNELS]
    users = "".join(f"\nuser {user}\n" + "\n".join(topics) + "\n" for user, topics in lines.items())
    return Template((_TEMPLATES / "acl").read_text("utf-8")).substitute(users=users)
