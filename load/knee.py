"""The steps of a sweep, and its knee: the last value of the option before latency runs away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, structs

from endpoints.config.settings_tables import LINKS_MAX
from load.plan import LoadPlan, SweptOption, check
from load.provenance import Provenance
from load.stages import Stage
from load.summary import Summary

VALUES: dict[SweptOption, tuple[float, ...]] = {
    "rate": (5, 10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_120),
    "window": (1, 2, 4, 8, 16, 32, 64, 128, 256),
    "size": (1_213, 2_000, 4_000, 8_000, 11_000),
    "links": tuple(count for count in (1, 2, 4, 8, 16, 32, 64, 250, 1_000) if count <= LINKS_MAX),
}
"""The values of each option, in ascending order."""
KEPT_UP = 0.95
"""The share of an asked rate that has to be reached."""
SLOWER_MAX = 3.0
"""How much the p99 may grow over the first step's before a step is beyond the knee."""
GAIN_MIN = 1.1
"""By how much the rate of a larger window must be higher to be worth it."""
PAST_THE_KNEE = 2
"""Steps that are measured beyond the knee, to show it."""


class SweepStep(Struct, frozen=True, kw_only=True):
    """One value of the option, and what was measured with it."""

    value: float
    rate_per_s: float
    p50_ms: float
    p99_ms: float
    # nothing over endpoints that run already
    stages: dict[str, Stage] = {}


class Sweep(Struct, frozen=True, kw_only=True):
    """The result of a sweep; `knee` is None if no step was beyond it."""

    option: SweptOption
    steps: list[SweepStep]
    knee: float | None
    complete: bool
    # how often the link broke its promise: it is 0
    lost: int
    # alerts that the other side did not receipt in time
    unreceipted: int
    # the other options
    plan: LoadPlan
    provenance: Provenance


def step_of(value: float, summary: Summary) -> SweepStep:
    """Return the step of a run: the medians of its repeats."""
    return SweepStep(
        value=value,
        rate_per_s=summary.median_rate_per_s,
        p50_ms=summary.median_ms.p50,
        p99_ms=summary.median_ms.p99,
        stages=summary.stages,
    )


def with_value(plan: LoadPlan, option: SweptOption, value: float) -> LoadPlan:
    """Return the plan of one step. Raises UserError."""
    changed: dict[str, dict[str, Any]] = {
        "rate": {"rate": value, "window": None},
        "window": {"rate": None, "window": int(value)},
        "size": {"size_bytes": int(value)},
        "links": {"links": int(value)},
    }
    step = structs.replace(plan, yardsticks=False, goals=(), **changed[option])
    check(step)
    return step


def knee_of(option: SweptOption, steps: Sequence[SweepStep]) -> float | None:
    """Return the last good value, None if no step beyond it was measured.

    A rate is good if it is reached and the p99 has not grown too much; a window, if it brings more exchanges than any
    before; another option, if the p99 has not grown too much. One bad step among good ones is the machine's.
    """
    good = [place for place, step in enumerate(steps) if _good(option, step, steps[:place])]
    return steps[good[-1]].value if good and good[-1] + 1 < len(steps) else None


def _good(option: SweptOption, step: SweepStep, before: Sequence[SweepStep]) -> bool:
    if not before:
        return True
    if option == "window":
        return step.rate_per_s >= GAIN_MIN * max(each.rate_per_s for each in before)
    reached = option != "rate" or step.rate_per_s >= KEPT_UP * step.value
    return reached and step.p99_ms <= SLOWER_MAX * before[0].p99_ms


def enough(option: SweptOption, steps: Sequence[SweepStep]) -> bool:
    """Return whether enough steps beyond the knee were measured."""
    knee = knee_of(option, steps)
    return knee is not None and sum(1 for step in steps if step.value > knee) >= PAST_THE_KNEE
