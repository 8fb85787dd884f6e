"""Makes the events of a running link that time alone causes, and says when the next of them is due."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from endpoints.failpoints import failpoint
from endpoints.journal.space_watch import SpaceWatch
from endpoints.journal.writer import JournalWriter
from endpoints.runtime.due_links import NextTick
from endpoints.runtime.ports import NonceSource, Now, RunnableCore
from endpoints.runtime.rate_limits import PresenceCap
from endpoints.runtime.refusals import Refusals
from endpoints.runtime.slot_planner import SlotPlanner
from protocol.core.alarms import AlarmCode
from protocol.core.events import AnyEvent, DeadlineReached, PeerPresenceChanged, SlotsPlanned
from protocol.wire.instants import Millis
from protocol.wire.messages import Identifier

SPACE_EVERY_S = 5
"""How often the free space of the journal's disk is checked, in real time."""


class TimedEvents:
    """What time makes due at one link: a deadline, more slots, suppressed refusals, presence, free space."""

    def __init__(
        self,
        core: RunnableCore,
        journal: JournalWriter,
        planner: SlotPlanner,
        refusals: Refusals,
        presence: Mapping[Identifier, PresenceCap],
        draw_nonce: NonceSource,
    ) -> None:
        self.free_bytes: int | None = None
        """The free space of the journal's disk when it was last checked."""
        self._core = core
        self._journal = journal
        self._planner = planner
        self._refusals = refusals
        self._presence = presence
        self._draw_nonce = draw_nonce
        self._space = SpaceWatch(low=core.active_alarm(AlarmCode.SPACE_LOW, "journal"))
        # the machine's monotonic clock begins at its boot
        self._space_due_s = 0

    def due(self, now: Now) -> Iterator[AnyEvent]:
        """Yield what is due, if the core takes each event before the next. Raises JournalFailure."""
        deadline = self._core.next_deadline()
        if deadline is not None and now.reached(deadline):
            yield DeadlineReached(at=now.at, mono=now.mono, nonce=self._draw_nonce())
            failpoint("after_deadline")
        if self._planner.due(self._core.slots_until, now.at):
            yield self.more_slots(now.at, now.mono, now.at)
        yield from self._refusals.due(now)
        for party, cap in self._presence.items():
            present = cap.due(now.real_s)
            if present is not None:
                yield PeerPresenceChanged(at=now.at, mono=now.mono, party=party, present=present)
        if now.real_s >= self._space_due_s:
            self._space_due_s = now.real_s + SPACE_EVERY_S
            self.free_bytes = self._journal.free_bytes()
            space = self._space.judge(self.free_bytes, now.at, now.mono)
            if space is not None:
                yield space

    def more_slots(self, at: Millis, mono: Millis, until: Millis) -> SlotsPlanned:
        """Return the event at `at`, `mono` that plans the slots from the last planned one to 14 days after `until`."""
        return self._planner.more(at, mono, self._core.slots_until, until)

    def next(self) -> NextTick:
        """Return when `due` has to be asked again if nothing else happens to the link."""
        deadline = self._core.next_deadline()
        slots_at = self._planner.due_at(self._core.slots_until)
        presence_s = (cap.due_s for cap in self._presence.values())
        real_s = [each for each in (*presence_s, self._refusals.due_s, self._space_due_s) if each is not None]
        return NextTick(
            at=slots_at if deadline is None or deadline.at is None else min(slots_at, deadline.at),
            mono=None if deadline is None else deadline.mono,
            real_s=min(real_s),
        )
