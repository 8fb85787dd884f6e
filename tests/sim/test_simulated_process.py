"""A simulated process ends and restarts as the service does under its supervisor."""

from __future__ import annotations

import pytest

from protocol.core.effects import RaiseAlarm
from protocol.core.events import ClockStepped, Resumed, Started
from protocol.record.journal import Chain, Closed, Entry, Record
from protocol.wire.instants import Millis, parsed
from scenario.simulation.faults import HOUR, MINUTE, Plan, draw
from scenario.simulation.simulate import quiet
from scenario.simulation.simulated_process import SimulatedProcess
from scenario.simulation.world import World, world


@pytest.fixture(autouse=True)
def _quiet() -> None:
    quiet()


def running() -> tuple[World, SimulatedProcess]:
    """Return a world without faults that has run for an hour, and its answering side."""
    calm = world(Plan(seed=1, days=8, faults=(), acts=()))
    calm.start()
    pass_time(calm, HOUR)
    return calm, calm.processes["ndmc"]


def pass_time(calm: World, duration: Millis) -> None:
    calm.agenda.run_until(calm.agenda.now + duration)


def is_up(process: SimulatedProcess) -> bool:
    return process.runner is not None and process.runner.failure is None


def recorded(process: SimulatedProcess) -> list[Record]:
    chain = Chain()
    return [chain.take(line) for line in process.disk.lines()]


def entries(process: SimulatedProcess) -> list[Entry]:
    return [record.entry for record in recorded(process)]


def test_a_clean_stop_ends_with_closed() -> None:
    _, process = running()

    assert process.stop_for_good()

    assert not is_up(process)
    assert isinstance(entries(process)[-1], Closed)


def test_a_journal_that_fails_during_a_clean_stop_is_restarted_on_what_is_on_disk() -> None:
    calm, process = running()
    starts = sum(isinstance(entry, Started) for entry in entries(process))
    process.disk.fill(full=True)

    assert not process.stop_for_good()
    assert not is_up(process)
    process.disk.fill(full=False)
    pass_time(calm, HOUR)

    assert is_up(process)
    after = entries(process)
    assert not any(isinstance(entry, Closed) for entry in after)
    assert sum(isinstance(entry, Started) for entry in after) == starts + 1


def test_a_machine_restarted_while_asleep_records_the_rest_of_its_sleep() -> None:
    calm, process = running()
    process.sleep(2 * HOUR)
    pass_time(calm, MINUTE)
    process.crash("idle", MINUTE, power_cut=True)
    pass_time(calm, 3 * HOUR)

    assert process.runner is not None
    assert process.runner.core.snapshot().connected
    after = entries(process)
    (place,) = [place for place, entry in enumerate(after) if isinstance(entry, Resumed)]
    started = max(entry.at for entry in after[:place] if isinstance(entry, Started))
    resumed = after[place]
    assert isinstance(resumed, Resumed)
    assert parsed(resumed.since) == started
    assert resumed.at - started == 2 * HOUR - 2 * MINUTE


def test_a_clock_that_is_stepped_during_a_sleep_does_not_shorten_the_sleep() -> None:
    calm, process = running()
    slept_at, _ = process.clock.now()
    calm.invariants.explain("clock_step", "clock_skew")
    process.sleep(2 * HOUR)
    pass_time(calm, HOUR)
    process.step_clock(HOUR)
    pass_time(calm, 2 * HOUR)

    after = entries(process)
    (resumed,) = [entry for entry in after if isinstance(entry, Resumed)]
    assert parsed(resumed.since) == slept_at
    (stepped,) = [entry for entry in after if isinstance(entry, ClockStepped)]
    assert stepped.step_ms == HOUR
    assert stepped.at == resumed.at == slept_at + 3 * HOUR


@pytest.mark.parametrize("seed", range(8))
def test_reloads_break_no_promise(seed: int) -> None:
    """SPEC E1.6: each process reloads every few hours, wherever the faults of its world have brought it."""
    faulty = world(draw(seed, 8))
    for number, process in enumerate(faulty.processes.values()):
        for hours in range(5 + number, 8 * 24, 7):
            faulty.agenda.at(faulty.starts + hours * HOUR + 11 * MINUTE, process.reload)

    totals = faulty.run()

    assert totals.messages > 8
    for process in faulty.processes.values():
        assert sum(isinstance(entry, Started) for entry in entries(process)) > 15


def test_reloads_raise_no_alarm_and_miss_no_slot() -> None:
    """SPEC E1.6, W5.2: a reload takes no time, also at the instant of a slot or of its deadline."""
    calm = world(Plan(seed=1, days=4, faults=(), acts=()))
    grace = calm.file.terms.policy.grace_s * 1_000
    for process in calm.processes.values():
        for slot in calm.slots:
            for at in (slot - 1, slot, slot + 1, slot + 700, slot + grace):
                calm.agenda.at(at, process.reload)

    calm.run()

    for process in calm.processes.values():
        assert process.runner is not None
        view = process.runner.core.snapshot()
        assert view.alarms == ()
        assert {str(each.state) for each in view.slots if each.slot <= view.at} <= {"met"}
        starts = sum(isinstance(entry, Started) for entry in entries(process))
        assert starts == 1 + 5 * len(calm.slots)
        raised = [effect for record in recorded(process) for effect in record.effects if isinstance(effect, RaiseAlarm)]
        assert raised == []
