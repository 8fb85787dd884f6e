"""`python -m tests.planted.explored`: searches small worlds in the packages of the working folder, up to some states.

Exits 1 with the world, the number of steps and the first broken promise; 0 if every promise was kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

import protocol
from scenario.exploration.explore import explore
from scenario.simulation.simulate import quiet

LIMITS = {
    "smallest": 0,
    "streams-small": 1_500,
    "resends": 1_200,
    "contradicting": 900,
    "refused": 450,
    "unruly": 250,
    "epochs": 500,
    "journals": 350,
    "officers": 900,
    "own-draft": 350,
    "slot": 350,
    "tests": 300,
    "watched": 250,
    "keys": 400,
    "outbox": 60,
}
"""The most states of each world, 0 for all: some twenty seconds where nothing is found."""


def main() -> int:
    """Search the worlds in their order."""
    here = Path(protocol.__file__).resolve().parent.parent
    assert here == Path.cwd().resolve(), f"the packages of {here} would be tested"
    quiet()
    for name, limit in LIMITS.items():
        explored = explore(name, limit)
        if explored.found.broken is not None:
            print(f"{name}, {len(explored.steps)} steps: {explored.found.broken.promise}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
