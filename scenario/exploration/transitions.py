"""What one step does to one process, computed once: a core is a pure function, so nothing else can change the outcome.

States of processes have numbers. Two with the same state, clocks and open batch have the same number, whatever their
journals' history was; the first history is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct, structs

from endpoints.config.link_file import LinkFile
from protocol.core.deadlines import Deadline
from protocol.core.effects import Queue
from protocol.core.event import Event
from protocol.core.events import (
    AlarmAcknowledged,
    ClockStepped,
    DeadlineReached,
    FrameReceived,
    PeerPresenceChanged,
    Request,
    Stopped,
    TransportConnected,
    TransportLost,
)
from protocol.core.link_keys import WORDS_ASKED
from protocol.core.snapshot import Snapshot
from protocol.errors import LocalProtocolError
from protocol.wire.instants import Millis
from protocol.wire.words import fingerprint_words
from scenario.exploration import promises
from scenario.exploration.process_state import (
    AnyCore,
    Batch,
    BatchOutcome,
    Journal,
    ProcessState,
    new,
    records,
    refolded,
    restored,
    run,
    run_on,
    start_events,
)
from scenario.exploration.signing import WorldSignatures
from scenario.exploration.small_world import NONCE, Occasion, SmallWorld
from scenario.exploration.wire import Wire
from scenario.exploration.written_batch import WrittenBatch
from scenario.simulation.agenda import Agenda
from scenario.simulation.invariants import Invariants, Observations, Violation

Action: TypeAlias = tuple[str, Any]
"""What happens to one process: its kind, and a number that the kind explains."""
CRASHES = "crash after"
"""Ends a batch on disk, before the first of its effects."""

BATCHES_SHOWN = 64
"""The last batches that are kept for a transcript: one step has a few."""


class Consequence(Struct, frozen=True):
    """What an action has led to: the process's state, the frames that it publishes, and those that it has taken."""

    state: int
    published: tuple[int, ...] = ()
    # frames that were not acknowledged to the broker, which delivers them again
    returned: tuple[int, ...] = ()
    # why a request was refused
    refused: str = ""


NOTHING = Consequence(-1)
"""The action is not possible."""


