"""Writes the definitions of RabbitMQ (its JSON format) for the links: users, rights, topics and queues.

A user is a certificate's name: its common name, and its DNS name, to which RabbitMQ ties the client id
(`mqtt.ssl_cert_client_id_from = subject_alternative_name`). Import does not remove users of links that are gone.

A client without rights checks whether a node serves clients.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from broker.bridges import CHANNELS
from broker.configuration import Links, check_links
from broker.names import HEALTH

_VHOST = "/"
_EXCHANGE = "amq.topic"
_NOTHING = "^$"
_MESSAGES_MAX, _QUEUE_MAX_BYTES = 50_000, 64 * 1024 * 1024
"""A queue of an absent client: as much as Mosquitto keeps."""
_PRESENCE_TTL_MS = 60_000
_PRESENCE_MAX = 16


def definitions(links: Links, watch: str) -> dict[str, Any]:
    """Return the definitions. Raises BrokerError for an identity that is not valid, or a name that occurs twice."""
    check_links(links, watch)
    writes: dict[str, list[str]] = defaultdict(list)
    reads: dict[str, list[str]] = defaultdict(list)
    for link, endpoints in links.items():
        for own, peer in (endpoints, endpoints[::-1]):
            writes[own].append(rf"{link}\.{own}")
            reads[own].append(rf"{link}\.{peer}")
            reads[watch].append(rf"{link}\.{own}")
    users = list(reads)
    return {
        "vhosts": [{"name": _VHOST}],
        # no password: only a certificate logs in
        "users": [{"name": user, "password_hash": "", "tags": []} for user in (*users, HEALTH)],
        # without any row for the virtual host, CONNECT is refused
        "permissions": [*(_permission(user) for user in users), _row(HEALTH)],
        "topic_permissions": [
            {
                "user": user,
                "vhost": _VHOST,
                "exchange": _EXCHANGE,
                "write": _topics(writes[user]),
                "read": _topics(reads[user]),
            }
            for user in (*users, HEALTH)
        ],
        "policies": [
            # drop-head: reject-publish would refuse an endpoint's publish because the watch's queue is full
            _policy("qos1", {"max-length": _MESSAGES_MAX, "max-length-bytes": _QUEUE_MAX_BYTES, "delivery-limit": -1}),
            # presence words, which queue for an absent client
            _policy("qos0", {"max-length": _PRESENCE_MAX, "message-ttl": _PRESENCE_TTL_MS}),
        ],
    }


def _permission(user: str) -> dict[str, str]:
    """Return a user's rights: its own queues, the exchange, and the default exchange for its delayed will."""
    queues = rf"mqtt-(subscription-{user}qos[01]|will-{user})"
    return _row(user, f"^{queues}$", rf"^({queues}|amq\.(topic|default))$", rf"^({queues}|amq\.topic)$")


def _row(user: str, configure: str = _NOTHING, write: str = _NOTHING, read: str = _NOTHING) -> dict[str, str]:
    return {"user": user, "vhost": _VHOST, "configure": configure, "write": write, "read": read}


def _topics(prefixes: list[str]) -> str:
    """Return the pattern of routing keys: MQTT topics with dots for slashes."""
    if not prefixes:
        return _NOTHING
    return rf"^deconfliction\.v1\.({'|'.join(prefixes)})\.({'|'.join(CHANNELS)})$"


def _policy(qos: str, definition: dict[str, Any]) -> dict[str, Any]:
    return {
        "vhost": _VHOST,
        "name": f"deconflict-{qos}",
        "pattern": f"^mqtt-subscription-.*{qos}$",
        "apply-to": "queues",
        "priority": 10,
        "definition": {**definition, "overflow": "drop-head"},
    }
