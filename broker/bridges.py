"""Describes how the broker of one side is bridged to those of the other sides, each at a headquarters of its own.

Two files follow from it: `mosquitto.conf` of the broker that makes the connection gets a section for each bridge, and
the access lists of both brokers an entry for it. The bridge carries each topic in one direction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import NamedTuple

from broker.errors import BrokerError
from broker.names import IDENTITY
from protocol.phrases import phrase

FOLDER = "bridge"
"""In the broker's folder: for each side to whose broker a bridge leads, a folder with its certificate."""
CHANNELS = {"message": 1, "receipt": 1, "presence": 0}
"""The channels of a link, each with its QoS."""
_PREFIX = "bridge-"
_TEMPLATE = Path(__file__).parent / "bridge.conf"
_SECTION = re.compile(r"^connection bridge-to-(\S+)\naddress (\S+):(\d{1,5})$", re.MULTILINE)
_SERVES = "# Serves {side} alone; the other sides of its links come over bridges from brokers of their own."
_SERVED = re.compile(r"^" + _SERVES.format(side=r"(\S+)") + "$", re.MULTILINE)
_PORT_MAX = 65_535

_Links = Mapping[str, tuple[str, str]]


class Remote(NamedTuple):
    """Where the broker of another side listens."""

    host: str
    port: int


class Bridges(NamedTuple):
    """The bridges of one broker.

    Attributes:
        side: the side that the broker serves; the other sides of its links have brokers of their own.
        remotes: by side, the brokers that this one connects to. The brokers of other sides connect to this one.
    """

    side: str
    remotes: Mapping[str, Remote]


def identity(side: str) -> str:
    """Return the identity with which the broker of `side` connects to others. Raises BrokerError if it is too long."""
    name = _PREFIX + side
    if not IDENTITY.fullmatch(name):
        raise BrokerError(
            phrase(
                "{identity}: too long for the identity of a bridge; the broker of a side with at most {limit} "
                "characters can be bridged",
                identity=repr(name[:80]),
                limit=32 - len(_PREFIX),
            )
        )
    return name


def user(bridges: Bridges, far: str) -> str:
    """Return the identity of the bridge to the broker of `far`: that of the broker which makes the connection."""
    return identity(bridges.side if far in bridges.remotes else far)


def check(bridges: Bridges, links: _Links, watch: str) -> None:
    """Raise BrokerError if the bridges do not fit the links."""
    far = set()
    for link, endpoints in links.items():
        if bridges.side not in endpoints:
            raise BrokerError(
                phrase(
                    "link {link} is between {one} and {other}; the broker of {side} serves the links of {side} alone",
                    link=link,
                    one=endpoints[0],
                    other=endpoints[1],
                    side=bridges.side,
                )
            )
        far |= set(endpoints) - {bridges.side}
    for side in bridges.remotes:
        if side not in far:
            raise BrokerError(
                phrase(
                    "{side}: no link has it as its other side; expected one of: {sides}",
                    side=side,
                    sides=", ".join(sorted(far)),
                )
            )
    for each in {user(bridges, side) for side in far} & {watch, *far, bridges.side}:
        raise BrokerError(phrase("{identity}: the name of a bridge; choose another id", identity=each))
    for remote in bridges.remotes.values():
        if not remote.host or any(character.isspace() for character in remote.host):
            raise BrokerError(phrase("{host}: not a host name or address", host=repr(remote.host)))
        if not 1 <= remote.port <= _PORT_MAX:
            raise BrokerError(phrase("{port}: not a port from 1 to 65535", port=remote.port))


def sections(bridges: Bridges, links: _Links) -> str:
    """Return what `mosquitto.conf` has of the bridges: a section for each broker that this one connects to."""
    template = Template(_TEMPLATE.read_text("utf-8"))
    return f"\n{_SERVES.format(side=bridges.side)}\n" + "".join(
        template.substitute(
            side=side,
            host=remote.host,
            port=remote.port,
            identity=identity(bridges.side),
            topics="\n".join(_topics(bridges.side, side, links)),
        )
        for side, remote in bridges.remotes.items()
    )


def _topics(own: str, far: str, links: _Links) -> Iterator[str]:
    for link, endpoints in links.items():
        if far not in endpoints:
            continue
        for side, direction in ((own, "out"), (far, "in")):
            for channel, qos in CHANNELS.items():
                yield f"topic deconfliction/v1/{link}/{side}/{channel} {direction} {qos}"


def present(configuration: str) -> Bridges | None:
    """Return the bridges in the text of a `mosquitto.conf`, None if its broker serves all sides."""
    found = _SERVED.search(configuration)
    if found is None:
        return None
    remotes = {side: Remote(host, int(port)) for side, host, port in _SECTION.findall(configuration)}
    return Bridges(found[1], remotes)
