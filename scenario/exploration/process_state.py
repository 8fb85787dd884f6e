"""The state of one process of a small world, and what a batch of events does to it, through the product's own code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TypeAlias, cast

import msgspec
from msgspec import Struct

from endpoints.config.link_file import LinkFile
from endpoints.journal.restored import RestoredMark
from endpoints.mqtt.topics import Topic
from endpoints.runtime.endpoint_link import FrameSender
from endpoints.runtime.link_runner import SOFTWARE
from endpoints.runtime.ports import Now
from endpoints.runtime.start_record import begin
from protocol.core.effects import AnyEffect, Notify
from protocol.core.event import Event
from protocol.core.events import AnyEvent, BatchClosed, FrameReceived, Started
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.record.fold import fold
from protocol.record.journal import Record
from protocol.wire.envelope import Channel
from protocol.wire.instants import Millis, written
from scenario.exploration.signing import WorldSignatures
from scenario.exploration.small_world import BEGINS, NONCE, WATCH
from scenario.simulation.invariants import Invariants, Observations, Violation
from scenario.simulation.simulated_clock import BOOT_MS

SLOTS_PLANNED: Millis = 14 * 86_400_000
"""How far ahead slots are planned: beyond the end of every small world."""

AnyCore: TypeAlias = Link | Observer
Batch: TypeAlias = tuple[tuple[AnyEvent, tuple[AnyEffect, ...]], ...]


class Journal(Struct, frozen=True):
    """A journal's last batch, behind those before it."""

    before: Journal | None
    batch: Batch
    # the process before this batch was on disk
    was: ProcessState


class ProcessState(Struct, frozen=True, eq=False):
    """One process at one instant. What is on disk outlives a crash; the open batch and the connection do not.

    Attributes:
        side: its name.
        core: the checkpoint of the core after the last batch that is on disk.
        journal: the batches on disk.
        observed: what the promises know of the journal.
        up: whether it runs.
        connected: whether it is connected to the broker.
        opened: the events of the batch that is not on disk yet.
        held: the numbers of the frames in it, which are not acknowledged to the broker.
        file: which of the world's link files it has adopted.
        skew: how far its wall clock is ahead of true time.
        boot: the true instant at which its monotonic clock showed 0.
        restored: whether its journal was put back, and no new epoch has followed.
        said: the place and the hash of each message that it has queued; and of a lost journal, which the peer may hold.
    """

    side: str
    core: bytes
    journal: Journal | None
    observed: Observations
    up: bool = False
    connected: bool = False
    opened: tuple[Event, ...] = ()
    held: tuple[int, ...] = ()
    file: int = 0
    skew: Millis = 0
    boot: Millis = BEGINS - BOOT_MS
    restored: bool = False
    said: tuple[tuple[int, int, str], ...] = ()

    def at(self, now: Millis) -> Millis:
        """What the wall clock shows at the true instant `now`."""
        return now + self.skew

    def mono(self, now: Millis) -> Millis:
        """What the monotonic clock shows."""
        return now - self.boot


def new(side: str, link: str) -> ProcessState:
    """Return a process that has never run."""
    return ProcessState(side, bytes(_empty(side, link).checkpoint()), None, Observations())


def _empty(side: str, link: str) -> AnyCore:
    return Observer.new(link, side) if side == WATCH else Link.new(link, side)


def restored(side: str, core: bytes) -> AnyCore:
    """Return the core of a checkpoint."""
    return Observer.restore(core) if side == WATCH else Link.restore(core)


class BatchOutcome(Struct, frozen=True):
    """What a batch has led to: its records, the frames that it publishes, and the core behind it."""

    batch: Batch
    published: tuple[tuple[Channel, bytes], ...]
    core: bytes


