"""Reports to every link which receivers of notifications fail, and when they work again (SPEC W3)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import get_args

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
from protocol.wire.messages import Identifier

COMPARED_EVERY_S = 5.0
"""How often each link's alarm is compared again with what is known."""
_WHY_MAX = 200

_log = get_logger()


class SinkReport:
    """Compares what is known about each sink with the alarm `sink_failing` of each link, when that changes.

    So nothing is journaled twice, and a further success costs nothing, however many links there are. Every few seconds
    all is compared again: a link that was opened again, or a process that was restarted, learns it too.
    """

    def __init__(self, runners: Mapping[str, AnyRunner], queue: WorkQueue, sinks: Collection[SinkName]) -> None:
        """Report to `runners` through the loop's `queue`; `sinks` are those that the settings name."""
        self._runners = runners
        self._queue = queue
        # why each sink fails, empty if it works; a sink that has not been tried is missing. One that the settings do
        # not name counts as working, so that an alarm of an earlier process about it is cleared
        self._known: dict[SinkName, str] = {sink: "" for sink in get_args(SinkName) if sink not in sinks}

    async def run(self) -> None:
        """Compare again and again, until cancelled."""
        while True:
            self.compare()
            await asyncio.sleep(COMPARED_EVERY_S)

    def compare(self) -> None:
        """Report each sink to the links whose alarm differs from what is known."""
        for sink, why in self._known.items():
            self._report(sink, why)

    def failed(self, sink: SinkName, why: str) -> None:
        """Report a sink that does not take what it is given."""
        known = self._known.get(sink)
        self._known[sink] = why
        if not known:
            _log.error("a receiver of notifications fails", sink=sink, why=str(why))
            self._report(sink, why)

    def reached(self, sink: SinkName) -> None:
        """Report a sink that works."""
        known = self._known.get(sink)
        if known == "":
            return
        self._known[sink] = ""
        if known:
            _log.warning("a receiver of notifications works again", sink=sink)
        self._report(sink, "")

    def _report(self, sink: SinkName, why: str) -> None:
        if any(_differs(runner, sink, why) for runner in self._runners.values()):
            self._queue.push(_SinkItem(self._runners, sink, why))


class _SinkItem:
    """What is known about one sink; an empty `why` if it works."""

    def __init__(self, runners: Mapping[str, AnyRunner], sink: SinkName, why: str) -> None:
        self._runners = runners
        self._sink = sink
        self._why = why

    @property
    def links(self) -> Collection[Identifier]:
        """Every link."""
        return self._runners.keys()

    def take(self, now: Now) -> None:
        """Report it to each link that has not stopped and does not know it yet."""
        for runner in self._runners.values():
            if not _differs(runner, self._sink, self._why):
                continue
            if self._why:
                why = one_line(self._why)[:_WHY_MAX]
                made_from = said(self._why) or UNSET
                runner.take(SinkFailed(at=now.at, mono=now.mono, sink=self._sink, why=why, said=made_from))
            else:
                runner.take(SinkReached(at=now.at, mono=now.mono, sink=self._sink))

    def settle(self) -> None:
        """Do nothing: nobody waits for it."""


def _differs(runner: AnyRunner, sink: SinkName, why: str) -> bool:
    """Return whether a link that has not stopped has another alarm about a sink than `why` asks for."""
    return runner.failure is None and runner.core.active_alarm(AlarmCode.SINK_FAILING, sink) != bool(why)
