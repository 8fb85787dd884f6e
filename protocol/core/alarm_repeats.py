"""Decides when people are notified of an alarm: at once, later, and again until an officer acknowledges it (SPEC W4.2).

All alarms of a core share one deadline. Storms are bounded: at most `ROUND_MAX` repeats in `ROUND_MS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from msgspec import Struct

from protocol.core.alarms import Alarm, Severity
from protocol.core.deadlines import MINUTE, Turn
from protocol.wire.instants import Millis

REPEAT_FIRST_MS: Millis = 10 * MINUTE
"""How long after its notification an alarm that nobody acknowledges is notified again."""
REPEAT_MS: Millis = 30 * MINUTE
"""How long after that it is notified again and again."""
ROUND_MAX = 8
"""The limit of repeats in one `ROUND_MS`: what an officer can read in it, the most severe first, then the oldest."""
ROUND_MS: Millis = 1 * MINUTE
WARNING_MS: Millis = 10 * MINUTE
"""A warning that comes and goes is notified at most once in this time (SPEC W4.4)."""
_SEVERITIES: tuple[str, ...] = get_args(Severity)


class Waiting(Struct, frozen=True):
    """An active alarm of which people will be notified."""

    # how often they were notified of it
    told: int
    # the age at which they are notified next
    due_age: Millis


class AlarmRepeatsState(Struct):
    """State of notices to come, in a checkpoint."""

    # by `code/subject`, oldest first: alarms above a warning that nobody has acknowledged, and warnings held back
    waiting: dict[str, Waiting] = {}
    # the ages of the last repeats, at most `ROUND_MAX`
    rounds: list[Millis] = []
    # by `code/subject`: the age at which people were last notified of a warning
    warned: dict[str, Millis] = {}


class AlarmRepeats:
    """The notices about active alarms that are still to come."""

    def __init__(self, state: AlarmRepeatsState) -> None:
        self._state = state
        # the lowest `due_age`, computed when it is asked for
        self._soonest: Millis | None = None
        self._known = False

    def begin(self, turn: Turn, key: str, alarm: Alarm) -> bool:
        """Take an alarm that was raised; return whether people are notified of it now. A warning may have to wait."""
        if alarm.severity != "warning":
            self._set(key, Waiting(1, turn.age + REPEAT_FIRST_MS))
            return True
        warned = self._state.warned
        for each in [each for each, age in warned.items() if age + WARNING_MS <= turn.age]:
            del warned[each]
        if key in warned and not turn.older:
            self._set(key, Waiting(0, warned[key] + WARNING_MS))
            return False
        warned[key] = turn.age
        return True

    def end(self, key: str) -> bool:
        """Forget an alarm that was cleared or acknowledged; return whether people were notified of it."""
        waiting = self._state.waiting.pop(key, None)
        self._known = False
        return waiting is None or waiting.told > 0

    def round(self, turn: Turn, alarms: Mapping[str, Alarm]) -> list[tuple[Alarm, int]]:
        """Return the alarms of which people are notified now, each with how often they were notified before."""
        state = self._state
        state.rounds = [age for age in state.rounds if age > turn.age - ROUND_MS]
        due = [key for key, waiting in state.waiting.items() if waiting.due_age <= turn.age]
        due.sort(key=lambda key: _SEVERITIES.index(alarms[key].severity))
        now = []
        for key in due[: ROUND_MAX - len(state.rounds)]:
            alarm, told = alarms[key], state.waiting[key].told
            if alarm.severity == "warning":
                del state.waiting[key]
                state.warned[key] = turn.age
            else:
                state.waiting[key] = Waiting(told + 1, turn.age + REPEAT_MS)
            now.append((alarm, told))
        state.rounds += [turn.age] * len(now)
        self._known = False
        return now

    def next_age(self) -> Millis | None:
        """Return the age of the next round, None if no alarm waits for one."""
        state = self._state
        if not self._known:
            self._soonest = min((waiting.due_age for waiting in state.waiting.values()), default=None)
            self._known = True
        if self._soonest is None or len(state.rounds) < ROUND_MAX:
            return self._soonest
        return max(self._soonest, state.rounds[0] + ROUND_MS)

    def _set(self, key: str, waiting: Waiting) -> None:
        self._state.waiting[key] = waiting
        self._known = False
