"""The simulated broker and the ways to it: MQTT's promises, and everything that a hostile one can do instead.

An honest broker keeps a session for each client: what was published while a client was away waits, in order, and is
delivered again after every connect until it is acknowledged. A hostile one loses, repeats, holds back, mixes up and
forgets; a way to it drops and delays in either direction.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from functools import partial
from typing import Literal, Protocol

from msgspec import Struct

from protocol.wire.instants import Millis
from scenario.simulation.agenda import Agenda

QUEUE_MAX = 1_000
"""What a session keeps; beyond it the broker drops silently, as Mosquitto does."""
REMEMBERED = 64
"""Frames that a replaying broker can bring up again."""
PRESENCE_EVERY_MS: Millis = 30_000
_NOTICED_MS: tuple[Millis, Millis] = (1_000, 15_000)
"""A cut way is noticed by the missing answer to a keepalive."""
_RETRY_MS: tuple[Millis, Millis] = (200, 30_000)
"""Between two attempts to connect."""

Channel = Literal["message", "receipt"]


class QueuedFrame(Struct):
    """A frame on its way to one client, under the sender's topic."""

    mid: int
    sender: str
    channel: Channel
    frame: bytes


class BrokerSession(Protocol):
    """What listens at the end of a way."""

    def connected(self) -> None:
        """The broker has accepted the session."""

    def lost(self, reason: str) -> None:
        """The connection is gone, or the first attempt failed."""

    def arrived(self, delivery: QueuedFrame) -> None:
        """A frame is here; acknowledge it when its record is on disk."""

    def presence(self, party: str, *, present: bool) -> None:
        """The presence topic of `party` said so."""

    def refused(self, channel: Channel, code: int, reason: str) -> None:
        """The broker refused a publish."""


class Route:
    """The way between one client and the broker, and what is wrong with it at the moment."""

    def __init__(self) -> None:
        self.cut = 0
        # probabilities
        self.lose_up = 0.0
        self.lose_down = 0.0
        self.double = 0.0
        self.delay_max_ms: Millis = 0
        self.shuffle = False


class _Session:
    def __init__(self, name: str, reads: tuple[str, ...], client: BrokerSession) -> None:
        self.name = name
        self.reads = reads
        self.client = client
        self.way = Route()
        # the client's process runs and wants a connection
        self.wanted = False
        self.connected = False
        self.generation = 0
        self.failed_before = False
        self.waiting: dict[int, QueuedFrame] = {}
        self.last_arrival: Millis = 0


