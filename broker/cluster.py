"""Writes RabbitMQ's configuration for a cluster: one file for all nodes, from the template in this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template

from broker.errors import BrokerError
from broker.names import IDENTITY
from protocol.phrases import phrase

NODES = ("r1", "r2", "r3")
"""The host names of the nodes if none are chosen."""
_TEMPLATE = Path(__file__).parent / "rabbitmq.conf"
_FOLDER = "/etc/deconflict"


def node_configuration(nodes: Sequence[str] = NODES, *, address: str, port: int) -> str:
    """Return the text of `rabbitmq.conf` for the nodes with these host names.

    Each node listens at `address` and `port`, and has the folder `/etc/deconflict` with its certificates and the
    definitions. Raises BrokerError if a name is not valid, or if their number is even.
    """
    for name in nodes:
        if not IDENTITY.fullmatch(name):
            raise BrokerError(
                phrase(
                    "{name}: not a short host name, which has 1 to 32 lower-case letters, digits and hyphens",
                    name=repr(name[:80]),
                )
            )
    if len(set(nodes)) < len(nodes) or len(nodes) % 2 == 0:
        raise BrokerError(
            phrase("{nodes}: give an odd number of different nodes, such as r1, r2, r3", nodes=", ".join(nodes))
        )
    return Template(_TEMPLATE.read_text("utf-8")).substitute(
        count=len(nodes),
        address=address,
        port=port,
        tls=f"{_FOLDER}/tls",
        definitions=f"{_FOLDER}/definitions.json",
        nodes="\n".join(
            f"cluster_formation.classic_config.nodes.{number} = rabbit@{name}" for number, name in enumerate(nodes, 1)
        ),
    )