class _Published:
    """A `FrameOutlet` that collects the frames of one batch."""

    def __init__(self) -> None:
        self.frames: list[tuple[Channel, bytes]] = []

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        """Take a frame."""
        del token
        assert topic.channel != "presence"
        self.frames.append((topic.channel, payload))
        return True

    def leave(self, link: str) -> None:
        """Do nothing: the frames of this batch have left."""


def run(state: ProcessState, events: Iterator[Event], now: Millis, signatures: WorldSignatures) -> BatchOutcome:
    """Run a batch of events on a process, and perform its effects. A core's errors pass through.

    The next event is drawn when the core has taken those before.
    """
    core = restored(state.side, state.core)
    return run_on(core, state, events, now, signatures)


def run_on(
    core: AnyCore, state: ProcessState, events: Iterator[Event], now: Millis, signatures: WorldSignatures
) -> BatchOutcome:
    """Run a batch as `run` does, on the core of `state`."""
    batch = [(cast("AnyEvent", event), _handled(core, event)) for event in events]
    at, mono, outlet = state.at(now), state.mono(now), _Published()
    sender = None
    if isinstance(core, Link):
        sender = FrameSender(core, core.link, state.side, signatures.signer(state.side), outlet)
    closed = BatchClosed(at=at, mono=mono, frames=sender.seal(at) if sender else ())
    batch.append((closed, cast("tuple[AnyEffect, ...]", core.handle(closed))))
    after = bytes(core.checkpoint())
    if bytes(restored(state.side, after).checkpoint()) != after:
        raise Violation(f"{state.side}: its checkpoint restores to another state")
    if sender is not None:
        for event, effects in batch:
            for effect in effects:
                if not isinstance(effect, Notify):
                    sender.perform(event, effect)
    return BatchOutcome(tuple(batch), tuple(outlet.frames), after)


def _handled(core: AnyCore, event: Event) -> tuple[AnyEffect, ...]:
    """Let a core take an event; a frame that it calls redundant must change neither stream."""
    if isinstance(event, FrameReceived) and core.redundant(event):
        before = msgspec.json.encode(core.state.epoch)
        effects = core.handle(event)
        if msgspec.json.encode(core.state.epoch) != before:
            raise Violation(f"{core.side}: a frame that is redundant has changed a stream")
        return cast("tuple[AnyEffect, ...]", effects)
    return cast("tuple[AnyEffect, ...]", core.handle(event))


def start_events(
    core: AnyCore, state: ProcessState, files: Sequence[LinkFile], instants: Sequence[Millis], now: Millis
) -> Iterator[Event]:
    """Yield what a start records, as the service's runner does: what is new in the link file, then `Started`."""
    file = files[state.file]
    reading = Now(state.at(now), state.mono(now), 0)
    yield from begin(core, file, None, lambda: NONCE, reading, RestoredMark())
    since = min(core.last_at or reading.at, reading.at)
    until = reading.at + SLOTS_PLANNED
    slots = tuple(written(slot) for slot in instants if since < slot <= until)
    yield Started(
        at=reading.at, mono=reading.mono, software=SOFTWARE, slots=slots, slots_until=written(until), tzdata="2026.1"
    )


def refolded(state: ProcessState, invariants: Invariants, link: str) -> AnyCore:
    """Return the core of a starting process: its journal, folded. Raises Violation if that differs from before."""
    core = fold(records(state), _empty(state.side, link), partial(invariants.replayed, state.side))
    if bytes(core.checkpoint()) != state.core:
        raise Violation(f"{state.side}: its journal folds to another state than the one that wrote it")
    return core


def records(state: ProcessState) -> list[Record]:
    """Return the records on disk, oldest first. Their chain is not computed."""
    batches, journal = [], state.journal
    while journal is not None:
        batches.append(journal.batch)
        journal = journal.before
    every, first = [], 1
    for batch in reversed(batches):
        for place, (entry, effects) in enumerate(batch):
            every.append(Record(first + place, "", state.side, first, entry, effects, "", ""))
        first += len(batch)
    return every
