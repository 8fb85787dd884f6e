"""Searches a small world breadth first, so that the first broken promise has the shortest way there."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from endpoints.clocks.clock import SystemClock
from scenario.exploration.healing import Healing, digest
from scenario.exploration.normalise import Normaliser
from scenario.exploration.signing import WorldSignatures
from scenario.exploration.small_world import SmallWorld
from scenario.exploration.steps import BrokenStepError, Situation, Step, Steps, worded
from scenario.exploration.transitions import Transitions
from scenario.exploration.wire import Wire


class Reductions(Struct, frozen=True):
    """What keeps a search small. None of them may change its verdict."""

    # the outcome of each step at each state of a process is computed once
    remember: bool = True
    # states that differ only in names of instants, hashes and frames are one
    normalise: bool = True
    # states that differ only in parties that behave alike are one
    symmetric: bool = True
    # healing stops where an earlier one has passed
    join: bool = True


class Broken(Struct, frozen=True):
    """A broken promise, and the steps that lead there."""

    promise: str
    steps: tuple[Step, ...]
    # whether all of them can be taken, and the state behind them does not settle
    healed: bool = False


class Found(Struct, frozen=True, kw_only=True):
    """What a search has met.

    Attributes:
        states: distinct states, after normalisation.
        steps: steps that were tried.
        depth: the length of the longest way to a state.
        complete: whether every state within the bounds was met.
        batches: batches of events that the cores have run.
        process_states: distinct states of processes.
        seconds: how long it took.
        broken: the first broken promise, None if all were kept.
    """

    states: int
    steps: int
    depth: int
    complete: bool
    batches: int
    process_states: int
    seconds: float
    broken: Broken | None


@contextmanager
def _without_collection() -> Iterator[None]:
    """Look for no circles of objects: a search makes few, and looking for them takes most of its time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _EndedError(Exception):
    """A promise is broken."""

    def __init__(self, broken: Broken) -> None:
        super().__init__(broken.promise)
        self.broken = broken


class Search:
    """One search of one world."""

    def __init__(self, world: SmallWorld, reductions: Reductions | None = None) -> None:
        reductions = reductions or Reductions()
        wire = Wire()
        self.world = world
        self.signatures = WorldSignatures(world.parties, world.signers)
        for foreign in world.foreign:
            self.signatures.note(foreign)
        self.transitions = Transitions(world, wire, self.signatures, remember=reductions.remember)
        self.steps = Steps(world, self.transitions)
        self._normaliser = Normaliser(
            world, self.transitions, symmetric=reductions.symmetric, plain=not reductions.normalise
        )
        self.healing = Healing(self.steps, self._normaliser, self.signatures, join=reductions.join)
        # of each state: the state before it, and the step between them
        self._before = array("q")
        self._step = array("l")
        self._step_numbers: dict[Step, int] = {}

    def run(self, limit: int = 0, progress: Callable[[int, int], None] = lambda _states, _depth: None) -> Found:
        """Search until every state was met, or `limit` of them, if it is not 0; or until a promise is broken.

        `progress` is called with the number of states so far and the depth, at each depth.
        """
        with _without_collection():
            return self._run(limit, progress)

    def _run(self, limit: int, progress: Callable[[int, int], None]) -> Found:
        clock = SystemClock()
        began, tried, depth, broken = clock.real_ms(), 0, 0, None
        seen: set[bytes] = set()
        complete = True
        try:
            first = self._first()
            seen.add(digest(self._normaliser.key(first)))
            frontier = [(self._add(-1, None), first)]
            self._check(0, first)
            while frontier:
                following: list[tuple[int, Situation]] = []
                for index, situation in frontier:
                    for step, after in self._after(index, situation):
                        tried += 1
                        key = digest(self._normaliser.key(after))
                        if key in seen:
                            continue
                        seen.add(key)
                        reached = self._add(index, step)
                        self._check(reached, after)
                        following.append((reached, after))
                        if limit and len(seen) >= limit:
                            complete = False
                            break
                    if not complete:
                        break
                if not complete:
                    break
                frontier = following
                depth += bool(frontier)
                progress(len(seen), depth)
        except _EndedError as ended:
            broken, complete = ended.broken, False
        return Found(
            states=len(seen),
            steps=tried,
            depth=depth,
            complete=complete,
            batches=self.transitions.counts["batches"],
            process_states=len(self.transitions.states),
            seconds=(clock.real_ms() - began) / 1_000,
            broken=broken,
        )

    def _first(self) -> Situation:
        try:
            return self.steps.first()
        except BrokenStepError as error:
            raise _EndedError(Broken(error.promise, ())) from error

    def _after(self, index: int, situation: Situation) -> Iterator[tuple[Step, Situation]]:
        for step, after in self.steps.after(situation):
            if isinstance(after, BrokenStepError):
                raise _EndedError(Broken(after.promise, (*self._path(index), step))) from after
            yield step, after

    def _check(self, index: int, situation: Situation) -> None:
        """Check that a new state settles once it is healed."""
        try:
            self.healing.check(situation)
        except Exception as error:
            raise _EndedError(Broken(worded(error), self._path(index), healed=True)) from error

    def _add(self, before: int, step: Step | None) -> int:
        """Note how a new state was reached; return its index."""
        self._before.append(before)
        self._step.append(-1 if step is None else self._step_numbers.setdefault(step, len(self._step_numbers)))
        return len(self._before) - 1

    def _path(self, index: int) -> tuple[Step, ...]:
        """Return the steps from the beginning to a state."""
        known, path = list(self._step_numbers), []
        while self._before[index] >= 0:
            path.append(known[self._step[index]])
            index = self._before[index]
        return tuple(reversed(path))
