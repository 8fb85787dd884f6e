"""`python -m tests.planted.simulated WORLDS`: lets that many worlds happen in the packages of the working folder.

Quiet worlds find nothing: the first seeds are taken that have trouble in them.

Exits 1 with the first seed that broke a promise and what it was, 0 if every promise was kept.
"""

from __future__ import annotations

import sys
from itertools import count, islice
from pathlib import Path

from msgspec import structs

import protocol
from scenario.simulation.faults import Plan, draw
from scenario.simulation.shrink import attempt
from scenario.simulation.simulate import quiet

DAYS = 8
FAULTS_MIN = 20
BUSY = 8
"""So many worlds' alerts in one: gaps and full queues need something to lose."""


def busier(plan: Plan) -> Plan:
    """Return the plan with the officers' acts of other seeds beside its own, and with real signatures."""
    acts = [act for other in range(BUSY) for act in draw(plan.seed + other * 1_000, DAYS).acts]
    return structs.replace(plan, acts=tuple(sorted(acts, key=lambda act: act.at)), real_keys=True)


def main(worlds: int) -> int:
    """Run the first `worlds` seeds with trouble."""
    here = Path(protocol.__file__).resolve().parent.parent
    assert here == Path.cwd().resolve(), f"the packages of {here} would be tested"
    quiet()
    plans = (plan for plan in (draw(seed, DAYS) for seed in count(1)) if len(plan.faults) >= FAULTS_MIN)
    for plan in islice(plans, worlds):
        outcome = attempt(busier(plan))
        if isinstance(outcome, str):
            print(f"seed {plan.seed}: {outcome}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
