"""The publishes of one connection at QoS 1: those that wait to be sent, and those that wait for the broker's answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

NOT_OURS = object()
"""Stands for the missing token of a publish at QoS 0, which paho reports, too."""


class Publishes:
    """Sends publishes in order, a window of them at a time without an answer; none before `widen`."""

    def __init__(self, send: Callable[[str, bytes], int]) -> None:
        """Prepare; `send` publishes to a topic and returns the packet id."""
        self._send = send
        self._window = 0
        # by packet id: sent, and not yet answered
        self._tokens: dict[int, object] = {}
        # beyond the broker's Receive Maximum
        # bounded: the transport limits how many there are
        self._waiting: deque[tuple[str, bytes, object]] = deque()
        self._looks = 0

    def __len__(self) -> int:
        """Return how many wait: to be sent, or for an answer."""
        return len(self._tokens) + len(self._waiting)

    @property
    def unanswered(self) -> object | None:
        """The token of the first publish without an answer, None if there is none."""
        return next(iter(self._tokens.values()), None)

    def look(self) -> int:
        """Return how many looks in a row have met publishes that wait for an answer, and no new answer."""
        self._looks = self._looks + 1 if self._tokens else 0
        return self._looks

    def widen(self, window: int) -> None:
        """Let as many as `window` be without an answer."""
        self._window = window
        self._fill()

    def add(self, topic: str, payload: bytes, token: object) -> None:
        """Put a publish behind those that wait, and send what the window has room for."""
        self._waiting.append((topic, payload, token))
        self._fill()

    def answered(self, packet_id: int) -> object:
        """Note an answer of the broker, and send the next ones; return the publish's token, or NOT_OURS."""
        self._looks = 0
        token = self._tokens.pop(packet_id, NOT_OURS)
        self._fill()
        return token

    def _fill(self) -> None:
        while self._waiting and len(self._tokens) < self._window:
            topic, payload, token = self._waiting.popleft()
            self._tokens[self._send(topic, payload)] = token
