"""`python -m tests.planted.simulated SEEDS`: lets that many worlds happen in the packages of the working folder.

Exits 1 with the first seed that broke a promise and what it was, 0 if every promise was kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

import protocol
from scenario.faults import draw
from scenario.shrink import attempt
from scenario.simulate import quiet

DAYS = 15
"""Long enough for a fortnight's slots to be planned anew."""


def main(seeds: int) -> int:
    """Run seeds 1 to `seeds`."""
    here = Path(protocol.__file__).resolve().parent.parent
    assert here == Path.cwd().resolve(), f"the packages of {here} would be tested"
    quiet()
    for seed in range(1, seeds + 1):
        outcome = attempt(draw(seed, DAYS))
        if isinstance(outcome, str):
            print(f"seed {seed}: {outcome}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
