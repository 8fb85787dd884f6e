"""Mosquitto's configuration and access list, rendered from the templates beside this file.

`DIR/broker/mosquitto.conf`, `DIR/broker/acl`, `DIR/broker/data/`; `DIR/broker/tls/` is filled by `broker.pki`. The
templates give the reason for every setting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from string import Template

from broker.errors import BrokerError
from broker.pki import IDENTITY

PORT = 8883
"""The registered port of MQTT over TLS."""

_PORT_MAX = 65_535
_TEMPLATES = Path(__file__).parent
_CHANNELS = ("message", "receipt", "presence")
_MIB = 1024 * 1024
_QUEUE_BYTES = 64 * _MIB
_BROKER_ITSELF_BYTES = 64 * _MIB

Links = Mapping[str, tuple[str, str]]
"""Each link's two endpoints, by the link's id."""


def write(
    folder: Path,
    links: Links,
    *,
    watch: str = "watch",
    address: str = "127.0.0.1",
    port: int = PORT,
    files: Path | None = None,
) -> None:
    """Write `mosquitto.conf` and `acl` into `folder`, over older ones, and make `folder/data`.

    Args:
        folder: the broker's folder; it must be there.
        links: each link's two endpoints.
        watch: the identity that reads every link and writes nothing.
        address: where the broker listens: an address of this machine, or 0.0.0.0 for all of them.
        port: the port there.
        files: where the broker will find this folder, if not here (where a container mounts it).

    Raises BrokerError if an identity, the address, the port or a path is none that can stand in these files.
    """
    files = files or folder.resolve()
    if any(character in str(files) for character in "\r\n"):
        raise BrokerError(f"{str(files)!r}: a line break in a folder's name cannot stand in Mosquitto's configuration")
    if not 1 <= port <= _PORT_MAX:
        raise BrokerError(f"{port}: a port is a number from 1 to 65535")
    if not address or any(character.isspace() for character in address):
        raise BrokerError(f"{address!r}: not an address to listen at, such as 127.0.0.1 or 0.0.0.0")
    access = access_list(links, watch)
    clients = len({watch}.union(*links.values()))
    configuration = Template((_TEMPLATES / "mosquitto.conf").read_text("utf-8")).substitute(
        files=files,
        address=address,
        port=port,
        clients=clients,
        memory_limit=clients * _QUEUE_BYTES * 3 // 2 + _BROKER_ITSELF_BYTES,
    )
    (folder / "data").mkdir(mode=0o700, exist_ok=True)
    for name, text in (("mosquitto.conf", configuration), ("acl", access)):
        path = folder / name
        path.write_text(text, "utf-8")
        # Mosquitto 2.1 warns about, and will refuse, an access list that others may read
        path.chmod(0o600)


def access_list(links: Links, watch: str) -> str:
    """Return the access list's text. Raises BrokerError for an identity that could be read as something else."""
    lines: dict[str, list[str]] = defaultdict(list)
    for link, endpoints in links.items():
        for name in (link, watch, *endpoints):
            if not IDENTITY.fullmatch(name):
                raise BrokerError(f"{name[:80]!r}: an identity is 1 to 32 lower-case letters, digits and hyphens")
        if len({watch, *endpoints}) != len(endpoints) + 1:
            raise BrokerError(f"{link}: its two endpoints and the watch must have three different names")
        for own, peer in (endpoints, endpoints[::-1]):
            lines[own] += [f"topic write deconfliction/v1/{link}/{own}/{channel}" for channel in _CHANNELS]
            lines[own] += [f"topic read deconfliction/v1/{link}/{peer}/{channel}" for channel in _CHANNELS]
            lines[watch] += [f"topic read deconfliction/v1/{link}/{own}/{channel}" for channel in _CHANNELS]
    users = "".join(f"\nuser {user}\n" + "\n".join(topics) + "\n" for user, topics in lines.items())
    return Template((_TEMPLATES / "acl").read_text("utf-8")).substitute(users=users)
