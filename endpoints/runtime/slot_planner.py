"""Plans a link's slots ahead, from its policy's schedule: the core knows no time zones (SPEC W1)."""

from __future__ import annotations

from msgspec import Struct

from endpoints.clocks import slots
from protocol.core.events import SlotsPlanned
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Utc
from protocol.wire.policy import Policy

DAY_MS: Millis = 86_400_000
PLANNED_MS = 14 * DAY_MS
"""Slots are planned this far ahead."""
PLANNED_BACK_MS = 400 * DAY_MS
"""Slots are planned no further back, even if the clock showed 1970 when the last record was written."""
PLANNED_MAX = 1_000
"""How many slots are planned ahead, and how many back: a year of two a day, in a record of some 50 kB."""
_WEEK_MS = 7 * DAY_MS


class SlotPlan(Struct, frozen=True):
    """Slots of the schedule up to `until`, in the written form of events, and the time zone database they rest on."""

    slots: tuple[Utc, ...]
    until: Utc
    tzdata: str


class SlotPlanner:
    """Plans the slots of one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        # how far ahead the last plan went: less than `PLANNED_MS` if the schedule is dense
        self._ahead_ms = PLANNED_MS

    def plan(self, since: Millis, now: Millis) -> SlotPlan:
        """Return the slots after `since` up to 14 days after `now`, with limits in both directions.

        Before `now` they are the newest `PLANNED_MAX` of the last 400 days, after `now` the next `PLANNED_MAX`.
        """
        ahead = self._between(now, now + PLANNED_MS)[: PLANNED_MAX + 1]
        until = now + PLANNED_MS if len(ahead) <= PLANNED_MAX else parsed(ahead[PLANNED_MAX - 1])
        self._ahead_ms = until - now
        earlier = self._newest(max(since, now - PLANNED_BACK_MS), now)
        # if `since` lies ahead, what is before it is planned already
        later = [instant for instant in ahead[:PLANNED_MAX] if parsed(instant) > since]
        return SlotPlan((*earlier, *later), written(max(until, since)), slots.tzdata_version())

    def due(self, slots_until: Millis, now: Millis) -> bool:
        """Return whether slots planned up to `slots_until` are too few at `now`: less than half of a plan is left."""
        return now >= self.due_at(slots_until)

    def due_at(self, slots_until: Millis) -> Millis:
        """Return the first instant at which slots planned up to `slots_until` are too few."""
        return slots_until - self._ahead_ms // 2 + 1

    def more(self, at: Millis, mono: Millis, slots_until: Millis, now: Millis) -> SlotsPlanned:
        """Return the event at `at`, `mono` that plans on from `slots_until`, up to 14 days after `now`."""
        plan = self.plan(slots_until, now)
        return SlotsPlanned(at=at, mono=mono, slots=plan.slots, slots_until=plan.until, tzdata=plan.tzdata)

    def _newest(self, since: Millis, now: Millis) -> tuple[Utc, ...]:
        """Return the newest `PLANNED_MAX` slots after `since` and up to `now`; a dense schedule ends the search."""
        found: tuple[Utc, ...] = ()
        end = now
        while end > since and len(found) < PLANNED_MAX:
            begin = max(since, end - _WEEK_MS)
            found = (*self._between(begin, end), *found)
            end = begin
        return found[-PLANNED_MAX:]

    def _between(self, after: Millis, until: Millis) -> tuple[Utc, ...]:
        return slots.plan(self._policy.slots, self._policy.zone, after, until)
