"""Five hundred worlds keep every promise despite the faults that their seeds draw. `make simulate` runs more."""

import pytest

from scenario.simulation.faults import draw
from scenario.simulation.shrink import shrink, transcript
from scenario.simulation.simulate import quiet, simulate

SHORT, MONTH = 8, 30
"""Days. A short world has as many faults as a month, closer together."""


@pytest.fixture(autouse=True)
def _quiet() -> None:
    quiet()


@pytest.mark.parametrize("first", range(1, 501, 10))
def test_no_promise_is_broken(first: int) -> None:
    for seeds, days in ((range(first, first + 1), MONTH), (range(first + 1, first + 10), SHORT)):
        totals, broken = simulate(seeds, days)

        assert broken is None, "\n".join(transcript(shrink(draw(broken, days))))
        assert totals.seeds == len(seeds)
        assert totals.messages > days
