"""The exchange of the floor and of the raw clients: a message there, and the same message back. Nothing is kept."""

from __future__ import annotations

from load.driver import ClockNs, Driver, Load, Told
from load.yardsticks.client import RECEIVER, SENDER, Connect, Place, YardstickClient

_NUMBER_BYTES = 8


class EchoSender:
    """Sends numbered messages and waits for each to come back."""

    def __init__(self, clock_ns: ClockNs) -> None:
        self.driver: Driver | None = None
        self._clock_ns = clock_ns
        self._client: YardstickClient | None = None
        self._padding = b""

    async def open(self, connect: Connect, place: Place) -> None:
        """Connect."""
        self._client = await connect(place, RECEIVER, self._returned)

    def prepare(self, load: Load, size_bytes: int, told: Told, *, flush: bool) -> Driver:
        """Return the driver of a slice; it may run at once."""
        del flush
        self._padding = bytes(size_bytes - _NUMBER_BYTES)
        self.driver = Driver(load, self._begin, self._clock_ns, told)
        return self.driver

    def _begin(self, number: int) -> None:
        assert self._client is not None, "opened before"
        self._client.publish(number.to_bytes(_NUMBER_BYTES, "big") + self._padding)

    def _returned(self, payloads: list[bytes]) -> None:
        if self.driver is None:
            return
        now_ns = self._clock_ns()
        for payload in payloads:
            number = int.from_bytes(payload[:_NUMBER_BYTES], "big")
            if number < self.driver.begun:
                self.driver.finished(number, now_ns)


class EchoReceiver:
    """Sends every message back."""

    def __init__(self) -> None:
        self._client: YardstickClient | None = None

    async def open(self, connect: Connect, place: Place) -> None:
        """Connect."""
        self._client = await connect(place, SENDER, self._heard)

    def _heard(self, payloads: list[bytes]) -> None:
        assert self._client is not None, "the other side connects later"
        for payload in payloads:
            self._client.publish(payload)
