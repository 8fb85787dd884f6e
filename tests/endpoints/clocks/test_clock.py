from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from endpoints.clocks.clock import TICK_S, ClockWatch, ExerciseClock, Irregularity, SystemClock, clock
from endpoints.clocks.exercise_table import ExerciseTable, TableEntry
from endpoints.errors import UserError
from protocol.wire.instants import parsed

NOON = parsed("2022-11-29T12:00:00.000Z")


def real() -> int:
    return SystemClock().real_ms()


async def test_the_system_clock_waits_until_the_earlier_of_two_instants() -> None:
    system = SystemClock()
    at, mono = system.now()

    await system.wait_until(at + 60_000, mono + 30)

    assert 30 <= system.now()[1] - mono < 900


async def test_no_wait_is_longer_than_a_tick() -> None:
    system = SystemClock()
    _, mono = system.now()

    await system.wait_until(None, None)

    assert system.now()[1] - mono >= int(TICK_S * 1_000) - 1


async def test_a_past_instant_does_not_wait() -> None:
    system = SystemClock()
    at, mono = system.now()

    await asyncio.wait_for(system.wait_until(at - 5_000, None), 0.5)

    assert system.now()[1] - mono < 500


def test_a_table_is_a_continuous_map_that_never_decreases() -> None:
    table = ExerciseTable.begin(1_000, NOON, 10).then(2_000, 2_000).then(3_000, 0).then(4_000, 1)

    assert table.exercise_at(0) == NOON
    assert table.exercise_at(1_500) == NOON + 5_000
    assert table.exercise_at(2_500) == NOON + 10_000 + 1_000_000
    assert table.exercise_at(3_999) == table.exercise_at(3_000) == NOON + 2_010_000
    assert table.exercise_at(4_010) == NOON + 2_010_010


@pytest.mark.parametrize("ahead", [0, 1, 9_999, 10_000, 10_001, 500_000, 2_010_000, 2_010_001, 2_099_999])
def test_the_inverse_is_the_first_real_instant_that_reaches_the_exercise_instant(ahead: int) -> None:
    table = ExerciseTable.begin(1_000, NOON, 10).then(2_000, 2_000).then(3_000, 0).then(4_000, 1)

    due = table.real_at(NOON + ahead)

    assert due is not None
    assert table.exercise_at(due) >= NOON + ahead
    assert due == 1_000 or table.exercise_at(due - 1) < NOON + ahead


def test_the_rate_is_that_of_the_entry_in_force() -> None:
    table = ExerciseTable.begin(1_000, NOON, 60).then(2_000, 0)

    assert [table.rate_at(real) for real in (999, 1_000, 1_999, 2_000, 9_999)] == [0, 60, 60, 0, 0]


def test_a_stopped_exercise_never_reaches_later_instants() -> None:
    table = ExerciseTable.begin(1_000, NOON, 0)

    assert table.real_at(NOON) == 1_000
    assert table.real_at(NOON + 1) is None


def test_entries_that_do_not_continue_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="does not continue"):
        ExerciseTable((TableEntry(0, NOON, 1), TableEntry(1_000, NOON, 1)))
    with pytest.raises(ValueError, match="does not continue"):
        ExerciseTable((TableEntry(1_000, NOON, 0), TableEntry(0, NOON, 1)))


async def test_every_reader_of_the_table_reads_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "exercise.clock"
    ExerciseTable.begin(real(), NOON, 100).write(path)
    one, other = ExerciseClock(path), ExerciseClock(path)

    (at, mono), (other_at, _) = one.now(), other.now()

    assert 0 <= at - NOON < 60_000
    assert mono == at - NOON
    assert 0 <= other_at - at < 60_000


