"""Writes Mosquitto's configuration and access list, from the templates in this folder.

The files are `DIR/broker/mosquitto.conf` and `DIR/broker/acl`, beside `DIR/broker/data/`; `broker.pki` fills
`DIR/broker/tls/`. The templates give the reason for every setting.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import NamedTuple

from broker import atomic_files
from broker import bridges as bridging
from broker.bridges import CHANNELS, Bridges
from broker.errors import BrokerError
from broker.names import IDENTITY
from protocol.phrases import phrase

PORT = 8883
"""The registered port of MQTT over TLS."""

_PORT_MAX = 65_535
_TEMPLATES = Path(__file__).parent
_LISTENER = re.compile(r"^listener (\d{1,5}) (\S+)$", re.MULTILINE)
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
    bridges: Bridges | None = None,
) -> None:
    """Write `mosquitto.conf` and `acl` into `folder`, replacing those with another content, and make `folder/data`.

    Args:
        folder: the broker's folder, which must exist.
        links: the two endpoints of each link.
        watch: the identity that reads every link and publishes nothing.
        address: the address that the broker listens at; 0.0.0.0 for all of this machine.
        port: the port that it listens at.
        bridges: how it is bridged to the brokers of the other sides; None if it serves all sides.

    Raises BrokerError if an identity, the address or the port is not valid in these files, or if the bridges do not
    fit the links.
    """
    made = files(links, watch=watch, address=address, port=port, bridges=bridges)
    # a broker that runs is started again for a new mosquitto.conf, and keeps its connections for a new access list
    made = {name: text for name, text in made.items() if not _written(folder / name, text)}
    (folder / "data").mkdir(mode=0o700, exist_ok=True)
    # whatever the umask: Mosquitto must be able to save sessions there, and nobody else to read them
    (folder / "data").chmod(0o700)
    # Mosquitto 2.1 warns about an access list that other users may read, and later versions will refuse it; it comes
    # last, since a broker that watches it reads both
    atomic_files.replace_all({folder / name: text.encode() for name, text in made.items()}, atomic_files.PRIVATE_MODE)


def files(links: Links, *, watch: str, address: str, port: int, bridges: Bridges | None = None) -> dict[str, str]:
    """Return the text of `mosquitto.conf` and of `acl`, by name. The arguments and errors are those of `write`."""
    if not 1 <= port <= _PORT_MAX:
        raise BrokerError(phrase("{port}: not a port from 1 to 65535", port=port))
    if not address or any(character.isspace() for character in address):
        raise BrokerError(
            phrase("{address}: not an address to listen at, such as 127.0.0.1 or 0.0.0.0", address=repr(address))
        )
    # each side is a client, or a bridge to its broker is
    clients = len({watch}.union(*links.values()))
    configuration = Template((_TEMPLATES / "mosquitto.conf").read_text("utf-8")).substitute(
        address=address,
        port=port,
        clients=clients,
        memory_limit=clients * _QUEUE_BYTES * 3 // 2 + _BROKER_ITSELF_BYTES,
    )
    # checks the bridges, too
    rights = access_list(links, watch, bridges)
    return {
        "mosquitto.conf": configuration + (bridging.sections(bridges, links) if bridges else ""),
        "acl": rights,
    }


class Listener(NamedTuple):
    """Where a broker listens."""

    address: str
    port: int


def present_listener(folder: Path) -> Listener | None:
    """Return where the present `mosquitto.conf` in `folder` listens, None if there is none. Raises OSError."""
    found = _LISTENER.search(_present(folder))
    return Listener(found[2], int(found[1])) if found else None


def present_bridges(folder: Path) -> Bridges | None:
    """Return the bridges of the present `mosquitto.conf` in `folder`, None without any. Raises OSError."""
    return bridging.present(_present(folder))


def _present(folder: Path) -> str:
    try:
        return (folder / "mosquitto.conf").read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _written(path: Path, text: str) -> bool:
    """Return whether `path` is private already and has this text."""
    return path.exists() and not path.stat().st_mode & 0o177 and path.read_bytes() == text.encode()


def check_links(links: Links, watch: str) -> None:
    """Raise BrokerError for an identity that these files could not hold unambiguously."""
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


def access_list(links: Links, watch: str, bridges: Bridges | None = None) -> str:
    """Return the access list. A bridge takes the place of the sides that it leads to.

    Raises BrokerError for an identity that the list could not hold unambiguously, and for bridges that do not fit.
    """
    check_links(links, watch)
    if bridges is not None:
        bridging.check(bridges, links, watch)
    lines: dict[str, list[str]] = defaultdict(list)
    for link, endpoints in links.items():
        for own, peer in (endpoints, endpoints[::-1]):
            user = own if bridges is None or own == bridges.side else bridging.user(bridges, own)
            lines[user] += [f"topic write deconfliction/v1/{link}/{own}/{channel}" for channel in CHANNELS]
            lines[user] += [f"topic read deconfliction/v1/{link}/{peer}/{channel}" for channel in CHANNELS]
            lines[watch] += [f"topic read deconfliction/v1/{link}/{own}/{channel}" for channel in CHANNELS]
    users = "".join(f"\nuser {user}\n" + "\n".join(topics) + "\n" for user, topics in lines.items())
    return Template((_TEMPLATES / "acl").read_text("utf-8")).substitute(users=users)
