"""Plans a link's slots ahead, from its policy's schedule: the core knows no time zones (SPEC W1)."""

from __future__ import annotations

from msgspec import Struct

from endpoints.clocks import slots
from protocol.core.events import SlotsPlanned
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Utc
from protocol.wire.policy import Policy

DAY_MS: Millis = 86_400_000
PLANNED_MS = 14 * DAY_MS
"""Slots are planned this far ahead."""
PLAN_AGAIN_MS = 7 * DAY_MS
"""More slots are planned when less than this is left."""
PLANNED_BACK_MS = 400 * DAY_MS
"""Slots are planned no further back, even if the clock showed 1970 when the last record was written."""


class SlotPlan(Struct, frozen=True):
    """Slots of the schedule up to `until`, in the written form of events, and the time zone database they rest on."""

    slots: tuple[Utc, ...]
    until: Utc
    tzdata: str


class SlotPlanner:
    """Plans the slots of one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def plan(self, since: Millis, now: Millis) -> SlotPlan:
        """Return the slots after `since`, at most 400 days before `now`, up to 14 days after it."""
        until = now + PLANNED_MS
        planned = slots.plan(self._policy.slots, self._policy.zone, max(since, now - PLANNED_BACK_MS), until)
        return SlotPlan(planned, written(until), slots.tzdata_version())

    def due(self, slots_until: Millis, now: Millis) -> bool:
        """Return whether slots planned up to `slots_until` are too few at `now`."""
        return slots_until - now < PLAN_AGAIN_MS

    def more(self, at: Millis, mono: Millis, slots_until: Millis, now: Millis) -> SlotsPlanned:
        """Return the event at `at`, `mono` that plans on from `slots_until`, up to 14 days after `now`."""
        plan = self.plan(slots_until, now)
        return SlotsPlanned(at=at, mono=mono, slots=plan.slots, slots_until=plan.until, tzdata=plan.tzdata)
