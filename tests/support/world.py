"""Harness for tests of several ends of a link: their processes, the network between them, and their time.

A `Process` is one end: a bare core (`End`, here), or a core that the product's own link runner runs over a real journal
(`exchange.Service`). A `Network` carries what they send. `Line` is the network of two bare cores and the watch.

An `End` does what a service does, as far as its core can tell: it stamps events with its clocks, closes a batch after
each, signs with nothing, and puts frames on the wire. Each of its events also runs through a copy of the core that was
restored from a checkpoint, and must have the same effects and lead to the same state there. A request that is refused
must have changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from protocol.core.effects import Effect, Resend, Seal
from protocol.core.epoch import Epoch
from protocol.core.event import Event
from protocol.core.events import BatchClosed, DeadlineReached, FrameReceived, SlotsPlanned, Started, TransportConnected
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.core.start_events import EpochOpened
from protocol.core.stream import InboxState, Outbox, OutboxState
from protocol.errors import LocalProtocolError
from protocol.wire import envelope
from protocol.wire.envelope import PAYLOAD_TYPES, Channel
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.policy import Terms
from protocol.wire.refusals import VERIFIED
from tests.support.effect_words import told
from tests.vectors.terms import EPOCH_1

SECOND: Millis = 1_000
MINUTE: Millis = 60 * SECOND
HOUR: Millis = 60 * MINUTE
DAY: Millis = 24 * HOUR
START = parsed("2022-11-29T07:50:00.000Z")
"""When a world begins: ten minutes before a slot."""
PLANNED: Millis = 14 * DAY
NONCE = "00112233aabbccdd"
STEPS_MAX = 1_000
"""Deadlines at one instant, beyond which a core is taken to be spinning."""

TERMS = EPOCH_1
"""The terms of every link here, unless a test has its own: those of the vectors."""


def terms(epoch: int = 1, **changes: object) -> Terms:
    """Return terms of `epoch` whose policy differs from the usual one in `changes`."""
    return msgspec.structs.replace(TERMS, epoch=epoch, policy=msgspec.structs.replace(TERMS.policy, **changes))


Happening = tuple[type[Event], dict[str, object]]
"""An event to be: it gets the time of when it happens."""


class Frame(NamedTuple):
    """A frame on the wire."""

    sender: str
    channel: Channel
    frame: bytes


def arrival(frame: Frame, verdict: str = VERIFIED) -> Happening:
    """Return the arrival of a frame."""
    return FrameReceived, {**frame._asdict(), "verdict": verdict}


def slots_between(after: Millis, until: Millis) -> tuple[str, ...]:
    """Return the slots after `after`, up to `until`: 08:00 and 16:00 UTC, every day."""
    days = range(after // DAY, until // DAY + 1)
    instants = (day * DAY + hour * HOUR for day in days for hour in (8, 16))
    return tuple(written(instant) for instant in instants if after < instant <= until)


def no_slots(_after: Millis, _until: Millis) -> tuple[str, ...]:
    """Return the slots of a link that is never tested by schedule."""
    return ()


class World:
    """The time of all ends: `at` is the true time, in ms."""

    def __init__(self, at: Millis = START) -> None:
        self.at = at
        self.ends: list[Process] = []

    def wait(self, duration: Millis, then: Callable[[], object] = lambda: None) -> None:
        """Let time pass, waking each end at its deadlines; call `then` after each wake-up and at the end."""
        until = self.at + duration
        steps = 0
        while (soonest := min(((end.due(), place) for place, end in enumerate(self.ends)))) and soonest[0] <= until:
            steps = 0 if soonest[0] > self.at else steps + 1
            assert steps < STEPS_MAX, f"{self.ends[soonest[1]].name} spins at {written(self.at)}"
            self.at = max(self.at, int(soonest[0]))
            self.ends[soonest[1]].wake()
            then()
        # frames take time, too
        self.at = max(self.at, until)
        then()


class Process:
    """One end's process: its clocks, its core, and what it has put on the wire."""

    core: Link | Observer

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.world.ends.append(self)
        self.outgoing: list[Frame] = []
        self.running = True
        # how far the wall clock is off, and the true time at which the monotonic clock was zero
        self.skew: Millis = 0
        self.boot: Millis = world.at - HOUR

    @property
    def at(self) -> Millis:
        """What the wall clock shows."""
        return self.world.at + self.skew

    @property
    def mono(self) -> Millis:
        """What the monotonic clock shows."""
        return self.world.at - self.boot

    def due(self) -> float:
        """Return the true time at which the core wants to be woken."""
        deadline = self.core.next_deadline() if self.running else None
        if deadline is None:
            return float("inf")
        by_wall = float("inf") if deadline.at is None else deadline.at - self.skew
        by_mono = float("inf") if deadline.mono is None else deadline.mono + self.boot
        return min(by_wall, by_mono)

    def wake(self) -> None:
        """Do what is due now."""
        raise NotImplementedError

    def receive(self, frame: Frame) -> None:
        """Take a frame from the wire."""
        raise NotImplementedError

    def turn(self) -> None:
        """End the batch, if events are taken in batches."""


