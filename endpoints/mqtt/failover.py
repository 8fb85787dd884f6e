"""Decides which address of the broker is tried next, and after which pause (SPEC Q1.4): no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from endpoints.config.broker_settings import Address
from protocol.phrases import phrase

PLACES_MAX = 16
"""IP addresses of one host name that are tried in a round: the name server may invent any number."""


class Destination(Struct, frozen=True):
    """One IP address of one node."""

    address: Address
    ip: str

    def __str__(self) -> str:
        """Return the node's address, with the IP address if that is another."""
        return str(self.address) if self.ip == self.address.host else f"{self.address} ({self.ip})"


class Failover:
    """Goes through the addresses in rounds. `address`, `choose` and `ended` are called in turn for each attempt.

    A round tries every IP address of every node once, without a pause; the pause after a round grows with every round.
    A connection that lasted begins a new round, of which its own place is the first: the next attempt is at another
    place at once, or, if there is none, at the same place after a pause. A connection that was brief is an attempt like
    any other, so that a broker that accepts and closes does not keep us busy. A connection stays where it is while it
    lasts: no place is preferred.
    """

    def __init__(self, addresses: Sequence[Address], pause_s: Callable[[int], float], stable_s: float) -> None:
        """Begin with the first address.

        Args:
            addresses: of each node.
            pause_s: returns the pause after a number of earlier rounds that failed in a row.
            stable_s: a connection that was open as long as this has lasted.
        """
        self._addresses = tuple(addresses)
        self._pause_s = pause_s
        self._stable_s = stable_s
        self._index = 0
        # addresses of this round that are still to be tried, with the present one
        self._left = len(self._addresses)
        self._rounds = 0
        # of the present address, in this round
        self._tried: set[str] = set()
        self._more = False
        # of the present attempt
        self._ip, self._has_others = "", False

    @property
    def address(self) -> Address:
        """The address of the present attempt."""
        return self._addresses[self._index]

    @property
    def more(self) -> bool:
        """Whether the present address has another IP address that this round has not tried."""
        return self._more

    def choose(self, ips: Sequence[str]) -> Destination:
        """Return where the present attempt connects to: the first of `ips` that this round has not tried."""
        untried = [ip for ip in ips if ip not in self._tried]
        ip = untried[0] if untried else ips[0]
        self._tried.add(ip)
        self._ip, self._has_others = ip, len(ips) > 1
        self._more = len(untried) > 1 and len(self._tried) < PLACES_MAX
        return Destination(self.address, ip)

    def ended(self, lived_s: float | None, *, displaced: bool = False) -> float:
        """Note that the attempt failed, or that its connection ended. Return the pause before the next one in seconds.

        Args:
            lived_s: how long the connection was open, from SUBACK; None if it never was.
            displaced: another client has our identity now. To come back at once would start a race with it.
        """
        more, self._more = self._more, False
        if lived_s is not None and lived_s >= self._stable_s:
            self._rounds = 0
            self._left = len(self._addresses)
            self._tried, more = {self._ip}, self._has_others
        if not displaced:
            if more:
                return 0.0
            self._index = (self._index + 1) % len(self._addresses)
            self._tried.clear()
            if self._left > 1:
                self._left -= 1
                return 0.0
        self._tried.clear()
        self._left = len(self._addresses)
        self._rounds += 1
        return self._pause_s(self._rounds - 1)

    def told(self, reason: str) -> str:
        """Return `reason` with the address of the present attempt, if there are several."""
        if len(self._addresses) == 1:
            return reason
        return phrase("{address}: {why}", address=self.address, why=reason)
