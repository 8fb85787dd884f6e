"""Reports to every link which receivers of notifications fail, and when they work again (SPEC W3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import UNSET

from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.ports import Now
from endpoints.runtime.work_queue import WorkQueue
from endpoints.structured_log import get_logger
from endpoints.texts.printable import one_line
from protocol.core.alarms import AlarmCode
from protocol.core.event_fields import SinkName
from protocol.core.events import SinkFailed, SinkReached
from protocol.phrases import said

_WHY_MAX = 200

_log = get_logger()


class SinkReport:
    """Compares what is known about each sink with the alarm `sink_failing` of each link.

    So a link that was opened again, or a process that was restarted, learns it too, and nothing is journaled twice.
    """

    def __init__(self, runners: Mapping[str, AnyRunner], queue: WorkQueue, sinks: Iterable[SinkName]) -> None:
        """Report to `runners` through the loop's `queue`; `sinks` are those that the settings name."""
        self._runners = runners
        self._queue = queue
        self._named = frozenset(sinks)
        self._failing: set[SinkName] = set()

    async def begin(self) -> None:
        """Clear the alarms of earlier processes about sinks that the settings do not name any more."""
        for sink in {sink for runner in self._runners.values() for sink in _alarmed(runner)} - self._named:
            self._queue.push(_SinkItem(self._runners, sink, ""))

    def failed(self, sink: SinkName, why: str) -> None:
        """Report a sink that does not take what it is given."""
        if sink not in self._failing:
            self._failing.add(sink)
            _log.error("a receiver of notifications fails", sink=sink, why=str(why))
        if any(sink not in _alarmed(runner) for runner in self._runners.values()):
            self._queue.push(_SinkItem(self._runners, sink, why))

    def reached(self, sink: SinkName) -> None:
        """Report a sink that works."""
        if sink in self._failing:
            self._failing.discard(sink)
            _log.warning("a receiver of notifications works again", sink=sink)
        if any(sink in _alarmed(runner) for runner in self._runners.values()):
            self._queue.push(_SinkItem(self._runners, sink, ""))


class _SinkItem:
    """What is known about one sink; an empty `why` if it works."""

    def __init__(self, runners: Mapping[str, AnyRunner], sink: SinkName, why: str) -> None:
        self._runners = runners
        self._sink = sink
        self._why = why

    def take(self, now: Now) -> None:
        """Report it to each link that has not stopped and does not know it yet."""
        for runner in self._runners.values():
            if runner.failure is not None or (self._sink in _alarmed(runner)) == bool(self._why):
                continue
            if self._why:
                why = one_line(self._why)[:_WHY_MAX]
                made_from = said(self._why) or UNSET
                runner.take(SinkFailed(at=now.at, mono=now.mono, sink=self._sink, why=why, said=made_from))
            else:
                runner.take(SinkReached(at=now.at, mono=now.mono, sink=self._sink))

    def settle(self) -> None:
        """Do nothing: nobody waits for it."""


def _alarmed(runner: AnyRunner) -> set[SinkName]:
    """Return the sinks about which a link's alarm is open."""
    if runner.core.terms is None:
        return set()
    alarms = runner.core.snapshot().alarms
    return {alarm.subject for alarm in alarms if alarm.code is AlarmCode.SINK_FAILING and alarm.active}  # type: ignore[misc]
