"""Simulates the broker and the routes to it, honest or hostile.

An honest broker keeps a session for each client: frames published while the client is away wait, in order, and are
delivered again after every connect until they are acknowledged. A hostile one loses, repeats, withholds, reorders and
forgets. A route drops and delays in either direction.
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
"""Frames that a session keeps; above it the broker drops silently, as Mosquitto does."""
REMEMBERED = 64
"""Frames that a replaying broker can publish again."""
PRESENCE_EVERY_MS: Millis = 30_000
_NOTICED_MS: tuple[Millis, Millis] = (1_000, 15_000)
"""When a client notices a cut route, by the missing answer to a keepalive."""
_RETRY_MS: tuple[Millis, Millis] = (200, 30_000)
"""The time between two attempts to connect."""

Channel = Literal["message", "receipt"]
RouteFault = Literal["lose_up", "lose_down", "double", "delay_max_ms", "shuffle"]


class QueuedFrame(Struct):
    """A frame for one client, under the sender's topic."""

    mid: int
    sender: str
    channel: Channel
    frame: bytes
    # empty for the only link
    link: str = ""


class BrokerSession(Protocol):
    """A client's end of its session."""

    def connected(self) -> None:
        """Take the broker's acceptance of the session."""

    def lost(self, reason: str) -> None:
        """Take the loss of the connection, or the failure of the first attempt."""

    def arrived(self, delivery: QueuedFrame) -> None:
        """Take a frame; acknowledge it when its record is on disk."""

    def presence(self, party: str, *, present: bool, link: str = "") -> None:
        """Take a message on the presence topic of `party`, on one link or on each."""

    def refused(self, token: object, code: int, reason: str) -> None:
        """Take the broker's refusal of the publish with `token`."""


class Route(Struct):
    """The present faults of the route between one client and the broker."""

    # how many faults cut it
    cut: int = 0
    # probabilities
    lose_up: float = 0.0
    lose_down: float = 0.0
    double: float = 0.0
    delay_max_ms: Millis = 0
    shuffle: bool = False

    def set(self, fault: RouteFault, value: float) -> None:
        """Set one fault."""
        setattr(self, fault, value)

    def reset(self, fault: RouteFault) -> None:
        """End one fault."""
        setattr(self, fault, type(getattr(self, fault))())


class _Session:
    def __init__(self, name: str, reads: tuple[str, ...], client: BrokerSession) -> None:
        self.name = name
        self.reads = reads
        self.client = client
        self.route = Route()
        # the client's process runs and wants a connection
        self.wanted = False
        self.connected = False
        self.generation = 0
        self.failed_before = False
        self.waiting: dict[int, QueuedFrame] = {}
        self.last_arrival: Millis = 0


