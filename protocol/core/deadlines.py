"""The link's age and its running deadlines, computed from the times of events (SPEC W5.1).

Instants (slots, expiry) are compared with `at`. Durations run on the link's *age*: the milliseconds since its first
start, advanced by the monotonic clock while the process runs and by the wall clock across an absence. So a step of the
wall clock neither triggers nor loses a deadline, and a restart keeps them all.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from msgspec import Struct

from protocol.core.effects import Effect
from protocol.core.event import Event
from protocol.core.events import Started
from protocol.core.start_events import BEFORE_STARTED
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Utc

SECOND: Millis = 1_000
MINUTE: Millis = 60 * SECOND
DAY: Millis = 86_400 * SECOND
RULES_THAT_REPEAT = 4
"""The first rules that notify of slots, of what ends, and of open alarms again."""
HEAP_SLACK = 256
"""How many more heap entries than twice the running deadlines are tolerated before the heap is rebuilt."""


class Deadline(Struct, frozen=True):
    """When the core wants a `DeadlineReached`: at a wall-clock instant or a monotonic reading, whichever is first."""

    at: Millis | None
    mono: Millis | None


class Turn(Struct):
    """The handling of one event: its time, and the effects collected so far."""

    at: Millis
    age: Millis
    effects: list[Effect]
    # the rules that recorded the event
    rules: int

    @property
    def older(self) -> bool:
        """Whether rules 1 to 3 recorded the event.

        They notified nobody of slots and of the end of alarms, and of nothing twice, and raised `peer_disconnected` at
        once.
        """
        return self.rules < RULES_THAT_REPEAT

    def emit(self, effect: Effect) -> None:
        """Add an effect of this event."""
        self.effects.append(effect)

    @property
    def utc(self) -> Utc:
        """The event's instant in its written form."""
        return written(self.at)


class Armed(Struct, frozen=True):
    """A running deadline."""

    due_age: Millis
    # the instant at which it falls due, by the wall clock at the time of arming: an alarm carries it
    raised_at: Utc
    # it fell due in an absence and was postponed once
    settling: bool = False


class DeadlinesState(Struct):
    """State of the deadlines in a checkpoint."""

    at: Millis = 0
    mono: Millis = 0
    age: Millis = 0
    armed: dict[str, Armed] = {}


class Deadlines:
    """The link's age and its running deadlines, each under a key such as `acknowledgement/eucom/1/42`."""

    def __init__(self, state: DeadlinesState) -> None:
        self.state = state
        self._heap = _heap_of(state)

    def turn(self, event: Event, rules: int) -> Turn:
        """Return the turn of `event`, and change nothing, since the event may still be refused."""
        return Turn(event.at, self._age(event), [], rules)

    def commit(self, event: Event, turn: Turn) -> None:
        """Advance the age and the clock readings to those of `event`."""
        self.state.age = turn.age
        if type(event) not in BEFORE_STARTED:
            self.state.at = event.at
            self.state.mono = event.mono

    def _age(self, event: Event) -> Millis:
        if type(event) in BEFORE_STARTED or not self.state.at:
            return self.state.age
        passed = event.at - self.state.at if isinstance(event, Started) else event.mono - self.state.mono
        return self.state.age + max(0, passed)

    def arm(self, turn: Turn, key: str, after_ms: Millis) -> None:
        """Start the deadline of `key`, due in `after_ms` milliseconds; replace one that runs."""
        self._set(key, Armed(turn.age + after_ms, written(turn.at + after_ms)))

    def _set(self, key: str, armed: Armed) -> None:
        self.state.armed[key] = armed
        heapq.heappush(self._heap, (armed.due_age, key))
        # disarmed deadlines stay in the heap until they fall due, which may take hours at thousands a second
        if len(self._heap) > 2 * len(self.state.armed) + HEAP_SLACK:
            self._heap = _heap_of(self.state)

    def disarm(self, key: str) -> None:
        """Stop the deadline of `key`, if it runs."""
        self.state.armed.pop(key, None)

    def runs(self, key: str) -> bool:
        """Return whether a deadline of `key` runs."""
        return key in self.state.armed

    def fallen_due(self, age: Millis) -> Iterator[tuple[str, Utc]]:
        """Remove and yield the deadlines due at `age`, oldest first: the key, and the instant for the alarm."""
        while self._heap and self._heap[0][0] <= age:
            due_age, key = heapq.heappop(self._heap)
            armed = self.state.armed.get(key)
            if armed is not None and armed.due_age == due_age:
                del self.state.armed[key]
                yield key, armed.raised_at

    def postpone(self, turn: Turn, settle_ms: Millis) -> list[str]:
        """Postpone what fell due in an absence, or soon will, to `settle_ms` from now; return the overdue keys.

        Each is postponed once only, so that repeated absences cannot suppress an alarm.
        """
        missed = []
        for key, armed in list(self.state.armed.items()):
            if armed.due_age <= turn.age:
                missed.append(key)
            if armed.due_age < turn.age + settle_ms and not armed.settling:
                self._set(key, Armed(turn.age + settle_ms, armed.raised_at, settling=True))
        return sorted(missed)

    def next_due_age(self) -> Millis | None:
        """Return the age at which the next deadline is due, None if none runs."""
        while self._heap:
            due_age, key = self._heap[0]
            armed = self.state.armed.get(key)
            if armed is not None and armed.due_age == due_age:
                return due_age
            heapq.heappop(self._heap)
        return None

    def mono_of(self, age: Millis) -> Millis:
        """Return the monotonic reading at which the link reaches `age`."""
        return self.state.mono + age - self.state.age


def _heap_of(state: DeadlinesState) -> list[tuple[Millis, str]]:
    heap = [(armed.due_age, key) for key, armed in state.armed.items()]
    heapq.heapify(heap)
    return heap
