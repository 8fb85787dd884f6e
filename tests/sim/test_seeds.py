"""Worlds that together meet every fault, at every place, keep every promise. `make simulate` runs all seeds."""

import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from scenario.simulation.faults import CRASH_POINTS, FaultKind, Plan, draw
from scenario.simulation.shrink import shrink, transcript
from scenario.simulation.simulate import quiet, simulate

SEEDS = range(1, 501)
"""The seeds that are chosen from."""
SHORT, MONTH = 8, 30
"""Days. A short world has as many faults as a month, closer together."""
MONTHS = 8
"""How many of the chosen worlds last a month: two for each of the four first days, since two of these months cross a
change of summer time."""
PARTS = 12
"""The tests that share the worlds."""
EACH = 3
"""How often the chosen worlds meet what can happen in one: less often only if all seeds do."""


@pytest.fixture(autouse=True)
def _quiet() -> None:
    quiet()


def met(plan: Plan) -> Iterator[tuple[Any, ...]]:
    """Yield what happens in a world: its faults by place and kind of crash, those that overlap, its officers' acts."""
    # by the seed: real signatures, journals replayed to their end, and the month it is
    yield "real keys", plan.real_keys
    yield "replayed", plan.seed % 20 == 0
    yield "first day", plan.seed % 4
    yield "faults", len(plan.faults)
    yield "acts", len(plan.acts)
    for act in plan.acts:
        yield "act", act.kind, act.side
    for place, fault in enumerate(plan.faults):
        yield "fault", fault.kind, fault.where, fault.point
        if fault.kind == "clock_step":
            yield "step", fault.amount
        for later in plan.faults[place + 1 :]:
            if later.at < fault.at + fault.lasts:
                yield "overlap", fault.kind, later.kind


@functools.cache
def chosen() -> tuple[int, ...]:
    """Return seeds that together meet, `EACH` times or as often as all of them, what all of them meet."""
    plans = {seed: Counter(set(met(draw(seed, SHORT)))) for seed in SEEDS}
    lacking = sum(plans.values(), Counter[tuple[Any, ...]]())
    for what, count in lacking.items():
        # which faults overlap is chance, and once is enough
        lacking[what] = min(count, 1 if what[0] == "overlap" else EACH)
    seeds = []
    while lacking:
        best = max(plans, key=lambda seed: ((plans[seed] & lacking).total(), -seed))
        lacking -= plans.pop(best)
        seeds.append(best)
    return tuple(seeds)


def test_the_chosen_worlds_meet_every_fault_at_every_place() -> None:
    happened = Counter(what for seed in chosen() for what in set(met(draw(seed, SHORT))))
    faults = [what[1:] for what in happened if what[0] == "fault"]

    assert {kind for kind, _, _ in faults} == set(get_args(FaultKind))
    for kind in ("crash", "power_cut"):
        places = {(where, point) for each, where, point in faults if each == kind}
        assert places == {(where, point) for where in ("eucom", "ndmc", "watch") for point in CRASH_POINTS}
    assert len([what for what in happened if what[0] == "overlap"]) > 100
    assert happened["real keys", True] >= EACH


@pytest.mark.parametrize("part", range(PARTS))
def test_no_promise_is_broken(part: int) -> None:
    months = [seed for first_day in range(4) for seed in [s for s in chosen() if s % 4 == first_day][: MONTHS // 4]]
    for seeds, days in ((months, MONTH), ([seed for seed in chosen() if seed not in months], SHORT)):
        share = seeds[part::PARTS]
        if not share:
            continue
        totals, broken = simulate(share, days)

        assert broken is None, "\n".join(transcript(shrink(draw(broken, days))))
        assert totals.seeds == len(share)
        assert totals.messages > days