ProcessT = TypeVar("ProcessT", bound=Process)


class Network(Generic[ProcessT]):
    """The ends of one link, and what is on the wire between them. Every end hears all others."""

    def __init__(self, world: World, ends: Iterable[ProcessT], latency: Millis = 0) -> None:
        self.world = world
        self.ends = {end.name: end for end in ends}
        self.latency = latency
        """How long each frame is on the wire."""

    def end(self, name: str = "") -> ProcessT:
        """Return the end of this name."""
        return self.ends[name]

    @property
    def eucom(self) -> ProcessT:
        """The calling side."""
        return self.ends["eucom"]

    @property
    def ndmc(self) -> ProcessT:
        """The answering side."""
        return self.ends["ndmc"]

    def peer_of(self, name: str) -> ProcessT:
        """Return the other party's end."""
        return next(end for end in self.ends.values() if end.name not in {name, "watch"})

    def arrive(self, frame: Frame) -> None:
        """Let a frame arrive at every other end."""
        self.world.at += self.latency
        for end in self.ends.values():
            if end.name != frame.sender:
                end.receive(frame)

    def settle(self, lost_from: Collection[str] = ()) -> None:
        """Let everything that is on the wire arrive, until nothing is; what the ends in `lost_from` send gets lost."""
        while any(end.outgoing for end in self.ends.values()):
            for end in self.ends.values():
                while end.outgoing:
                    frame = end.outgoing.pop(0)
                    if end.name not in lost_from:
                        self.arrive(frame)
            for end in self.ends.values():
                end.turn()


