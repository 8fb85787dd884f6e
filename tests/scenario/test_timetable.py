from __future__ import annotations

import pytest

from protocol.wire.instants import parsed
from scenario.files import load, packaged
from scenario.timetable import IDLE_RATE, WATCHED_RATE, Pace, plan, real_ms

ONE_DAY = load(packaged("one-day"))
SLOTS = [parsed("2022-11-29T08:00:00.000Z"), parsed("2022-11-29T16:00:00.000Z")]
PACES = plan(ONE_DAY, SLOTS)


def rate(instant: str) -> int:
    return [pace.rate for pace in PACES if pace.start <= parsed(f"2022-11-29T{instant}.000Z")][-1]


def test_the_first_pace_begins_with_the_scenario() -> None:
    assert PACES[0].start == parsed(ONE_DAY.starts)


def test_time_is_slow_from_a_minute_before_each_step_and_slot() -> None:
    for instant in [*(parsed(step.at) for step in ONE_DAY.steps), *SLOTS]:
        for moment in range(instant - 60_000, instant + 60_000, 5_000):
            assert [pace.rate for pace in PACES if pace.start <= moment][-1] <= WATCHED_RATE


def test_time_is_fast_between_steps_and_slots() -> None:
    assert {rate("09:00:00"), rate("14:00:00"), rate("18:30:00")} == {IDLE_RATE}


def test_time_is_slow_at_deadlines_that_will_be_missed() -> None:
    assert rate("10:48:00") == WATCHED_RATE  # `will_reply` at 10:18 set a new deadline half an hour later
    assert rate("16:15:00") == WATCHED_RATE  # the broker is down during the slot and its grace period
    assert rate("08:15:00") == IDLE_RATE  # nothing delays the morning's line test


def test_time_is_slow_until_the_answer_to_an_unanswered_slot_is_due() -> None:
    month = load(packaged("november-2022"))
    slot = parsed("2022-11-24T08:00:00.000Z")
    due = parsed("2022-11-24T08:10:30.000Z")
    assert [pace.rate for pace in plan(month, [slot]) if pace.start <= due][-1] == WATCHED_RATE


def test_starting_processes_get_their_real_seconds() -> None:
    for instant in ("2022-11-29T12:44:00.000Z", "2022-11-29T17:30:00.000Z"):
        start = parsed(instant)
        assert real_ms(PACES, start + 120_000) - real_ms(PACES, start) == 4_800


def test_a_day_takes_less_than_eighty_real_seconds() -> None:
    assert real_ms(PACES, parsed(ONE_DAY.ends)) < 80_000


@pytest.mark.parametrize(("until", "real"), [(0, 0), (1_000, 100), (3_000, 150)])
def test_real_ms_adds_up_the_paces(until: int, real: int) -> None:
    assert real_ms((Pace(0, 10), Pace(1_000, 40)), until) == real
