"""The steps that are possible in a state of a small world, and the states that they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from protocol.wire.instants import Millis
from scenario.exploration.small_world import BEGINS, SmallWorld
from scenario.exploration.transitions import CRASHES, NOTHING, Action, Consequence, Transitions
from scenario.simulation.invariants import Violation

RECIPIENTS = 4
"""The network holds each frame as `number * RECIPIENTS + place of the recipient`."""


class Budget(NamedTuple):
    """How often faults may still happen; the pauses, clock steps and foreign frames that are left, by their places."""

    losses: int
    duplicates: int
    cuts: int
    deadlines: int
    presence: int
    restorations: int
    pauses: tuple[int, ...]
    clock_steps: tuple[int, ...]
    foreign: tuple[int, ...]
    # by the place of the process
    crashes: tuple[int, ...]


class Situation(NamedTuple):
    """A state of a whole world.

    `processes` are numbers of `Transitions.states`; `network` are the frames on the wire, sorted; `done` are the
    numbers of requests made of each script.
    """

    now: Millis
    processes: tuple[int, ...]
    network: tuple[int, ...]
    done: tuple[int, ...]
    left: Budget


class Step(NamedTuple):
    """One step: what happens (`deliver`, `seal`, ...), at the process of this place, -1 for none; with what."""

    kind: str
    place: int
    what: Any = None


class BrokenStepError(Exception):
    """A step has broken a promise."""

    def __init__(self, step: Step, promise: str) -> None:
        super().__init__(promise)
        self.step = step
        self.promise = promise


Reached: TypeAlias = "Situation | BrokenStepError"
"""What a step leads to."""


def worded(error: Exception) -> str:
    """Return which promise an exception breaks: any but a Violation, that a core takes anything."""
    return str(error) if isinstance(error, Violation | BrokenStepError) else f"{type(error).__name__}: {error}"


NO_BUDGET = Budget(0, 0, 0, 0, 0, 0, (), (), (), ())


class Steps:
    """The steps of one world."""

    def __init__(self, world: SmallWorld, transitions: Transitions) -> None:
        self.world = world
        self.names = world.processes
        self.transitions = transitions
        self._bounds = world.bounds
        # the places of the processes that hear each one
        self._hearers = {
            name: tuple(place for place, other in enumerate(self.names) if other != name) for name in self.names
        }
        self._foreign = tuple(
            transitions.wire.number(each.sender, each.channel, each.frame, each.name) for each in world.foreign
        )

    def first(self) -> Situation:
        """Return the state in which the search begins: every process has started, and is connected."""
        bounds = self._bounds
        left = Budget(
            bounds.losses,
            bounds.duplicates,
            bounds.cuts,
            bounds.deadlines,
            bounds.presence,
            bounds.restorations,
            tuple(range(len(bounds.pauses))),
            tuple(range(len(bounds.clock_steps))),
            tuple(range(len(self.world.foreign))),
            tuple(bounds.crashes.get(name, 0) for name in self.names),
        )
        processes = tuple(self.transitions.begin(name) for name in self.names)
        situation = Situation(BEGINS, processes, (), (0,) * len(self.world.scripts), left)
        for kind in ("restart", "connect"):
            for place in range(len(self.names)):
                situation = self.sealed(self.act(situation, Step(kind, place))[1])
        while situation.network:
            situation = self.sealed(self.arrive(situation, self.next_arrival(situation))[1])
        return self._prepared(situation)

    def _prepared(self, situation: Situation) -> Situation:
        """Return the state after the requests that are made before the search."""
        for place, request in enumerate(self.world.prepared):
            step = Step("prepare", self.names.index(request.side), place)
            situation = self.sealed(self.act(situation, step)[1])
        return situation

    def act(self, situation: Situation, step: Step) -> tuple[Step, Situation]:
        """Return a step of one process that needs nothing from the network, and the state behind it."""
        return _taken(self._try(situation, step, (step.kind, step.what)))

    def arrive(self, situation: Situation, entry: int) -> tuple[Step, Situation]:
        """Return the delivery of a frame of the network, and the state behind it."""
        frame, place = divmod(entry, RECIPIENTS)
        return _taken(self._try(situation, Step("deliver", place, frame), ("deliver", frame), taken=entry))

    def next_arrival(self, situation: Situation) -> int:
        """Return the entry of the network that healing delivers next: by label and bytes, whatever its number."""
        frames = self.transitions.wire.frames

        def order(entry: int) -> tuple[str, bytes, int]:
            frame = frames[entry // RECIPIENTS]
            return frame.label, frame.frame, entry % RECIPIENTS

        return min(situation.network, key=order)

    def sealed(self, situation: Situation) -> Situation:
        """Return the state after every open batch was closed."""
        for place, number in enumerate(situation.processes):
            if self.transitions.states[number].opened:
                _, situation = self.act(situation, Step("seal", place))
        return situation

    # --- every step -------------------------------------------------------------------------------------------------

    def after(self, situation: Situation) -> Iterator[tuple[Step, Reached]]:
        """Yield every step that is possible, and the state behind it, or the promise that the step breaks."""
        now, processes, network, done, left = situation
        states = self.transitions.states
        next_due = self._soonest(situation)
        soonest = None if next_due is None else next_due[0]
        for place, number in enumerate(processes):
            state = states[number]
            if not state.up:
                yield from self._try(situation, Step("restart", place), ("restart", None))
                continue
            crashes = left.crashes[place]
            fewer = left._replace(crashes=_less(left.crashes, place)) if crashes else left
            if crashes:
                yield from self._try(situation._replace(left=fewer), Step("crash", place), ("crash", None))
            if state.opened:
                yield from self._try(situation, Step("seal", place), ("seal", None))
                if crashes:
                    yield from self._try(situation._replace(left=fewer), Step("seal " + CRASHES, place), ("seal", True))
                if len(state.opened) >= self._bounds.batch:
                    continue
            both = [(situation, "")]
            if crashes and self._bounds.batch == 1:
                both.append((situation._replace(left=fewer), " " + CRASHES))
            for within, crash in both:
                yield from self._events(within, place, crash, soonest)
            if left.restorations and not state.opened:
                less = situation._replace(left=left._replace(restorations=left.restorations - 1))
                for lacking in self._bounds.lacking:
                    yield from self._try(less, Step("restore", place, lacking), ("restore", lacking))
            if state.file + 1 < len(self.world.files) and not state.opened:
                yield from self._try(situation, Step("adopt", place), ("adopt", None))
        if left.losses:
            fewer = left._replace(losses=left.losses - 1)
            for entry in network:
                rest = tuple([other for other in network if other != entry])
                yield (
                    Step("drop", entry % RECIPIENTS, entry // RECIPIENTS),
                    Situation(now, processes, rest, done, fewer),
                )
        forged = len(self.world.foreign) - len(left.foreign)
        for index in left.foreign if forged < self._bounds.foreign else ():
            fewer = left._replace(foreign=tuple(each for each in left.foreign if each != index))
            frame = self.world.foreign[index]
            entries = [
                self._foreign[index] * RECIPIENTS + self.names.index(name)
                for name in frame.recipients
                if name in self.names
            ]
            yield (
                Step("forge", -1, self._foreign[index]),
                situation._replace(network=tuple(sorted({*network, *entries})), left=fewer),
            )
        for index in left.pauses:
            fewer = left._replace(pauses=tuple(each for each in left.pauses if each != index))
            after = self.paused(situation._replace(left=fewer), self._bounds.pauses[index])
            if after is not None:
                yield Step("pause", -1, self._bounds.pauses[index]), after

    def _events(
        self, situation: Situation, place: int, crash: str, soonest: Millis | None
    ) -> Iterator[tuple[Step, Reached]]:
        """Yield the steps in which the process at `place` takes an event."""
        left = situation.left
        state = self.transitions.states[situation.processes[place]]
        if state.connected:
            for entry in situation.network:
                if entry % RECIPIENTS != place:
                    continue
                frame = entry // RECIPIENTS
                step = Step("deliver" + crash, place, frame)
                yield from self._try(situation, step, ("deliver" + crash, frame), taken=entry)
                if left.duplicates:
                    fewer = situation._replace(left=left._replace(duplicates=left.duplicates - 1))
                    yield from self._try(fewer, Step("duplicate" + crash, place, frame), ("deliver" + crash, frame))
            if left.cuts:
                fewer = situation._replace(left=left._replace(cuts=left.cuts - 1))
                yield from self._try(fewer, Step("cut" + crash, place), ("cut" + crash, None))
        else:
            yield from self._try(situation, Step("connect" + crash, place), ("connect" + crash, None))
        for script, count in enumerate(situation.done):
            requests = self.world.scripts[script]
            if count < len(requests) and requests[count].side == state.side:
                more = situation._replace(done=_more(situation.done, script))
                step = Step("ask" + crash, place, (script, count))
                yield from self._try(more, step, ("ask" + crash, (script, count)))
        due = self.transitions.deadline(situation.processes[place])
        if due is not None and soonest is not None and due <= soonest and (left.deadlines or due <= situation.now):
            fewer = situation
            if due > situation.now:
                fewer = situation._replace(now=due, left=left._replace(deadlines=left.deadlines - 1))
            yield from self._try(fewer, Step("deadline" + crash, place), ("deadline" + crash, None))
        for index in left.clock_steps:
            less = left._replace(clock_steps=tuple(each for each in left.clock_steps if each != index))
            step_ms = self._bounds.clock_steps[index]
            yield from self._try(
                situation._replace(left=less), Step("clock" + crash, place, step_ms), ("clock" + crash, step_ms)
            )
        if self._bounds.accepts:
            yield from self._try(situation, Step("accept" + crash, place), ("accept" + crash, None))
        if left.presence and state.connected:
            fewer = situation._replace(left=left._replace(presence=left.presence - 1))
            peer = self.names[self._hearers[state.side][0]]
            for present in (False, True):
                what = (peer, present)
                yield from self._try(fewer, Step("presence" + crash, place, what), ("presence" + crash, what))

    def _try(
        self, situation: Situation, step: Step, action: Action, taken: int | None = None
    ) -> Iterator[tuple[Step, Reached]]:
        try:
            after = self._act(situation, step.place, action, taken)
        except Exception as error:  # noqa: BLE001 - every exception is a finding
            yield step, BrokenStepError(step, worded(error))
            return
        if after is not None:
            yield step, after

    def _act(self, situation: Situation, place: int, action: Action, taken: int | None = None) -> Situation | None:
        """Return the state after an action of one process, None if it is not possible."""
        now, processes, network, done, left = situation
        number = processes[place]
        peers = processes[:place] + processes[place + 1 :]
        consequence: Consequence = self.transitions.consequence(number, action, now, peers)
        if consequence is NOTHING:
            return None
        if taken is not None or consequence.published or consequence.returned:
            network = self._wire(network, place, taken, consequence)
        return Situation(now, (*processes[:place], consequence.state, *processes[place + 1 :]), network, done, left)

    def _wire(
        self, network: tuple[int, ...], place: int, taken: int | None, consequence: Consequence
    ) -> tuple[int, ...]:
        """Return the network after an action: without the frame that was taken, with those that were sent."""
        entries = list(network)
        if taken is not None:
            entries.remove(taken)
        limit = self._bounds.copies
        for frame in consequence.published:
            for hearer in self._hearers[self.names[place]]:
                entry = frame * RECIPIENTS + hearer
                if entries.count(entry) < limit:
                    entries.append(entry)
        for frame in consequence.returned:
            entry = frame * RECIPIENTS + place
            if entries.count(entry) < limit:
                entries.append(entry)
        return tuple(sorted(entries))

    # --- time -------------------------------------------------------------------------------------------------------

    def _soonest(self, situation: Situation) -> tuple[Millis, int] | None:
        """Return the next deadline of all, and the place of its process."""
        due = [
            (instant, place)
            for place, number in enumerate(situation.processes)
            if (instant := self.transitions.deadline(number)) is not None
        ]
        if not due:
            return None
        instant, place = min(due)
        return max(instant, situation.now), place

    def woken(self, situation: Situation) -> tuple[Step, Situation] | None:
        """Return the state after the next deadline of all; None if there is none."""
        soonest = self._soonest(situation)
        if soonest is None:
            return None
        instant, place = soonest
        return self.act(situation._replace(now=instant), Step("deadline", place))

    def paused(self, situation: Situation, lasts: Millis) -> Situation | None:
        """Return the state after a pause, in which only deadlines happen; None while a batch is open."""
        if any(self.transitions.states[number].opened for number in situation.processes):
            return None
        until = situation.now + lasts
        while (soonest := self._soonest(situation)) is not None and soonest[0] <= until:
            woken = self.woken(situation)
            assert woken is not None, "there is a deadline"
            situation = self.sealed(woken[1])
        return situation._replace(now=until)


def _taken(tried: Iterator[tuple[Step, Reached]]) -> tuple[Step, Situation]:
    """Return the one step that was tried. Raises BrokenStepError."""
    step, after = next(tried)
    if isinstance(after, BrokenStepError):
        raise after
    return step, after


def _less(crashes: tuple[int, ...], place: int) -> tuple[int, ...]:
    return tuple(count - (at == place) for at, count in enumerate(crashes))


def _more(done: tuple[int, ...], script: int) -> tuple[int, ...]:
    return tuple(count + (at == script) for at, count in enumerate(done))
