"""The result of a run: `summary.json`, whose fields are added, never renamed or removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal

from msgspec import Struct

from load.histogram import Latencies, Percentiles
from load.integrity import Integrity
from load.measuring import LINK, Repeat
from load.plan import Goal, LoadPlan
from load.provenance import Provenance
from load.stages import Stage
from load.yardsticks.subject import NAMES, SkeletonCheck

_COMPARED = ("p50", "p90", "p99", "p999", "max")


class RepeatFigures(Struct, frozen=True, kw_only=True):
    """One repeat of one subject."""

    exchanges: int
    rate_per_s: float
    latency_ms: Percentiles
    load_average: float


class Figures(Struct, frozen=True, kw_only=True):
    """The figures of one subject over all repeats.

    Attributes:
        latency_ms: of the merged histogram.
        median_ms, median_rate_per_s: medians of the repeats.
        cpu_us: processor time for each exchange, by process.
    """

    exchanges: int
    rate_per_s: float
    median_rate_per_s: float
    latency_ms: Percentiles
    median_ms: Percentiles
    cpu_us: dict[str, float]
    repeats: list[RepeatFigures]


class GoalResult(Struct, frozen=True, kw_only=True):
    """Whether a goal was met."""

    goal: str
    value: float
    met: bool


class Summary(Struct, frozen=True, kw_only=True):
    """The result of a run."""

    @property
    def broken(self) -> int:
        """How often the link broke its promise: it is 0."""
        return self.lost + self.doubled + self.reordered + self.refused

    exchanges: int
    rate_per_s: float
    sent: int
    received: int
    lost: int
    doubled: int
    reordered: int
    refused: int
    unreceipted: int
    # merged over all repeats
    latency_ms: Percentiles
    stages: dict[str, Stage]
    yardsticks: dict[str, Figures | None]
    # by yardstick: the median of the ratios of paired repeats
    ratio: dict[str, dict[str, float] | None]
    # whether the ratios to the skeleton count, and what its check found
    skeleton: SkeletonCheck | None
    cpu_us: dict[str, float]
    # in RAM after the last repeat, by process
    memory_mib: dict[str, float]
    median_ms: Percentiles
    median_rate_per_s: float
    # pauses of the collector or the disk show here, which the p99 of a whole run hides
    p99_of_worst_second_ms: float
    repeats: list[RepeatFigures]
    goals: list[GoalResult]
    # the end of an exchange: `flushed` at the sender, or only `written`
    ends: Literal["flushed", "written"]
    complete: bool
    plan: LoadPlan
    provenance: Provenance


def figures(repeats: Sequence[Repeat]) -> Figures:
    """Return the figures of a subject's repeats, at least one."""
    each = [_figures(repeat) for repeat in repeats]
    begun = sum(repeat.begun for repeat in repeats)
    seconds = sum(repeat.seconds for repeat in repeats)
    names = dict.fromkeys(name for repeat in repeats for name in repeat.cpu_us)
    exchanges = sum(repeat.exchanges for repeat in repeats)
    return Figures(
        exchanges=exchanges,
        rate_per_s=round(exchanges / seconds, 2) if seconds else 0.0,
        median_rate_per_s=median(one.rate_per_s for one in each),
        latency_ms=Latencies.merged(repeat.latencies for repeat in repeats).percentiles(),
        median_ms=Percentiles(
            **{name: median(getattr(one.latency_ms, name) for one in each) for name in Percentiles.__struct_fields__}
        ),
        cpu_us={
            name: round(sum(repeat.cpu_us.get(name, 0) for repeat in repeats) / begun, 1) if begun else 0.0
            for name in names
        },
        repeats=each,
    )


def _figures(repeat: Repeat) -> RepeatFigures:
    return RepeatFigures(
        exchanges=repeat.exchanges,
        rate_per_s=round(repeat.rate_per_s, 2),
        latency_ms=repeat.latencies.percentiles(),
        load_average=round(repeat.load_average, 2),
    )


def ratios(link: Figures, yardstick: Figures) -> dict[str, float]:
    """Return the medians of the ratios of link to yardstick, repeat by repeat: of each percentile, and of the rate."""
    pairs = list(zip(link.repeats, yardstick.repeats, strict=False))
    found = {
        name: [
            getattr(one.latency_ms, name) / getattr(other.latency_ms, name)
            for one, other in pairs
            if getattr(other.latency_ms, name)
        ]
        for name in _COMPARED
    }
    found["rate"] = [one.rate_per_s / other.rate_per_s for one, other in pairs if other.rate_per_s]
    return {name: round(median(values), 3) for name, values in found.items() if values}


def judged(goals: Sequence[Goal], link: Figures) -> list[GoalResult]:
    """Return whether each goal was met, by the merged histogram and the rate of all repeats."""
    values = {goal: _value(goal, link) for goal in goals}
    return [GoalResult(goal=goal.text, value=value, met=goal.met(value)) for goal, value in values.items()]


def _value(goal: Goal, link: Figures) -> float:
    if goal.measure == "rate":
        return link.rate_per_s
    value: float = getattr(link.latency_ms, goal.measure)
    return value


def summarised(
    measured: Mapping[str, Sequence[Repeat]],
    counted: Integrity,
    stages: dict[str, Stage],
    memory_mib: dict[str, float],
    plan: LoadPlan,
    origin: Provenance,
    *,
    flushed: bool,
    complete: bool,
    skeleton: SkeletonCheck | None = None,
    worst_ms: float = 0.0,
) -> Summary:
    """Return the summary of all repeats that were measured.

    Args:
        measured: the repeats by subject; the link's at least.
        counted: what the journals say.
        stages: the link's stages, empty if they were not timed.
        memory_mib: of each process, after the last repeat.
        plan: the options.
        origin: where the figures come from.
        flushed: whether an exchange ended with the flush at the sender.
        complete: whether all repeats were measured.
        skeleton: the result of the skeleton's check, None without yardsticks.
        worst_ms: the highest p99 of a second.
    """
    link = figures(measured[LINK])
    yardsticks = {name: figures(measured[name]) if measured.get(name) else None for name in NAMES}
    return Summary(
        exchanges=link.exchanges,
        rate_per_s=link.rate_per_s,
        sent=counted.sent,
        received=counted.received,
        lost=counted.lost,
        doubled=counted.doubled,
        reordered=counted.reordered,
        refused=counted.refused,
        unreceipted=counted.unreceipted,
        latency_ms=link.latency_ms,
        stages=stages,
        yardsticks=yardsticks,
        ratio={name: None if found is None else ratios(link, found) for name, found in yardsticks.items()},
        skeleton=skeleton,
        cpu_us=link.cpu_us,
        memory_mib=memory_mib,
        median_ms=link.median_ms,
        median_rate_per_s=link.median_rate_per_s,
        p99_of_worst_second_ms=worst_ms,
        repeats=link.repeats,
        goals=judged(plan.goals, link),
        ends="flushed" if flushed else "written",
        complete=complete,
        plan=plan,
        provenance=origin,
    )