class End(Process):
    """A bare core with its service, as far as the core can tell.

    Args:
        core: a new or a running core.
        world: whose time it lives in.
        log: where its transcript's lines go.
        quiet: whether there is no slot at all; else the slots are those of `schedule`.
        shadowed: whether every event also runs through a restored copy; off only where a state is huge.
    """

    def __init__(
        self,
        core: Link | Observer,
        world: World | None = None,
        log: Callable[[str], None] | None = None,
        *,
        quiet: bool = False,
        shadowed: bool = True,
    ) -> None:
        super().__init__(core.state.side, world or World())
        self.core = core
        self.transcript: list[str] = []
        self._log = log or self.transcript.append
        self.schedule: Callable[[Millis, Millis], tuple[str, ...]] = no_slots if quiet else slots_between
        self._shadowed = shadowed

    @classmethod
    def started(cls, side: str = "eucom", opened: Terms = TERMS, *, quiet: bool = False, shadowed: bool = True) -> End:
        """Return one party's end that has started; nobody hears what it sends."""
        end = cls(Link.new(opened.link, side), quiet=quiet, shadowed=shadowed)
        end.start(opened=opened)
        end.outgoing.clear()
        return end

    def end(self, name: str = "") -> End:
        """Return this end: the only one of its stage."""
        assert name in {"", self.name}
        return self

    @property
    def state_bytes(self) -> bytes:
        """The whole state, with the order of its tables."""
        return msgspec.json.encode(self.core.state)

    @property
    def alarms(self) -> list[str]:
        """The active alarms, as `code/subject`."""
        return [f"{alarm.code}/{alarm.subject}" for alarm in self.core.snapshot().alarms if alarm.active]

    @property
    def link(self) -> Link:
        """The core, being a link."""
        assert isinstance(self.core, Link)
        return self.core

    @property
    def epoch(self) -> Epoch:
        """The open epoch."""
        assert self.core._epoch is not None
        return self.core._epoch

    @property
    def outbox(self) -> OutboxState:
        """The state of the outbox, at an end that has one."""
        assert self.link.state.epoch is not None
        return self.link.state.epoch.outbox

    @property
    def inbox(self) -> InboxState:
        """The state of the inbox, at an end that has one."""
        assert self.link.state.epoch is not None
        return self.link.state.epoch.inbox

    def wake(self) -> None:
        """Tell the core that its deadline is reached."""
        self.happens((DeadlineReached, {"nonce": NONCE}))

    def happens(self, *events: Happening) -> list[Effect]:
        """Hand in events of now, as one batch."""
        return self.take(*(kind(at=self.at, mono=self.mono, **fields) for kind, fields in events))

    def take(self, *events: Event) -> list[Effect]:
        """Hand in events as one batch; sign, and perform what concerns the wire."""
        effects = [effect for event in events for effect in self._handle(event)]
        frames: tuple[bytes, ...] = ()
        if isinstance(self.core, Link):
            asked = self.core.unsealed(self.at)
            frames = tuple(
                envelope.seal(PAYLOAD_TYPES[each.channel], each.payload, [("test", bytes(64))]) for each in asked
            )
        effects += self._handle(BatchClosed(at=self.at, mono=self.mono, frames=frames), closing=True)
        for effect in effects:
            if isinstance(effect, Seal):
                self.outgoing.append(Frame(self.name, effect.channel, frames[effect.index]))
            elif isinstance(effect, Resend) and (again := self.link.frame(effect.first)) is not None:
                self.outgoing.append(Frame(self.name, "message", again))
        return effects

    def receive(self, frame: Frame, verdict: str = VERIFIED) -> None:
        """Take a frame from the wire, if the process lives."""
        if self.running:
            self.happens(arrival(frame, verdict))

    def _handle(self, event: Event, *, closing: bool = False) -> tuple[Effect, ...]:
        before = self.state_bytes if self._shadowed else b""
        effects: tuple[Effect, ...] = ()
        redundant = isinstance(event, FrameReceived) and event.verdict == VERIFIED and self.core.redundant(event)
        streams = msgspec.json.encode(self.core.state.epoch) if redundant else b""
        try:
            effects = self.core.handle(event)
            assert not redundant or msgspec.json.encode(self.core.state.epoch) == streams, f"{redundant}: not at all"
        except LocalProtocolError as error:
            refused = error.code
        else:
            refused = ""
        if refused:
            assert not closing, refused
            assert not self._shadowed or self.state_bytes == before, f"{refused} has changed the state"
            self._log(f"refused: {refused}")
            return ()
        if self._shadowed:
            self._shadow(before, event, effects)
        for line in told(effects):
            self._log(line)
        return effects

    def _shadow(self, before: bytes, event: Event, effects: tuple[Effect, ...]) -> None:
        copy = type(self.core).restore(before)
        again = copy.handle(event)
        assert again == effects, f"after a restore, {type(event).__name__} has other effects"
        assert msgspec.json.encode(copy.state) == self.state_bytes, f"after a restore, {type(event).__name__} differs"
        assert copy.next_deadline() == self.core.next_deadline()
        if self.core.terms is not None:
            msgspec.json.encode(self.core.snapshot())

    def fill_outbox(self, count: int) -> None:
        """Let `count` messages wait that mean nothing: an outbox fills faster than officers can write."""
        for _ in range(count):
            Outbox(self.outbox).queue(written(self.at), {"type": "refusal"})

    # --- a process's life -----------------------------------------------------------------------------------------

    def start(self, *, opened: Terms | None = None, tzdata: str = "2026.1", connected: bool = True) -> None:
        """Let the service come up: with `opened`, on new terms."""
        since = min(self.core.last_at or self.at, self.at)
        events: list[Happening] = [(Started, {"software": "test", **self.planned(since, tzdata)})]
        if opened is not None:
            events.insert(0, (EpochOpened, {"terms": opened}))
        self.running = True
        self.happens(*events)
        if connected:
            self.happens((TransportConnected, {}))

    def planned(self, since: Millis, tzdata: str = "2026.1") -> dict[str, object]:
        """Return what `Started` and `SlotsPlanned` say of the slots since an instant."""
        until = self.at + PLANNED
        return {"slots": self.schedule(since, until), "slots_until": written(until), "tzdata": tzdata}

    def plan(self) -> None:
        """Plan more slots, as a service does when less than a week of them is left."""
        self.happens((SlotsPlanned, self.planned(self.core.slots_until)))

    def crash(self) -> None:
        """Let the process die; its journal is kept, and so is what the broker has."""
        self.core = type(self.core).restore(self.state_bytes)
        self.running = False


class Line(Network[End]):
    """Two bare cores, started and connected; and the watch, if asked for."""

    def __init__(
        self, opened: Terms = TERMS, *, watch: bool = False, quiet: bool = False, shadowed: bool = True
    ) -> None:
        world = World()
        self.transcript: list[str] = []
        cores: list[Link | Observer] = [Link.new(opened.link, side) for side in (opened.caller, opened.answering)]
        if watch:
            cores.append(Observer.new(opened.link))
        super().__init__(
            world, [End(core, world, self._log_of(core), quiet=quiet, shadowed=shadowed) for core in cores]
        )
        for end in self.ends.values():
            end.start(opened=opened)
        self.settle()
        self.transcript.clear()

    def _log_of(self, core: Link | Observer) -> Callable[[str], None]:
        name = core.state.side
        return lambda line: self.transcript.append(f"{name}: {line}")

    def restore(self, name: str, state: bytes) -> None:
        """Put an end back to an earlier state: a journal that was lost, or restored from a copy."""
        end = self.ends[name]
        end.core = type(end.core).restore(state)
        end.outgoing.clear()
