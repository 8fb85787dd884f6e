"""MQTT topics of a link, the subscriptions to them, and the payloads of the presence topic (SPEC Q2.1, Q2.2)."""

from __future__ import annotations

from typing import Literal, NamedTuple, cast

TopicChannel = Literal["message", "receipt", "presence"]

_PREFIX = "deconfliction/v1/"
_QOS: dict[TopicChannel, int] = {"message": 1, "receipt": 1, "presence": 0}
_LEVELS = 5

PRESENT = b"present"
"""The presence topic's payload while its endpoint is connected."""
GONE = b"gone"
"""The presence topic's payload at a clean stop, and in the will."""


class Topic(NamedTuple):
    """Where a frame is published: the link, the party that sends, the channel."""

    link: str
    sender: str
    channel: TopicChannel

    def __str__(self) -> str:
        return f"{_PREFIX}{self.link}/{self.sender}/{self.channel}"

    @classmethod
    def parse(cls, text: str) -> Topic:
        """Return the topic that `text` names. Raises ValueError if it is not a topic of this protocol."""
        levels = text.split("/")
        if not text.startswith(_PREFIX) or len(levels) != _LEVELS or levels[-1] not in _QOS:
            raise ValueError(f"not a topic of the link: {text[:120]!r}")
        return cls(levels[2], levels[3], cast("TopicChannel", levels[4]))


def subscriptions(link: str, sender: str) -> list[tuple[str, int]]:
    """Return every topic that `sender` writes to on `link`, each with the QoS to subscribe with."""
    return [(str(Topic(link, sender, channel)), qos) for channel, qos in _QOS.items()]
