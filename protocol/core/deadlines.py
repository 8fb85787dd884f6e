"""Time as the core knows it: what came in with events, and one book of running deadlines.

Instants (slots, expiry) are compared with `at`. Durations run on the link's *age*: milliseconds for which it has
existed, advanced by the monotonic clock while a process lives and by the wall clock across its absence. So a stepped
wall clock neither fires nor loses a deadline, and a restart does not forget one (SPEC W5.1).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from msgspec import Struct

from protocol.core.effects import Effect
from protocol.core.events import BEFORE_STARTED, Event, Started
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Utc

SECOND: Millis = 1_000
HEAP_SLACK = 256
"""Entries of deadlines that no longer run, beside as many as do, before the heap is made anew."""


class Deadline(Struct, frozen=True):
    """When the core wants to be woken: at a wall-clock instant or a monotonic reading, whichever comes first."""

    at: Millis | None
    mono: Millis | None


class Turn(Struct):
    """One event's handling: its time, and the effects gathered so far."""

    at: Millis
    age: Millis
    effects: list[Effect]

    def emit(self, effect: Effect) -> None:
        """Add an effect to what this event does."""
        self.effects.append(effect)

    @property
    def utc(self) -> Utc:
        """The event's instant in its written form."""
        return written(self.at)


class Armed(Struct, frozen=True):
    """A running deadline."""

    due_age: Millis
    # the instant at which it falls due by the wall clock of when it was armed: what an alarm will carry
    raised_at: Utc
    # it fell due unseen, and was given time to settle
    settling: bool = False


class DeadlinesState(Struct):
    """What a checkpoint keeps of a timeline."""

    at: Millis = 0
    mono: Millis = 0
    age: Millis = 0
    armed: dict[str, Armed] = {}


class Deadlines:
    """The link's age and its running deadlines, each under a key such as `acknowledge/eucom/1/42`."""

    def __init__(self, state: DeadlinesState) -> None:
        self.state = state
        self._heap = _heap_of(state)

    def turn(self, event: Event) -> Turn:
        """Return the turn of `event`. Changes nothing: a refused request must leave no trace."""
        return Turn(event.at, self._age(event), [])

    def commit(self, event: Event, turn: Turn) -> None:
        """Take `event`'s time as passed."""
        self.state.age = turn.age
        if not isinstance(event, BEFORE_STARTED):
            self.state.at = event.at
            self.state.mono = event.mono

    def _age(self, event: Event) -> Millis:
        if isinstance(event, BEFORE_STARTED) or not self.state.at:
            return self.state.age
        passed = event.at - self.state.at if isinstance(event, Started) else event.mono - self.state.mono
        return self.state.age + max(0, passed)

    def arm(self, turn: Turn, key: str, after_ms: Millis) -> None:
        """Let `key` fall due `after_ms` from now; an earlier deadline of that key is replaced."""
        self._set(key, Armed(turn.age + after_ms, written(turn.at + after_ms)))

    def _set(self, key: str, armed: Armed) -> None:
        self.state.armed[key] = armed
        heapq.heappush(self._heap, (armed.due_age, key))
        # what was disarmed is still in the heap until its time comes: hours, at thousands a second
        if len(self._heap) > 2 * len(self.state.armed) + HEAP_SLACK:
            self._heap = _heap_of(self.state)

    def disarm(self, key: str) -> None:
        """Forget the deadline of `key`, if it runs."""
        self.state.armed.pop(key, None)

    def runs(self, key: str) -> bool:
        """Whether a deadline of `key` runs."""
        return key in self.state.armed

    def fallen_due(self, age: Millis) -> Iterator[tuple[str, Utc]]:
        """Take out every deadline that is due at `age`, oldest first: its key and the instant an alarm must carry."""
        while self._heap and self._heap[0][0] <= age:
            due_age, key = heapq.heappop(self._heap)
            armed = self.state.armed.get(key)
            if armed is not None and armed.due_age == due_age:
                del self.state.armed[key]
                yield key, armed.raised_at

    def postpone(self, turn: Turn, settle_ms: Millis) -> list[str]:
        """Give what fell due unseen until `settle_ms` from now, but only once: absences must not add up to silence.

        Return the keys whose instant has already passed.
        """
        missed = []
        for key, armed in list(self.state.armed.items()):
            if armed.due_age <= turn.age:
                missed.append(key)
            if armed.due_age < turn.age + settle_ms and not armed.settling:
                self._set(key, Armed(turn.age + settle_ms, armed.raised_at, settling=True))
        return sorted(missed)

    def next_due_age(self) -> Millis | None:
        """Return the age at which the next deadline is due."""
        while self._heap:
            due_age, key = self._heap[0]
            armed = self.state.armed.get(key)
            if armed is not None and armed.due_age == due_age:
                return due_age
            heapq.heappop(self._heap)
        return None

    def mono_of(self, age: Millis) -> Millis:
        """Return the monotonic reading at which the link will have reached `age`."""
        return self.state.mono + age - self.state.age


def _heap_of(state: DeadlinesState) -> list[tuple[Millis, str]]:
    heap = [(armed.due_age, key) for key, armed in state.armed.items()]
    heapq.heapify(heap)
    return heap
