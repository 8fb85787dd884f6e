"""Measures one repeat of one subject: the link, or a yardstick."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from msgspec import Struct, structs

from endpoints.errors import UserError
from load.alerts import Template
from load.arrivals import SECOND_NS
from load.driver import Load, Slice, Told
from load.histogram import Latencies
from load.plan import LoadPlan
from load.processes import between, resident_mib, used_us
from load.stack import Stack
from load.stages import MeasuredExchange, StageTimes
from protocol.phrases import phrase

LINK = "link"
"""The name of the link among the subjects."""
ANSWERS_WITHIN_S = 20.0
"""How long the first exchange may take: a peer that never receipts is noticed before the run."""


SLICE_MAX_S = 300.0
OPEN_MAX = 1_000
"""Alerts of one slice, so many of which stay open until its end: a segment begins with all of them."""
ROUNDS_MIN = 16
"""A slice has so many times its window, at least: at its end the window runs empty."""
_SHARE_OF_DEADLINE = 0.25
"""An alert that waits past half of its deadline makes the link late; after all of it, there is an alarm."""


class Repeat(Struct, kw_only=True):
    """What one repeat of one subject has measured.

    Attributes:
        exchanges: measured ones, without the warm-up.
        begun: all of them.
        unfinished: those that did not finish.
        seconds: during which the measured ones finished.
        cpu_us: processor time by process, of all that were begun.
        load_average: of the last minute, at the end.
    """

    exchanges: int = 0
    begun: int = 0
    unfinished: int = 0
    seconds: float = 0.0
    latencies: Latencies
    cpu_us: dict[str, int]
    load_average: float = 0.0

    @property
    def rate_per_s(self) -> float:
        """Measured exchanges per second."""
        return self.exchanges / self.seconds if self.seconds else 0.0

    def take(self, times: Slice, load: Load, cpu_us: Mapping[str, int]) -> None:
        """Add a slice of `load`. In the open model it lasts as long as its schedule, at least."""
        measured = 0
        for _, latency_ns in times.latencies_ns():
            self.latencies.record(latency_ns)
            measured += 1
        self.exchanges += measured
        self.begun += len(times.intended_ns)
        self.unfinished += times.unfinished
        if measured:
            lasted_s = (times.ends_ns - times.begins_ns) / SECOND_NS
            if load.offsets_ns and not times.stopped:
                lasted_s = max(lasted_s, load.seconds)
            self.seconds += max(0.0, lasted_s - load.warmup_s)
        for name, used in cpu_us.items():
            self.cpu_us[name] = self.cpu_us.get(name, 0) + used
        self.load_average = os.getloadavg()[0]


class Subject(Protocol):
    """Something that exchanges are measured of."""

    @property
    def name(self) -> str:
        """Its name in the report."""
        ...

    async def measure(self, plan: LoadPlan, number: int, told: Told) -> Repeat:
        """Measure repeat `number`, from 0; `told` takes how many exchanges have finished. Raises UserError."""
        ...

    def stop(self) -> None:
        """End the repeat that runs, in order."""
        ...


class LinkSubject:
    """The link. Between slices the receiver acknowledges, outside of the timed path."""

    name = LINK

    def __init__(self, stack: Stack, template: Template, clearing: Callable[[int], None]) -> None:
        """Prepare it; `clearing` is called with how many alerts are about to be acknowledged."""
        self.stages = StageTimes()
        self.series: list[tuple[int, int]] = []
        """The intended instant and the latency of each measured exchange."""
        self.raised = 0
        self.stuck = False
        """Some exchanges did not finish in time: the other side does not receipt any more."""
        self.memory_mib: dict[str, float] = {}
        """The memory of each process after the last repeat."""
        self._stack = stack
        self._template = template
        self._clearing = clearing
        self._stopping = False
        deadline_s = getattr(stack.links[0].file.terms.policy.handling, template.precedence)
        self._slice_max_s = min(SLICE_MAX_S, deadline_s * _SHARE_OF_DEADLINE)

    async def check(self) -> None:
        """Raise UserError unless one exchange succeeds."""
        load = Load(window=1, seconds=ANSWERS_WITHIN_S, count_max=1, patience_s=0)
        times, _ = await self._slice(load, _ignore, timed=False)
        sender, receiver = self._stack.names
        if times.unfinished and not self._stopping:
            raise UserError(
                phrase(
                    "{sender}: no receipt of {receiver} within {seconds} s; is the other side running and connected? "
                    "See: {command}",
                    sender=sender,
                    receiver=receiver,
                    seconds=round(ANSWERS_WITHIN_S),
                    command="deconflict status CONFIG",
                ),
                exit_code=1,
            )
        await self.clear()

    async def measure(self, plan: LoadPlan, number: int, told: Told) -> Repeat:
        """Measure a repeat, in slices. Raises UserError."""
        repeat = Repeat(latencies=Latencies(), cpu_us={})
        open_max = max(OPEN_MAX, ROUNDS_MIN * (plan.window or 1))
        loads = plan.loads(number, min(self._stack.slice_max, open_max), self._slice_max_s)
        left_s = float(plan.seconds)
        while loads and not self._stopping and not self.stuck:
            load = loads.pop(0)
            times, cpu_us = await self._slice(load, _after(told, repeat.begun))
            repeat.take(times, load, cpu_us)
            self.stuck = bool(times.unfinished)
            self.series += times.latencies_ns()
            # a receiver that is stuck may not answer either: what was measured until then is the result
            with suppress(*((UserError,) if self.stuck else ())):
                await self.clear()
            if load.window:
                used_s = (times.ends_ns - times.begins_ns) / SECOND_NS
                left_s -= used_s
                if left_s > 0 and not times.stopped:
                    more_s = min(left_s, self._slice_max_s)
                    warmup_s = max(0.0, load.warmup_s - used_s)
                    loads.append(structs.replace(load, seconds=more_s, warmup_s=warmup_s, ramp_s=0.0))
        self.memory_mib = {name: round(resident_mib(pid), 1) for name, pid in self._stack.pids.items()}
        return repeat

    async def run(self, load: Load) -> None:
        """Run one slice, add it to the series, and clear up. Raises UserError."""
        times, _ = await self._slice(load, _ignore)
        self.stuck = bool(times.unfinished)
        self.series += times.latencies_ns()
        await self.clear()

    async def clear(self) -> None:
        """Acknowledge what the last slice left open."""
        self._clearing(self.raised)
        await self._stack.acknowledge(_ignore)

    def stop(self) -> None:
        """Begin no more exchanges."""
        self._stopping = True
        self._stack.end_slice()

    async def _slice(self, load: Load, told: Told, *, timed: bool = True) -> tuple[Slice, dict[str, int]]:
        pids = {**self._stack.pids, "load": os.getpid()}
        before = used_us(pids)
        outcome = await self._stack.exchange(load, self._template, self.raised, told)
        cpu_us = between(before, used_us(pids))
        self.raised += len(outcome.times.intended_ns)
        links = self._stack.links
        times = outcome.times
        measured = range(times.warm, len(times.intended_ns))
        exchanges = (
            MeasuredExchange(links[number % len(links)].id, outcome.seqs[number], times.intended_ns[number])
            for number in measured
            if times.finished_ns[number]
        )
        # a receiver that does not receipt may not answer either
        rows = ([], []) if times.unfinished else await self._stack.rows()
        if timed:
            self.stages.take(exchanges, *rows)
        return times, cpu_us


def _after(told: Told, before: int) -> Told:
    """Return what tells how many exchanges have finished, those of earlier slices included."""
    return lambda done: told(before + done)


def _ignore(_count: int) -> None:
    """Take progress that nobody looks at."""
