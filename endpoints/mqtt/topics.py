"""The topics of the MQTT mapping, and what the presence topic says (SPEC Q2.1, Q2.2)."""

from __future__ import annotations

from typing import Literal, NamedTuple, cast

Channel = Literal["message", "receipt", "presence"]

_PREFIX = "deconfliction/v1/"
_CHANNELS = ("message", "receipt", "presence")
_LEVELS = 5

PRESENT = b"present"
"""The presence topic's payload while its endpoint is connected."""
GONE = b"gone"
"""The presence topic's payload at a clean stop, and as the will."""


class Topic(NamedTuple):
    """Where a frame is published: link, the party that speaks, the channel."""

    link: str
    sender: str
    channel: Channel

    def __str__(self) -> str:
        return f"{_PREFIX}{self.link}/{self.sender}/{self.channel}"

    @classmethod
    def parse(cls, text: str) -> Topic:
        """Return the topic that `text` writes. Raises ValueError if it is none of ours."""
        levels = text.split("/")
        if not text.startswith(_PREFIX) or len(levels) != _LEVELS or levels[-1] not in _CHANNELS:
            raise ValueError(f"not a topic of the link: {text[:120]!r}")
        return cls(levels[2], levels[3], cast("Channel", levels[4]))
