"""Small worlds are searched completely, and no reduction of the search changes its verdict.

`make explore` searches the larger worlds.
"""

from __future__ import annotations

import pytest
from msgspec import structs

from scenario.exploration.catalogue import WORLDS, world
from scenario.exploration.explore import explore, main
from scenario.exploration.search import Reductions, Search
from scenario.exploration.small_world import Bounds, SmallWorld
from scenario.exploration.transcript import StepNotPossibleError, as_test, follow, transcript, worded_steps
from scenario.simulation.simulate import quiet

REDUCTIONS = [
    Reductions(remember=False),
    Reductions(normalise=False),
    Reductions(symmetric=False),
    Reductions(join=False),
    Reductions(remember=False, normalise=False, symmetric=False),
]
STATES_MIN = 20_000
TRIED = {"streams-small": 0, "batches": 12_000}
"""The worlds that `make test` searches far, with the most states of each; 0 for all."""
GLANCE = 50
"""The states of every other world."""


@pytest.fixture(autouse=True)
def _quiet() -> None:
    # the rate limits of the ordinary log are not what is tested
    quiet()


def breaking() -> SmallWorld:
    """Return a world that breaks a promise: a journal is put back, and the alarm that follows is not expected."""
    return structs.replace(world("smallest"), bounds=Bounds(restorations=1))


def test_no_order_of_steps_breaks_a_promise() -> None:
    found = [explore(name, limit).found for name, limit in TRIED.items()]

    assert [each.broken for each in found] == [None] * len(found)
    assert sum(each.states for each in found) >= STATES_MIN


@pytest.mark.parametrize("name", [name for name in WORLDS if name not in TRIED])
def test_no_world_breaks_a_promise_at_once(name: str) -> None:
    explored = explore(name, GLANCE)

    assert explored.found.broken is None, explored


@pytest.mark.parametrize("reductions", REDUCTIONS, ids=str)
def test_the_smallest_world_has_the_same_verdict_without_a_reduction(reductions: Reductions) -> None:
    reduced, other = Search(world("smallest")).run(), Search(world("smallest"), reductions).run()

    assert reduced.complete
    assert other.complete
    assert reduced.broken is other.broken is None
    assert other.states >= reduced.states
    assert other.depth == reduced.depth
    assert other.batches >= reduced.batches


@pytest.mark.parametrize("reductions", REDUCTIONS, ids=str)
def test_a_broken_promise_is_found_as_soon_without_a_reduction(reductions: Reductions) -> None:
    reduced, other = Search(breaking()).run().broken, Search(breaking(), reductions).run().broken

    assert reduced is not None
    assert other is not None
    assert len(other.steps) == len(reduced.steps)


def test_the_way_to_a_broken_promise_is_printed_and_followed_again() -> None:
    search = Search(breaking())
    found = search.run().broken
    assert found is not None
    steps = worded_steps(search, found)

    assert steps[0].startswith("ask ")
    assert follow(breaking(), steps) == found.promise
    lines = transcript(breaking(), steps, found.promise)
    assert lines[1] == f"1. {steps[0]}"
    assert lines[-1] == f"<< {found.promise}"
    assert any("OfficerRaisedAlert" in line for line in lines)


def test_the_way_to_a_broken_promise_becomes_a_test() -> None:
    module: dict[str, object] = {}
    exec(as_test(world("smallest"), ["ask eucom: eucom alert 1"], "a promise"), module)  # what is written for pytest

    test = module["test_a_promise"]
    assert callable(test)
    test()


def test_a_step_that_is_not_possible_is_reported() -> None:
    with pytest.raises(StepNotPossibleError, match="possible: ask eucom: eucom alert 1"):
        follow(world("smallest"), ["restart eucom"])


def test_the_command_prints_each_world_and_a_total(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["smallest", "--limit", "100"]) == 0

    first, total = capsys.readouterr().out.splitlines()
    assert first.startswith("smallest: 100 states, ")
    assert "not complete" in first
    assert total == "100 states, every promise kept"


def test_an_unknown_world_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["elsewhere"])

    assert ended.value.code == 2
    assert f"no world elsewhere; there are {', '.join(WORLDS)}" in capsys.readouterr().err
