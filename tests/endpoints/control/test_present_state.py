"""All who follow a link share one snapshot of each of its states, and leave the loop time for the link."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoints.control.present_state import PAUSE_MAX_S, PresentState, pause_s
from tests.support.hand_turned import Machine


@pytest.fixture
def eucom(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, "eucom")
    yield machine
    machine.dies()


async def test_it_is_taken_once_for_each_change(eucom: Machine) -> None:
    present = PresentState()
    first = present.of(eucom.runner)
    eucom.turn()
    assert present.of(eucom.runner) is first, "nothing has happened"
    eucom.asks()
    eucom.turn()
    second = present.of(eucom.runner)
    assert [alert.reference for alert in second.alerts] == ["eucom/1/1"]
    assert present.of(eucom.runner) is second
    assert second == eucom.runner.core.snapshot()


async def test_every_change_is_seen(eucom: Machine) -> None:
    present = PresentState()
    for number in range(20):
        if number % 3:
            eucom.asks(f"request-{number}")
        if number % 4 == 3:
            eucom.runner.connection_lost("no route")
        eucom.turn(passed=60_000)
        assert present.of(eucom.runner) == eucom.runner.core.snapshot()


async def test_a_link_that_was_opened_again_has_another_state(eucom: Machine) -> None:
    present = PresentState()
    before = present.of(eucom.runner)
    eucom.dies()
    eucom.up()
    assert present.of(eucom.runner) is not before
    assert present.of(eucom.runner) == eucom.runner.core.snapshot()


@pytest.mark.parametrize(("took_ms", "pause"), [(0, 0.0), (1, 0.004), (100, 0.4), (10_000, PAUSE_MAX_S)])
def test_a_follower_pauses_four_times_as_long_as_it_takes(took_ms: int, pause: float) -> None:
    assert pause_s(took_ms) == pause