class Broker:
    """One broker, one session for each client, and the clients' connections to it."""

    def __init__(self, agenda: Agenda, chance: random.Random) -> None:
        self._agenda = agenda
        self._chance = chance
        self._sessions: dict[str, _Session] = {}
        self._readers: dict[str, list[_Session]] = {}
        self._mid = 0
        self.running = True
        # probability that a publish is acknowledged and forgotten
        self.forget = 0.0
        # clients whose deliveries are held back
        self.withhold: set[str] = set()
        # clients whose publishes are refused
        self.refuse: set[str] = set()
        self.remembered: deque[tuple[str, Channel, bytes]] = deque(maxlen=REMEMBERED)
        self.counts: Counter[str] = Counter()

    def admit(self, name: str, reads: tuple[str, ...], client: BrokerSession) -> None:
        """Let `name` be a client that reads the topics of the parties `reads`."""
        session = self._sessions[name] = _Session(name, reads, client)
        for sender in reads:
            self._readers.setdefault(sender, []).append(session)

    def way(self, name: str) -> Route:
        """Return the way to a client."""
        return self._sessions[name].way

    # --- connections ------------------------------------------------------------------------------------------------

    def want(self, name: str) -> None:
        """The client's process came up."""
        session = self._sessions[name]
        session.wanted, session.failed_before = True, False
        self._agenda.after(self._chance.randint(5, 200), partial(self._attempt, session))

    def leave(self, name: str) -> None:
        """The client's process is gone; the broker publishes its will."""
        session = self._sessions[name]
        session.wanted = False
        self._disconnect(session)

    def stop(self) -> None:
        """The broker goes down; its clients notice at once."""
        self.running = False
        for session in self._sessions.values():
            if session.connected:
                session.connected = False
                session.generation += 1
                session.client.lost("the broker closed the connection")

    def start(self) -> None:
        """The broker comes up again."""
        self.running = True
        for session in self._sessions.values():
            self._retry(session)

    def wipe(self) -> None:
        """Every session is forgotten."""
        for session in self._sessions.values():
            session.waiting.clear()

    def cut(self, name: str) -> None:
        """Nothing gets through in either direction, until it is mended."""
        session = self._sessions[name]
        session.way.cut += 1
        self._agenda.after(self._chance.randint(*_NOTICED_MS), partial(self._notice, session, session.generation))

    def mend(self, name: str) -> None:
        """One reason less why nothing gets through."""
        session = self._sessions[name]
        session.way.cut -= 1
        if not session.way.cut:
            self._retry(session)

    def kick(self, name: str) -> None:
        """Somebody else connected with this client's certificate, and left again."""
        session = self._sessions[name]
        if session.connected:
            self._disconnect(session)
            session.client.lost("session taken over")
            self._retry(session)

    def _notice(self, session: _Session, generation: int) -> None:
        if session.way.cut and session.connected and session.generation == generation:
            self._disconnect(session)
            session.client.lost("no answer to a keepalive")

    def _retry(self, session: _Session) -> None:
        if session.wanted and not session.connected:
            self._agenda.after(self._chance.randint(*_RETRY_MS), partial(self._attempt, session))

    def _attempt(self, session: _Session) -> None:
        if session.connected or not session.wanted:
            return
        if not self.running or session.way.cut:
            if not session.failed_before:
                session.failed_before = True
                session.client.lost("connection refused")
            return
        session.connected, session.failed_before = True, True
        session.generation += 1
        session.client.connected()
        for delivery in session.waiting.values():
            self._deliver(session, delivery)
        self._tell_presence(session.name, present=True)
        self._agenda.after(PRESENCE_EVERY_MS, partial(self._hear_presence, session, session.generation))

    def _disconnect(self, session: _Session) -> None:
        if session.connected:
            session.connected = False
            session.generation += 1
            self._tell_presence(session.name, present=False)

    # --- presence: a hint, never evidence ---------------------------------------------------------------------------

    def _tell_presence(self, party: str, *, present: bool) -> None:
        for session in self._readers.get(party, ()):
            if session.connected and not session.way.cut:
                self._agenda.after(
                    self._chance.randint(1, 500), partial(self._presence_arrives, session, party, present)
                )

    def _presence_arrives(self, session: _Session, party: str, present: bool) -> None:
        if session.connected and not session.way.cut:
            session.client.presence(party, present=present)

    def _hear_presence(self, session: _Session, generation: int) -> None:
        """Whoever is there says so every half minute; only the first time after a connect is news."""
        if session.generation != generation:
            return
        for party in session.reads:
            if self._sessions[party].connected:
                session.client.presence(party, present=True)

    # --- frames -----------------------------------------------------------------------------------------------------

    def publish(self, name: str, channel: Channel, frame: bytes) -> None:
        """A client publishes under its own name."""
        session = self._sessions[name]
        self.counts["published"] += 1
        if not session.connected:
            return
        if session.way.cut or self._happens(session.way.lose_up):
            self.counts["lost"] += 1
            return
        if name in self.refuse:
            session.client.refused(channel, 135, "Not authorized")
            return
        self.remembered.append((name, channel, frame))
        if self._happens(self.forget):
            self.counts["forgotten"] += 1
            return
        self.distribute(name, channel, frame, delay=self._delay(session.way))

    def distribute(self, sender: str, channel: Channel, frame: bytes, *, delay: Millis = 0) -> None:
        """Bring a frame to everyone who reads the topic of `sender`, whoever it comes from."""
        for session in self._readers[sender]:
            self.hand(session.name, sender, channel, frame, delay=delay)

    def hand(self, name: str, sender: str, channel: Channel, frame: bytes, *, delay: Millis = 0) -> None:
        """Bring a frame to one client alone."""
        session = self._sessions[name]
        for _ in range(2 if self._happens(session.way.double) else 1):
            if len(session.waiting) >= QUEUE_MAX:
                self.counts["dropped"] += 1
                return
            self._mid += 1
            delivery = session.waiting[self._mid] = QueuedFrame(self._mid, sender, channel, frame)
            if session.connected:
                self._deliver(session, delivery, delay)

    def release(self, name: str) -> None:
        """Deliver what was held back."""
        self.withhold.discard(name)
        session = self._sessions[name]
        if session.connected:
            for delivery in session.waiting.values():
                self._deliver(session, delivery)

    def acknowledge(self, name: str, mid: int) -> None:
        """The client has the delivery on disk."""
        session = self._sessions[name]
        if session.connected and not session.way.cut:
            session.waiting.pop(mid, None)

    def _deliver(self, session: _Session, delivery: QueuedFrame, delay: Millis = 0) -> None:
        if session.name in self.withhold:
            return
        if session.way.lose_down and self._happens(session.way.lose_down):
            self.counts["lost"] += 1
            return
        arrival = self._agenda.now + delay + self._delay(session.way)
        if not session.way.shuffle:
            arrival = session.last_arrival = max(arrival, session.last_arrival)
        self._agenda.at(arrival, partial(self._arrive, session, session.generation, delivery))

    def _arrive(self, session: _Session, generation: int, delivery: QueuedFrame) -> None:
        if session.generation == generation and not session.way.cut:
            self.counts["delivered"] += 1
            session.client.arrived(delivery)

    def _delay(self, way: Route) -> Millis:
        return 1 + int(self._chance.random() * (way.delay_max_ms or 20))

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._chance.random() < probability
