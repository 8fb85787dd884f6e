"""Reports to every link when the certificates end that the connection to the broker depends on (SPEC W3)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from endpoints.clocks.clock import SystemClock
from endpoints.config.broker_settings import BrokerSettings
from endpoints.mqtt import certificates
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.ports import ClockReader, Now
from endpoints.runtime.work_items import EventItem
from endpoints.runtime.work_queue import WorkQueue
from protocol.core.event_checks import AT_MAX
from protocol.core.event_fields import CertificateOwner
from protocol.core.events import CertificateSeen
from protocol.wire.instants import Millis, written

LOOK_EVERY_S = 60.0
"""How often the files are read: a certificate that was renewed clears its alarm this soon."""
REPORT_EVERY_MS: Millis = 86_400_000


class CertificateReport:
    """Reports each certificate at the start, daily, and whenever another one is in use."""

    def __init__(
        self,
        broker: BrokerSettings,
        runners: Mapping[str, AnyRunner],
        queue: WorkQueue,
        *,
        exercise: bool,
        machine: ClockReader | None = None,
    ) -> None:
        """Prepare it; `run` begins.

        Args:
            broker: names the files of our own certificate and the authority's.
            runners: the runners by link.
            queue: the loop's.
            exercise: whether the links run on an exercise's clock.
            machine: the machine's clocks, by which certificates end; only tests give others.
        """
        self._broker = broker
        self._runners = runners
        self._queue = queue
        self._exercise = exercise
        self._machine = machine or SystemClock()
        # by owner: when the certificate ends, and the machine's time of the last report
        self._reported: dict[CertificateOwner, tuple[Millis, Millis]] = {}

    def connected(self, broker_certificate: bytes | None) -> None:
        """Take the broker's certificate (DER) of a new connection, for which our own were read anew."""
        ends = None if broker_certificate is None else certificates.ends_of_der(broker_certificate)
        if ends is not None:
            self._see("broker", ends)
        self.look()

    def look(self) -> None:
        """Read the files; report what is new, or was reported a day ago."""
        for whose, ends in certificates.ends_of_own(self._broker):
            self._see(whose, ends)
        if "broker" in self._reported:
            self._see("broker", self._reported["broker"][0])

    @property
    def ends(self) -> dict[CertificateOwner, Millis]:
        """When each certificate that was seen ends, by the machine's clock."""
        return {whose: ends for whose, (ends, _) in self._reported.items()}

    async def run(self) -> None:
        """Look at once, and again every `LOOK_EVERY_S`, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def _see(self, whose: CertificateOwner, ends: Millis) -> None:
        now_ms = self._machine.real_ms()
        before = self._reported.get(whose)
        if before is not None and before[0] == ends and now_ms - before[1] < REPORT_EVERY_MS:
            return
        self._reported[whose] = ends, now_ms

        def seen(now: Now) -> CertificateSeen:
            # a certificate goes by the machine's clock: in an exercise it ends as far ahead as it really does
            at = now.at + ends - self._machine.now()[0] if self._exercise else ends
            return CertificateSeen(at=now.at, mono=now.mono, whose=whose, ends_at=written(min(max(at, 0), AT_MAX)))

        self._queue.push(EventItem(self._runners.values(), seen))