class Transitions:
    """The outcomes of actions in one world."""

    def __init__(self, world: SmallWorld, wire: Wire, signatures: WorldSignatures, *, remember: bool = True) -> None:
        self.world = world
        self.wire = wire
        self.files = (*world.files, _next_epoch(world.files[-1]))
        for file in self.files:
            wire.open_epoch(file.terms)
        for place, messages in world.versions.items():
            for message in messages:
                wire.said(*place[:2], message)
        self.states: list[ProcessState] = []
        # what a state's peers may check: see `_public`
        self.public: list[int] = []
        # the last batches that reached a disk, each with the true instant and the process
        self.latest: deque[tuple[Millis, str, Batch]] = deque(maxlen=BATCHES_SHOWN)
        self.counts = {"batches": 0, "remembered": 0}
        self._signatures = signatures
        self._remember = remember
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._publics: dict[tuple[Any, ...], int] = {}
        self._known: dict[tuple[int, Action, Millis, tuple[int, ...]], Consequence] = {}
        self._deadlines: dict[int, Deadline | None] = {}
        self._views: dict[int, Snapshot] = {}
        self._judges: dict[tuple[bytes, int], str] = {}

    # --- states -----------------------------------------------------------------------------------------------------

    def begin(self, side: str) -> int:
        """Return the number of a process that has never run."""
        return self._number(new(side, self.world.files[0].terms.link))

    def core(self, number: int) -> AnyCore:
        """Return the core of a state, after its open batch."""
        state = self.states[number]
        core = restored(state.side, state.core)
        for event in state.opened:
            core.handle(event)
        return core

    def view(self, number: int) -> Snapshot:
        """Return what a state shows, once for each."""
        if number not in self._views:
            self._views[number] = self.core(number).snapshot()
        return self._views[number]

    def deadline(self, number: int) -> Millis | None:
        """Return the true instant at which the core of a running process wants to be woken."""
        if number not in self._deadlines:
            self._deadlines[number] = self.core(number).next_deadline()
        deadline, state = self._deadlines[number], self.states[number]
        if deadline is None or not state.up:
            return None
        instants = [
            *([] if deadline.at is None else [deadline.at - state.skew]),
            *([] if deadline.mono is None else [deadline.mono + state.boot]),
        ]
        return min(instants, default=None)

    def _number(self, state: ProcessState) -> int:
        key = (
            state.side,
            state.core,
            promises.facts(state.observed),
            (state.up, state.connected, state.held, state.file, state.skew, state.boot, state.restored, state.said),
            msgspec.json.encode(state.opened) if state.opened else b"",
        )
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.states)
            self.states.append(state)
            self.public.append(self._public(state))
        return number

    def _public(self, state: ProcessState) -> int:
        """Return a number for what the promises of its peers read of a process: what it has said and applied."""
        observed = state.observed
        key = (state.side, state.said, tuple(observed.applied.items()), tuple(observed.receipted.items()))
        return self._publics.setdefault(key, len(self._publics))

    # --- actions ----------------------------------------------------------------------------------------------------

    def consequence(self, number: int, action: Action, now: Millis, peers: Sequence[int]) -> Consequence:
        """Return what an action does to a process, while its peers are in these states. Raises Violation."""
        key = (number, action, now, tuple([self.public[peer] for peer in peers]))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._act(number, action, now, peers)
        elif self._remember:
            self.counts["remembered"] += 1
        elif known != self._act(number, action, now, peers):
            raise Violation(f"{self.states[number].side}: the same {action[0]} has another outcome")
        return known

    def _act(self, number: int, action: Action, now: Millis, peers: Sequence[int]) -> Consequence:
        state = self.states[number]
        kind, what = action
        match kind:
            case "restart":
                return self._start(state, now, peers)
            case "adopt":
                return self._adopt(state, now, peers)
            case "crash":
                down = structs.replace(state, up=False, connected=False, opened=(), held=())
                return Consequence(self._number(down), returned=state.held)
            case "restore":
                return self._restore(state, what, now, peers)
            case "seal":
                return self._seal(state, now, peers, crashes=bool(what))
            case _:
                return self._take(number, action, now, peers)

    def _take(self, number: int, action: Action, now: Millis, peers: Sequence[int]) -> Consequence:
        """Let the open batch begin or go on with an event."""
        kind, what = action
        state = self.states[number]
        if kind == "clock":
            state = structs.replace(state, skew=state.skew + what)
        crashes = kind.endswith(CRASHES)
        core = self.core(number)
        event = self._event(state, core, kind.removesuffix(CRASHES).rstrip(), what, now)
        if event is None:
            return NOTHING
        before = core.checkpoint()
        try:
            core.handle(event)
        except LocalProtocolError as error:
            promises.refused(state.side, event, error, same=core.checkpoint() == before)
            return Consequence(number, refused=error.code)
        if isinstance(event, Request):
            promises.taken(state.side, event, core.reference_of(event.request))
        held = (*state.held, what) if isinstance(event, FrameReceived) else state.held
        connected = (state.connected or kind.startswith("connect")) and not kind.startswith("cut")
        opened = structs.replace(state, opened=(*state.opened, event), held=held, connected=connected)
        if self.world.bounds.batch == 1:
            return self._seal(opened, now, peers, crashes=crashes)
        return Consequence(self._number(opened))

    def _event(self, state: ProcessState, core: AnyCore, kind: str, what: Any, now: Millis) -> Event | None:
        """Return the event of an action, None if nothing can happen."""
        at, mono = state.at(now), state.mono(now)
        match kind:
            case "deliver":
                return self._arrival(core, at, mono, what)
            case "ask":
                script, place = what
                request = self.world.scripts[script][place]
                # an officer reads what the service shows, and acts a moment later
                made: Event | None = request.make(core.snapshot(), Occasion(at, mono, request.name))
                return made
            case "prepare":
                prepared = self.world.prepared[what]
                asked: Event | None = prepared.make(core.snapshot(), Occasion(at, mono, prepared.name))
                return asked
            case "accept":
                return self._acceptance(core, state, at, mono)
            case "deadline":
                return DeadlineReached(at=at, mono=mono, nonce=NONCE)
            case "connect":
                return TransportConnected(at=at, mono=mono)
            case "cut":
                return TransportLost(at=at, mono=mono, reason="the connection was closed")
            case "clock":
                return ClockStepped(at=at, mono=mono, step_ms=what)
            case _:
                party, present = what
                return PeerPresenceChanged(at=at, mono=mono, party=party, present=present)

    def _arrival(self, core: AnyCore, at: Millis, mono: Millis, frame: int) -> FrameReceived:
        known, terms = self.wire.frames[frame], core.terms
        assert terms is not None, "a process hears nothing before it has started"
        accepted = core.keys.accepted
        key = (msgspec.json.encode(accepted), frame)
        if key not in self._judges:
            judge = self._signatures.judge(accepted, terms.policy.suite)
            self._judges[key] = judge.judge(known.channel, known.sender, known.frame)
        return FrameReceived(
            at=at, mono=mono, channel=known.channel, sender=known.sender, frame=known.frame, verdict=self._judges[key]
        )

    def _acceptance(self, core: AnyCore, state: ProcessState, at: Millis, mono: Millis) -> Event | None:
        """Return an officer's acceptance of the keys of the link file, with the words that the other side reads."""
        pending = core.keys.pending
        if pending is None:
            return None
        words = fingerprint_words(self.files[state.file].digest, "en")[pending.words_from - 1 :][:WORDS_ASKED]
        first, second, third = words
        return AlarmAcknowledged(
            at=at,
            mono=mono,
            request=f"accept {pending.subject}",
            officer="duty-1",
            code="keys_changed",
            subject=pending.subject,
            words=(first, second, third),
        )

    def _seal(self, state: ProcessState, now: Millis, peers: Sequence[int], *, crashes: bool) -> Consequence:
        """Close the open batch: it is on disk. Then its effects happen, or the process crashes before the first."""
        ran = run(state, iter(state.opened), now, self._signatures)
        after = self._on_disk(state, ran, now, peers)
        if crashes:
            down = structs.replace(after, up=False, connected=False)
            return Consequence(self._number(down), returned=state.held)
        return Consequence(self._number(after), self._published(state, ran, after.observed))

    def _start(self, state: ProcessState, now: Millis, peers: Sequence[int]) -> Consequence:
        """Start a process on its journal."""
        invariants = self._invariants(state, now, peers)
        invariants.recovered(state.side, state.observed.n, ())
        core = refolded(state, invariants, self.world.files[0].terms.link)
        up = structs.replace(state, up=True)
        ran = run_on(core, up, start_events(core, up, self.files, self.world.slots, now), now, self._signatures)
        after = self._on_disk(up, ran, now, peers)
        return Consequence(self._number(after), self._published(up, ran, after.observed))

    def _adopt(self, state: ProcessState, now: Millis, peers: Sequence[int]) -> Consequence:
        """Stop a process in order; start it with the next link file."""
        stopped = Stopped(at=state.at(now), mono=state.mono(now))
        ran = run(state, iter((stopped,)), now, self._signatures)
        ended = self._on_disk(state, ran, now, peers)
        last = self._published(state, ran, ended.observed)
        again = structs.replace(ended, file=state.file + 1, up=False, connected=False, restored=False)
        started = self._start(again, now, peers)
        return Consequence(started.state, (*last, *started.published))

    def _restore(self, state: ProcessState, lacking: int, now: Millis, peers: Sequence[int]) -> Consequence:
        """Put back a copy of the journal that lacks its last batches; the process is down."""
        older = state
        for _ in range(lacking):
            if older.journal is None or older.journal.before is None:
                return NOTHING
            older = older.journal.was
        invariants = self._invariants(state, now, peers)
        down = structs.replace(older, up=False, connected=False, opened=(), held=(), skew=state.skew, file=state.file)
        invariants.restored(state.side, records(down))
        back = structs.replace(down, observed=invariants.observations[state.side], said=state.said, restored=True)
        return Consequence(self._number(back), returned=state.held)

    # --- promises ---------------------------------------------------------------------------------------------------

    def _invariants(self, state: ProcessState, now: Millis, peers: Sequence[int]) -> Invariants:
        """Return the checks for one batch of `state`."""
        invariants = Invariants(Agenda(now), self._signatures.made, keys_change=self.world.keys_change)
        invariants.explain(*self.world.explained)
        invariants.observations[state.side] = state.observed.copied()
        for place, messages in self.world.versions.items():
            for message in messages:
                invariants.equivocated(place[0], place[1], message)
        for peer in peers:
            other = self.states[peer]
            invariants.observations[other.side] = other.observed
            for epoch, _, digest in other.said:
                invariants.equivocated(other.side, epoch, self.wire.messages[digest][2])
        return invariants

    def _on_disk(self, state: ProcessState, ran: BatchOutcome, now: Millis, peers: Sequence[int]) -> ProcessState:
        """Return the process with a batch on disk, which keeps every promise."""
        self.counts["batches"] += 1
        self.latest.append((now, state.side, ran.batch))
        invariants = self._invariants(state, now, peers)
        invariants.durable(state.side, ran.batch)
        observed = invariants.observations[state.side]
        epoch = observed.epoch
        said = [
            (epoch, effect.message.seq, self.wire.said(state.side, epoch, effect.message))
            for _, effects in ran.batch
            for effect in effects
            if isinstance(effect, Queue)
        ]
        promises.written(
            WrittenBatch(
                state.side,
                ran.batch,
                [(record.entry, record.effects) for record in records(state)],
                state.observed,
                observed,
                self.files[state.file].terms,
                (*state.said, *said),
                self.world,
            )
        )
        return structs.replace(
            state,
            core=ran.core,
            journal=Journal(state.journal, ran.batch, state),
            observed=observed,
            opened=(),
            held=(),
            said=(*state.said, *said) if said else state.said,
        )

    def _published(self, state: ProcessState, ran: BatchOutcome, observed: Observations) -> tuple[int, ...]:
        """Return the numbers of the frames that leave, each of which a record on disk has."""
        invariants = Invariants(Agenda(0), self._signatures.made)
        invariants.observations[state.side] = observed
        for _, frame in ran.published:
            invariants.published(state.side, frame)
        return tuple(self.wire.number(state.side, channel, frame) for channel, frame in ran.published)


def _next_epoch(file: LinkFile) -> LinkFile:
    """Return the link file with which people end a stopped direction (SPEC E2.2)."""
    return structs.replace(file, terms=structs.replace(file.terms, epoch=file.terms.epoch + 1))
