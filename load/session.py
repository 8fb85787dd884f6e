"""Runs a load test: link and yardsticks alternate, repeat by repeat; an interrupt ends it in order."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from endpoints.errors import UserError
from load.integrity import integrity
from load.interrupts import Interrupts
from load.local_stack import local_stack
from load.measuring import LINK, LinkSubject, Repeat, Subject
from load.plan import LoadPlan
from load.provenance import Provenance, provenance
from load.report_rows import worst_second_ms
from load.running_stack import RunningPair, running_stack
from load.stack import Stack
from load.summary import Summary, summarised
from load.yardsticks.subject import NAMES, YardstickBroker, YardstickSubject, check_skeleton


class Teller(Protocol):
    """Tells a person how far a run is."""

    def starting(self) -> None:
        """The stack starts."""
        ...

    def measuring(self, repeat: int, subject: str, done: int) -> None:
        """A subject is measured: so many exchanges of this repeat, from 0, have finished."""
        ...

    def checking(self) -> None:
        """The skeleton is checked."""
        ...

    def clearing(self) -> None:
        """The receiver acknowledges what is open."""
        ...

    def counting(self) -> None:
        """The journals are read."""
        ...

    def stopping(self) -> None:
        """The run ends early, in order."""
        ...

    def over(self) -> None:
        """Nothing more is told."""
        ...


class RunOutcome(Struct, kw_only=True):
    """A run that is over.

    Attributes:
        summary: its result; None if it ended before the first exchange was measured.
        repeats: by subject.
        series: the intended instant and the latency of each measured exchange of the link, in nanoseconds.
        interrupted: by Ctrl-C or a signal.
    """

    summary: Summary | None
    repeats: dict[str, list[Repeat]]
    series: list[tuple[int, int]]
    interrupted: bool


class Session:
    """One run."""

    def __init__(self, plan: LoadPlan, teller: Teller, command: str, interrupts: Interrupts) -> None:
        self._plan = plan
        self._teller = teller
        self._command = command
        self._interrupts = interrupts
        self._run = secrets.token_hex(4)
        self._subjects: list[Subject] = []

    async def over_local_stack(self, parent: Path) -> RunOutcome:
        """Run over a stack of its own, in a new folder in `parent`. Raises UserError."""
        self._teller.starting()
        origin = provenance(self._command, self._plan.seed, parent)
        at_queue = self._plan.at == "queue"
        async with local_stack(parent, links=self._plan.links, at_queue=at_queue) as stack:
            place = stack.yardsticks if self._plan.yardsticks else None
            return await self.over(stack, place, origin)

    async def over_running_stack(self, pair: RunningPair) -> RunOutcome:
        """Run over a stack that runs already; yardsticks need a broker of ours. Raises UserError."""
        origin = provenance(self._command, self._plan.seed, pair.links[0].journals[0])
        async with running_stack(pair) as stack:
            return await self.over(stack, None, origin)

    async def over(self, stack: Stack, place: YardstickBroker | None, origin: Provenance) -> RunOutcome:
        """Run over `stack`, and yardsticks over the broker at `place`. Raises UserError."""
        size_bytes = self._plan.size_bytes
        yardsticks = [] if place is None else [YardstickSubject(name, place, size_bytes) for name in NAMES]
        link = LinkSubject(stack, stack.template(self._run, self._plan.size_bytes), lambda _: self._teller.clearing())
        self._subjects = [link, *yardsticks]
        self._interrupts.end_with(self._stop)
        measured: dict[str, list[Repeat]] = {subject.name: [] for subject in self._subjects}
        try:
            if not self._interrupts.happened:
                await link.check()
            skeleton = None
            if place is not None and not self._interrupts.happened:
                self._teller.checking()
                skeleton = await check_skeleton(place, size_bytes)
            for number in range(self._plan.repeats):
                await self._repeat(number, link, measured)
        except UserError:
            # the receiver may still be there
            with suppress(UserError):
                await link.clear()
            raise
        finally:
            self._teller.over()
        if not any(repeat.exchanges for repeat in measured[LINK]):
            return RunOutcome(summary=None, repeats=measured, series=[], interrupted=self._interrupts.happened)
        self._teller.counting()
        counted = await asyncio.to_thread(integrity, stack.links, self._run)
        self._teller.over()
        summary = summarised(
            measured,
            counted,
            link.stages.document(),
            link.memory_mib,
            self._plan,
            origin,
            flushed=stack.flushed,
            complete=not (self._interrupts.happened or link.stuck),
            skeleton=skeleton,
            worst_ms=worst_second_ms(link.series),
        )
        return RunOutcome(summary=summary, repeats=measured, series=link.series, interrupted=self._interrupts.happened)

    async def _repeat(self, number: int, link: LinkSubject, measured: dict[str, list[Repeat]]) -> None:
        """Measure each subject once; another one begins each time. Nothing more, once the link is stuck."""
        turn = number % len(self._subjects)
        for subject in (*self._subjects[turn:], *self._subjects[:turn]):
            if self._interrupts.happened or link.stuck:
                return
            name = subject.name
            self._teller.measuring(number, name, 0)
            repeat = await subject.measure(self._plan, number, partial(self._teller.measuring, number, name))
            if repeat.exchanges:
                measured[name].append(repeat)

    def _stop(self) -> None:
        for subject in self._subjects:
            subject.stop()
