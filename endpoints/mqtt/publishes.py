"""The publishes of one connection at QoS 1: those that wait to be sent, and those that wait for the broker's answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

NOT_OURS = object()
"""Stands for the missing token of a publish at QoS 0, which paho reports, too."""


class Publishes:
    """Sends publishes in order, `window` of them at a time without an answer; no answer is waited for at first."""

    def __init__(self, send: Callable[[str, bytes], int], now_s: Callable[[], float]) -> None:
        """Prepare; `send` publishes to a topic and returns the packet id, `now_s` reads a monotonic clock."""
        self.window = 0
        self._send = send
        self._now_s = now_s
        # by packet id: sent, and not yet answered
        self._tokens: dict[int, object] = {}
        # beyond the broker's Receive Maximum; bounded: the transport limits how many there are
        self._waiting: deque[tuple[str, bytes, object]] = deque()
        self._heard_at_s = 0.0

    def __len__(self) -> int:
        """Return how many wait: to be sent, or for an answer."""
        return len(self._tokens) + len(self._waiting)

    @property
    def unanswered(self) -> object | None:
        """The token of the first publish without an answer, None if there is none."""
        return next(iter(self._tokens.values()), None)

    @property
    def silent_s(self) -> float:
        """For how long the broker has answered none of those that wait for it; 0 if none does."""
        return self._now_s() - self._heard_at_s if self._tokens else 0.0

    def add(self, topic: str, payload: bytes, token: object) -> None:
        """Put a publish behind those that wait."""
        self._waiting.append((topic, payload, token))

    def fill(self) -> bool:
        """Send what the window has room for; return whether that was anything."""
        sent = False
        while self._waiting and len(self._tokens) < self.window:
            if not self._tokens:
                self._heard_at_s = self._now_s()
            topic, payload, token = self._waiting.popleft()
            self._tokens[self._send(topic, payload)] = token
            sent = True
        return sent

    def answered(self, packet_id: int) -> object:
        """Note an answer of the broker; return the publish's token, or NOT_OURS."""
        self._heard_at_s = self._now_s()
        return self._tokens.pop(packet_id, NOT_OURS)
