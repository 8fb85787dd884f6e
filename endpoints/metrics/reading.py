"""Reads all metrics of a process, link by link between the turns of its loop, and keeps the text for a moment.

A reading never holds up a link for longer than one link takes. Several scrapes at once share one reading, and readings
take at most a fiftieth of the time, however often they are asked for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import ParamSpec, TypeVar

from endpoints.clocks.clock import SystemClock
from endpoints.metrics import exposition, families
from endpoints.metrics.condition import LoopTurns, why_not_ready
from endpoints.metrics.counters import LinkCounters
from endpoints.metrics.exposition import Written
from endpoints.metrics.families import Family
from endpoints.metrics.link_samples import FamilySamples, LinkSamples, LinkView, Sample
from endpoints.runtime.console_screens import ConsoleCounts
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.ports import ClockReader, Now
from endpoints.runtime.work_queue import WorkQueue
from protocol.core.event_fields import CertificateOwner
from protocol.core.snapshot import Snapshot
from protocol.wire.instants import Millis
from protocol.wire.messages import Identifier, Status

P = ParamSpec("P")
T = TypeVar("T")

KEPT_MS: Millis = 1_000
"""A text is given out again for this long, or for `REST` times what the reading took."""
REST = 50
STEP_NS = 500_000
"""How long a reading holds up everything else: this, or one step, whose longest is the snapshot of a link."""


class _Steps:
    """Takes steps between the turns of the event loop, and adds up the time that they took."""

    def __init__(self, read_ns: Callable[[], int]) -> None:
        self.spent_ns = 0
        self._read_ns = read_ns
        self._rested_ns = 0

    async def take(self, step: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Return what `step` returns; before it, after every `STEP_NS`, all else that is due has its turn."""
        if self.spent_ns - self._rested_ns >= STEP_NS:
            # twice: what became due during the last step waits behind what was ready before
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._rested_ns = self.spent_ns
        began_ns = self._read_ns()
        result = step(*arguments, **named)
        self.spent_ns += self._read_ns() - began_ns
        return result


class MetricsReading:
    """Makes the text of all metrics."""

    content_type = exposition.CONTENT_TYPE

    def __init__(
        self,
        *,
        kind: str,
        runners: Mapping[str, AnyRunner],
        queue: WorkQueue,
        clock: ClockReader,
        machine: SystemClock,
        turns: LoopTurns,
        directions: Mapping[Identifier, dict[Identifier, str]],
        counters: Mapping[Identifier, LinkCounters],
        purposes: Mapping[Identifier, Status],
        certificate_ends: Callable[[], Mapping[CertificateOwner, Millis]],
        screens: Callable[[], ConsoleCounts],
    ) -> None:
        """Prepare it.

        Args:
            kind: endpoint or watch.
            runners: the runners by link.
            queue: the loop's.
            clock: the clock of the links.
            machine: the machine's clocks.
            turns: the turns of the loop.
            directions: by link, the direction of each party's messages.
            counters: by link, what has happened.
            purposes: by link, what it is for.
            certificate_ends: returns when the certificates end.
            screens: returns what consoles say of their screens.
        """
        self._kind = kind
        self._runners = runners
        self._queue = queue
        self._clock = clock
        self._machine = machine
        self._turns = turns
        self._directions = directions
        self._counters = counters
        self._purposes = purposes
        self._certificate_ends = certificate_ends
        self._screens = screens
        self._dropped: Counter[str] = Counter()
        # by link: the last samples, and their text
        self._written: dict[str, tuple[LinkSamples, Written]] = {}
        self._spent_ns = 0
        self._text = b""
        self._until_ms: Millis = 0
        self._running: asyncio.Task[None] | None = None

    def dropped(self, reason: str) -> None:
        """Count a client of the listener that was dropped."""
        self._dropped[reason] += 1

    async def text(self) -> bytes:
        """Return the metrics, at most some seconds old."""
        if self._running is None and self._machine.real_ms() >= self._until_ms:
            self._running = asyncio.create_task(self._read())
            self._running.add_done_callback(self._done)
        if self._running is not None:
            # a client that leaves does not end the reading of the others
            await asyncio.shield(self._running)
        return self._text

    def _done(self, _task: asyncio.Task[None]) -> None:
        self._running = None

    async def _read(self) -> None:
        """Read every link in short steps; between them the loop has its turns."""
        steps, texts = _Steps(self._machine.precise_ns), list[Written]()
        for link, runner in list(self._runners.items()):
            seen = self._seen(link, runner, await steps.take(self._view, runner))
            samples: LinkSamples = {}
            while (found := await steps.take(next, seen, None)) is not None:
                samples[found[0].name] = found[1]
            texts.append(await steps.take(self._text_of, link, samples))
        process = await steps.take(exposition.written, self._process())
        system = await steps.take(exposition.of_the_system)
        parts: list[bytes] = []
        for joining in (exposition.joined([process, system]), exposition.joined(texts)):
            while (part := await steps.take(next, joining, None)) is not None:
                parts.append(part)
        self._text = await steps.take(b"".join, parts)
        self._spent_ns = steps.spent_ns
        self._until_ms = self._machine.real_ms() + max(KEPT_MS, REST * steps.spent_ns // 1_000_000)

    @staticmethod
    def _view(runner: AnyRunner) -> Snapshot | None:
        return None if runner.core.terms is None else runner.core.snapshot()

    def _seen(self, link: Identifier, runner: AnyRunner, view: Snapshot | None) -> Iterator[FamilySamples]:
        at, mono = self._clock.now()
        now = Now(at, mono, self._machine.real_ms() // 1_000)
        names, purpose = self._directions[link], self._purposes[link]
        return LinkView(view, runner.gauges(), self._counters[link], names, purpose, now).samples()

    def _text_of(self, link: Identifier, samples: LinkSamples) -> Written:
        """Return the text of a link; families that have not changed keep theirs."""
        before, text = self._written.get(link, ({}, {}))
        changed = [family for family in families.OF_A_LINK if before.get(family.name) != samples[family.name]]
        if changed:
            text = text | exposition.written([(family, samples[family.name]) for family in changed], link)
            self._written[link] = samples, text
        return text

    def _process(self) -> list[tuple[Family, tuple[Sample, ...]]]:
        at_ms, real_ms = self._machine.now()
        ends, consoles = self._certificate_ends(), self._screens()
        turned_ms = at_ms - (real_ms - self._turns.real_ms) if self._turns.count else 0
        ready = not any(True for _ in why_not_ready(self._turns, real_ms, self._runners))
        return [
            (families.BUILD_INFO, (((version("deconfliction-link"),), 1.0),)),
            (families.PROCESS_INFO, (((self._kind,), 1.0),)),
            (families.READY, (((), float(ready)),)),
            (families.LOOP_TURN, (((), turned_ms / 1_000),)),
            (families.LOOP_TURNS, (((), float(self._turns.count)),)),
            (families.QUEUE_ITEMS, (((), float(len(self._queue))),)),
            (
                families.CERTIFICATE_END,
                tuple(((whose,), ends.get(whose, 0) / 1_000) for whose in families.CERTIFICATES),  # type: ignore[call-overload]
            ),
            (
                families.CLIENTS_DROPPED,
                tuple(((reason,), float(self._dropped[reason])) for reason in families.DROPPED),
            ),
            (families.CONSOLE_SESSIONS, (((), float(consoles.sessions)),)),
            (families.CONSOLE_SCREENS, (((), float(consoles.screens)),)),
            (families.CONSOLE_ARMED, (((), float(consoles.armed)),)),
            (families.READING_SECONDS, (((), self._spent_ns / 1e9),)),
        ]