async def test_a_wait_follows_a_change_of_rate(tmp_path: Path) -> None:
    path = tmp_path / "exercise.clock"
    table = ExerciseTable.begin(real(), NOON, 1)
    table.write(path)
    exercise = ExerciseClock(path)
    waiting = asyncio.ensure_future(exercise.wait_until(NOON + 3_600_000, None))
    await asyncio.sleep(0.01)

    table.then(real(), 0).then(real() + 20, 2_000).write(path)
    began = time.monotonic()
    # 3,600 s at rate 2,000 take 1.8 s: the first wait ends after a tick, the second at the instant
    await waiting
    while exercise.now()[0] < NOON + 3_600_000:
        await exercise.wait_until(NOON + 3_600_000, None)

    assert 1.7 < time.monotonic() - began < 10
    assert exercise.now()[0] < NOON + 7_200_000


async def test_a_future_entry_takes_effect_at_its_time(tmp_path: Path) -> None:
    path = tmp_path / "exercise.clock"
    now = real()
    ExerciseTable.begin(now, NOON, 1).then(now + 100, 2_000).write(path)
    exercise = ExerciseClock(path)

    await exercise.wait_until(NOON + 200_000, None)

    assert real() - now >= 199
    assert exercise.now()[0] >= NOON + 200_000


async def test_the_exercise_never_runs_backwards_and_survives_the_deletion_of_its_table(tmp_path: Path) -> None:
    path = tmp_path / "exercise.clock"
    ExerciseTable.begin(real(), NOON + 3_600_000, 0).write(path)
    exercise = ExerciseClock(path)
    before = exercise.now()

    ExerciseTable.begin(real(), NOON, 0).write(path)
    assert exercise.now()[0] >= before[0]
    path.unlink()

    assert exercise.now()[0] >= before[0]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"[[0,0,-1]]", b"[[0,0,2001]]", b"[[0,0]]", b"[[5,0,0],[4,0,0]]", b"\xff\xfe\x00"]
)
def test_a_malformed_table_is_refused_by_file_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "exercise.clock"
    path.write_bytes(content)

    with pytest.raises(UserError, match=r"exercise\.clock: not an exercise clock"):
        ExerciseClock(path)


def test_a_missing_table_is_refused_and_none_means_the_machine_s_clock(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        clock(tmp_path / "none")
    assert isinstance(clock(None), SystemClock)


# --- steps and stalls ---------------------------------------------------------------------------------------------


def test_clocks_that_run_together_are_regular() -> None:
    watch = ClockWatch(NOON, 0, 0)

    assert all(watch.observe(NOON + n * 1_000, n * 1_000, n * 1_000) is None for n in range(1, 100))


@pytest.mark.parametrize("step", [-31_536_000_000, -3_600_000, -1_000, 1_000, 3_600_000, 31_536_000_000])
def test_a_step_is_reported_once_with_its_size(step: int) -> None:
    watch = ClockWatch(NOON, 0, 0)

    assert watch.observe(NOON + 1_000 + step, 1_000, 1_000) == Irregularity(step_ms=step, blind_since="")
    assert watch.observe(NOON + 2_000 + step, 2_000, 2_000) is None


def test_small_steps_add_up() -> None:
    watch = ClockWatch(NOON, 0, 0)
    found = [watch.observe(NOON + n * 1_200, n * 1_000, n * 1_000) for n in range(1, 4)]

    assert found == [None, None, Irregularity(step_ms=600, blind_since="")]


def test_a_sleep_reports_since_when_the_service_was_blind() -> None:
    watch = ClockWatch(NOON, 0, 0)
    watch.observe(NOON + 1_000, 1_000, 1_000)

    found = watch.observe(NOON + 3_600_000, 3_600_000, 3_600_000)

    assert found == Irregularity(step_ms=0, blind_since="2022-11-29T12:00:01.000Z")


def test_an_hour_of_an_exercise_in_two_real_seconds_is_neither_step_nor_sleep() -> None:
    watch = ClockWatch(NOON, 0, 0)

    assert watch.observe(NOON + 3_600_000, 3_600_000, 2_000) is None