class Broker:
    """One broker, with a session and a connection for each client."""

    def __init__(self, agenda: Agenda, chance: random.Random) -> None:
        self._agenda = agenda
        self._chance = chance
        self._sessions: dict[str, _Session] = {}
        self._readers: dict[str, list[_Session]] = {}
        self._mid = 0
        self.running = True
        # probability that a publish is acknowledged and dropped
        self._forget = 0.0
        # clients whose deliveries are withheld
        self.withhold: set[str] = set()
        # clients whose publishes are refused
        self.refuse: set[str] = set()
        # links of which nothing is carried
        self.cut_links: set[str] = set()
        self.remembered: deque[tuple[str, Channel, bytes]] = deque(maxlen=REMEMBERED)
        self.counts: Counter[str] = Counter()

    def admit(self, name: str, reads: tuple[str, ...], client: BrokerSession) -> None:
        """Admit the client `name`, which subscribes to the topics of the parties `reads`."""
        session = self._sessions[name] = _Session(name, reads, client)
        for sender in reads:
            self._readers.setdefault(sender, []).append(session)

    def degrade(self, name: str, fault: RouteFault, value: float) -> None:
        """Set one fault of the route to a client."""
        self._sessions[name].route.set(fault, value)

    def restore(self, name: str, fault: RouteFault) -> None:
        """End one fault of the route to a client."""
        self._sessions[name].route.reset(fault)

    def shuffle(self, name: str, delay_ms: Millis) -> None:
        """Let frames on the route to a client overtake each other. The maximum delay is `delay_ms` or more."""
        route = self._sessions[name].route
        route.delay_max_ms = max(route.delay_max_ms, delay_ms)
        route.shuffle = True

    def forget_publishes(self, probability: float) -> None:
        """Acknowledge publishes and drop them, with this probability."""
        self._forget = probability

    # --- connections ------------------------------------------------------------------------------------------------

    def want(self, name: str) -> None:
        """Connect a client whose process came up."""
        session = self._sessions[name]
        session.wanted, session.failed_before = True, False
        self._agenda.after(self._chance.randint(5, 200), partial(self._attempt, session))

    def leave(self, name: str) -> None:
        """Disconnect a client whose process has ended; the broker publishes its will."""
        session = self._sessions[name]
        session.wanted = False
        self._disconnect(session)

    def stop(self) -> None:
        """Stop the broker; its clients notice at once."""
        self.running = False
        for session in self._sessions.values():
            if session.connected:
                session.connected = False
                session.generation += 1
                session.client.lost("the broker closed the connection")

    def start(self) -> None:
        """Start the broker again."""
        self.running = True
        for session in self._sessions.values():
            self._retry(session)

    def wipe(self) -> None:
        """Drop the queued frames of every session."""
        for session in self._sessions.values():
            session.waiting.clear()

    def cut(self, name: str) -> None:
        """Cut the route in both directions, until it is mended."""
        session = self._sessions[name]
        session.route.cut += 1
        self._agenda.after(self._chance.randint(*_NOTICED_MS), partial(self._notice, session, session.generation))

    def mend(self, name: str) -> None:
        """End one cut of the route."""
        session = self._sessions[name]
        session.route.cut -= 1
        if not session.route.cut:
            self._retry(session)

    def cut_link(self, link: str) -> None:
        """Carry nothing of one link any more, and accept everything; the presence of its parties runs out."""
        self.cut_links.add(link)
        self._tell_link(link, present=False)

    def mend_link(self, link: str) -> None:
        """Carry that link again."""
        self.cut_links.discard(link)
        self._tell_link(link, present=True)

    def _tell_link(self, link: str, *, present: bool) -> None:
        for session in self._sessions.values():
            for party in session.reads:
                if session.connected and (self._sessions[party].connected or not present):
                    session.client.presence(party, present=present, link=link)

    def kick(self, name: str) -> None:
        """Let another client connect with this client's certificate, and disconnect again."""
        session = self._sessions[name]
        if session.connected:
            self._disconnect(session)
            session.client.lost("session taken over")
            self._retry(session)

    def _notice(self, session: _Session, generation: int) -> None:
        if session.route.cut and session.connected and session.generation == generation:
            self._disconnect(session)
            session.client.lost("no answer to a keepalive")

    def _retry(self, session: _Session) -> None:
        if session.wanted and not session.connected:
            self._agenda.after(self._chance.randint(*_RETRY_MS), partial(self._attempt, session))

    def _attempt(self, session: _Session) -> None:
        if session.connected or not session.wanted:
            return
        if not self.running or session.route.cut:
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
            if session.connected and not session.route.cut:
                self._agenda.after(
                    self._chance.randint(1, 500), partial(self._presence_arrives, session, party, present)
                )

    def _presence_arrives(self, session: _Session, party: str, present: bool) -> None:
        if session.connected and not session.route.cut:
            session.client.presence(party, present=present)

    def _hear_presence(self, session: _Session, generation: int) -> None:
        """Deliver the presence of connected parties. They repeat it every half minute, without effect."""
        if session.generation != generation:
            return
        for party in session.reads:
            if self._sessions[party].connected:
                session.client.presence(party, present=True)

    # --- frames -----------------------------------------------------------------------------------------------------

    def publish(self, name: str, channel: Channel, frame: bytes, token: object, *, link: str = "") -> None:
        """Publish a frame of a client under the client's own name."""
        session = self._sessions[name]
        self.counts["published"] += 1
        if not session.connected:
            return
        if link in self.cut_links or session.route.cut or self._happens(session.route.lose_up):
            self.counts["lost"] += 1
            return
        if name in self.refuse:
            session.client.refused(token, 135, "Not authorized")
            return
        self.remembered.append((name, channel, frame))
        if self._happens(self._forget):
            self.counts["forgotten"] += 1
            return
        self.distribute(name, channel, frame, delay=self._delay(session.route), link=link)

    def distribute(self, sender: str, channel: Channel, frame: bytes, *, delay: Millis = 0, link: str = "") -> None:
        """Deliver a frame to all subscribers of the topic of `sender`, who need not have sent it."""
        for session in self._readers[sender]:
            self.hand(session.name, sender, channel, frame, delay=delay, link=link)

    def hand(
        self, name: str, sender: str, channel: Channel, frame: bytes, *, delay: Millis = 0, link: str = ""
    ) -> None:
        """Deliver a frame to one client alone."""
        session = self._sessions[name]
        for _ in range(2 if self._happens(session.route.double) else 1):
            if len(session.waiting) >= QUEUE_MAX:
                self.counts["dropped"] += 1
                return
            self._mid += 1
            delivery = session.waiting[self._mid] = QueuedFrame(self._mid, sender, channel, frame, link)
            if session.connected:
                self._deliver(session, delivery, delay)

    def release(self, name: str) -> None:
        """Deliver what was withheld from a client."""
        self.withhold.discard(name)
        session = self._sessions[name]
        if session.connected:
            for delivery in session.waiting.values():
                self._deliver(session, delivery)

    def acknowledge(self, name: str, mid: int) -> None:
        """Take a client's acknowledgement of a delivery."""
        session = self._sessions[name]
        if session.connected and not session.route.cut:
            session.waiting.pop(mid, None)

    def _deliver(self, session: _Session, delivery: QueuedFrame, delay: Millis = 0) -> None:
        if session.name in self.withhold:
            return
        if session.route.lose_down and self._happens(session.route.lose_down):
            self.counts["lost"] += 1
            return
        arrival = self._agenda.now + delay + self._delay(session.route)
        if not session.route.shuffle:
            arrival = session.last_arrival = max(arrival, session.last_arrival)
        self._agenda.at(arrival, partial(self._arrive, session, session.generation, delivery))

    def _arrive(self, session: _Session, generation: int, delivery: QueuedFrame) -> None:
        if session.generation == generation and not session.route.cut:
            self.counts["delivered"] += 1
            session.client.arrived(delivery)

    def _delay(self, route: Route) -> Millis:
        return 1 + int(self._chance.random() * (route.delay_max_ms or 20))

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._chance.random() < probability
