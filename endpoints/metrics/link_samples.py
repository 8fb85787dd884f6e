"""The samples of one link at one instant, from its `Snapshot`, its `Gauges` and the counters of the process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import nan

from msgspec import UNSET

from endpoints.control.open_items import OPEN_ALERTS
from endpoints.control.reasons import presence
from endpoints.control.status import link_state
from endpoints.metrics import families
from endpoints.metrics.counters import Distribution, LinkCounters
from endpoints.metrics.families import Family
from endpoints.runtime.gauges import Gauges
from endpoints.runtime.ports import Now
from protocol.core.alarms import Alarm
from protocol.core.snapshot import Snapshot, StreamView
from protocol.core.watch_state import SlotState
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Identifier, Utc
from protocol.wire.messages import Status as Purpose

Sample = tuple[tuple[str, ...], float | Distribution]
"""The values of a family's labels after `link`, and the value of the sample."""
FamilySamples = tuple[Family, tuple[Sample, ...]]
"""A family and its samples of one link."""
LinkSamples = dict[str, tuple[Sample, ...]]
"""The samples of each family, by its name."""


class LinkView:
    """One link as its metrics show it: the read models at one instant."""

    def __init__(
        self,
        view: Snapshot | None,
        gauges: Gauges,
        counters: LinkCounters,
        directions: dict[Identifier, str],
        purpose: Purpose,
        now: Now,
    ) -> None:
        """Look at a link.

        Args:
            view: what the record knows; None if the journal could not be opened.
            gauges: what the process knows.
            counters: what has happened since the process started.
            directions: the direction of each party's messages.
            purpose: what the link is for, as the link file says.
            now: the reading of the clocks.
        """
        self._view = view
        self._gauges = gauges
        self._counters = counters
        self._directions = directions
        self._purpose = purpose
        self._now = now
        # the parties that are heard
        self._heard = {party: name for party, name in directions.items() if party != gauges.side}

    def samples(self) -> Iterator[FamilySamples]:
        """Yield the samples of every family of a link; each family has the same series at every instant."""
        view, gauges = self._view, self._gauges
        running = gauges.failure is None
        yield families.LINK_INFO, _one(1.0, self._purpose if view is None else view.status)
        yield families.LINK_RUNNING, _one(running)
        state = link_state(view, gauges, self._now)
        yield families.LINK_STATE, tuple(((each,), float(each == state)) for each in families.STATES)
        yield families.BROKER_CONNECTED, _one(view is not None and view.connected and running)
        yield families.PEER_PRESENT, self._by_party(self._present)
        yield families.LAST_SIGNED, self._by_party(self._last_signed)
        yield from self._line_tests()
        yield from self._streams()
        yield from self._alerts()
        yield from self._alarms()
        yield from self._notifications()
        yield from self._counted()
        yield families.JOURNAL_BYTES, _one(self._counters.journal_bytes)
        yield families.JOURNAL_FREE_BYTES, _one(nan if gauges.free_bytes is None else gauges.free_bytes)
        yield families.FLUSHED, _one((gauges.flushed_at or 0) / 1_000)

    # --- the parties ----------------------------------------------------------------------------------------------

    def _by_party(self, of: Callable[[Identifier], float]) -> tuple[Sample, ...]:
        return tuple(((name,), of(party)) for party, name in self._heard.items())

    def _present(self, party: Identifier) -> float:
        view = self._view
        return float(view is not None and presence(view, self._gauges, party, self._now.real_s) == "present")

    def _last_signed(self, party: Identifier) -> float:
        return _seconds(None if self._view is None else self._view.last_signed.get(party))

    def _streams(self) -> Iterator[FamilySamples]:
        view = self._view
        ours = None if view is None else view.ours
        waiting = 0 if ours is None else ours.waiting + ours.in_flight
        yield families.OUTBOX_MESSAGES, _one(waiting)
        yield families.OUTBOX_OLDEST, _one(_seconds(None if ours is None else ours.oldest_at))
        streams: dict[Identifier, StreamView] = {} if view is None else dict(view.theirs)
        if ours is not None:
            streams[self._gauges.side] = ours
        yield (
            families.STREAM_STOPPED,
            tuple(
                ((name,), float(party in streams and bool(streams[party].stopped)))
                for party, name in self._directions.items()
            ),
        )

    # --- what the record knows ------------------------------------------------------------------------------------

    def _line_tests(self) -> Iterator[FamilySamples]:
        view = self._view
        slots = () if view is None else view.slots
        count = Counter(slot.state for slot in slots)
        yield families.SLOTS, tuple(((state.value,), float(count[state])) for state in SlotState)
        met = max((slot.slot for slot in slots if slot.state is SlotState.MET), default=None)
        yield families.LAST_MET_SLOT, _one(_seconds(met))
        yield families.NEXT_SLOT, _one(_seconds(None if view is None else view.next_slot))
        tests = () if view is None else view.tests
        answered = max((test.answered_at for test in tests if test.answered_at is not None), default=None)
        yield families.LAST_ANSWERED_TEST, _one(_seconds(answered))

    def _alerts(self) -> Iterator[FamilySamples]:
        view = self._view
        opened: Counter[tuple[str, str]] = Counter()
        drafts: Counter[str] = Counter()
        if view is not None:
            opened.update(
                (alert.reference.partition("/")[0], alert.alert.precedence)
                for alert in view.alerts
                if alert.state in OPEN_ALERTS
            )
            drafts.update(draft.precedence for draft in view.drafts if parsed(draft.expires_at) > self._now.at)
        yield (
            families.OPEN_ALERTS,
            tuple(
                ((name, precedence), float(opened[party, precedence]))
                for party, name in self._directions.items()
                for precedence in families.PRECEDENCES
            ),
        )
        yield families.DRAFTS, tuple(((each,), float(drafts[each])) for each in families.PRECEDENCES)

    def _alarms(self) -> Iterator[FamilySamples]:
        view, failure = self._view, self._gauges.failure
        alarms = [*(() if failure is None else (failure,)), *(() if view is None else view.alarms)]
        yield families.ALARMS_ACTIVE, _by_code(alarm for alarm in alarms if alarm.active)
        yield families.ALARMS_UNACKNOWLEDGED, _by_code(alarm for alarm in alarms if alarm.acknowledged_at is UNSET)
        yield families.ON_WATCH, _one(view is not None and view.on_watch is not None)

    def _notifications(self) -> Iterator[FamilySamples]:
        view, done = self._view, self._counters.notifications
        yield families.NOTIFICATIONS_PENDING, _one(0 if view is None else view.notifications_pending)
        yield families.NOTIFICATIONS_GIVEN_UP, _one(0 if view is None else view.notifications_given_up)
        delivered, failed = families.DELIVERIES
        yield families.NOTIFICATIONS, (((delivered,), float(done[True])), ((failed,), float(done[False])))

    # --- what the process has counted -----------------------------------------------------------------------------

    def _counted(self) -> Iterator[FamilySamples]:
        counters = self._counters
        yield (
            families.MESSAGES_TOTAL,
            tuple(
                ((name, kind, precedence), float(counters.messages[name, kind, precedence]))
                for name in self._directions.values()
                for kind, precedence in families.MESSAGES
            ),
        )
        yield families.FRAMES_REFUSED, tuple(((each,), float(counters.refused[each])) for each in families.REFUSALS)
        yield families.CREDENTIALS_REFUSED, _one(counters.credentials_refused)
        yield families.RECEIPT_SECONDS, (((), counters.receipts.read()),)
        yield families.FLUSH_SECONDS, (((), counters.flushes.read()),)
        yield families.CLOCK_SKEW, tuple(((name,), counters.skew_s.get(name, 0.0)) for name in self._heard.values())


def _one(value: float, *labels: str) -> tuple[Sample, ...]:
    return ((labels, float(value)),)


def _by_code(alarms: Iterable[Alarm]) -> tuple[Sample, ...]:
    count = Counter(alarm.code.value for alarm in alarms)
    return tuple(((code, severity), float(count[code])) for code, severity in families.CODES)


def _seconds(instant: Utc | Millis | None) -> float:
    """Return an instant in seconds since 1970, 0 for none."""
    if instant is None:
        return 0.0
    return (parsed(instant) if isinstance(instant, str) else instant) / 1_000
