"""Simulated worlds with clock steps, sleeping machines, changes of summer time and leap seconds.

The worlds run the service's own loop and link runners. The simulation itself checks that a missed slot raises exactly
one alarm and a met slot none. The tests here check the number of records: one `watch_blind` for each absence.
"""

from __future__ import annotations

import re
from functools import partial

import pytest
from msgspec import structs

from endpoints.clocks import slots
from endpoints.clocks.clock import STEP_TOLERANCE_MS, ClockWatch
from protocol.wire.instants import Millis, parsed, written
from scenario.files import load, packaged
from scenario.simulation.chance import drawn
from scenario.simulation.faults import DAY, HOUR, MINUTE, SECOND, Fault, Plan
from scenario.simulation.officers import Habits
from scenario.simulation.world import World

YEAR: Millis = 365 * DAY
STARTS = "2022-11-07T00:00:00.000Z"
"""A Monday in winter: 09:00 and 17:00 in Berlin are 08:00 and 16:00 UTC."""
NOON: Millis = DAY + 12 * HOUR
"""An instant between the two slots of the second day."""
SLOT: Millis = DAY + 8 * HOUR
SLOT_AT = "2022-11-08T08:00:00.000Z"
SIDES = ("eucom", "ndmc")


class Diligent(Habits):
    """Officers who answer every line test within a minute and never acknowledge an alarm."""

    def answers_after(self, slot: str) -> Millis | None:
        del slot
        return MINUTE

    def misreads(self) -> bool:
        return False

    def acknowledges_alarms_after(self) -> Millis | None:
        return None


def a_world(*faults: Fault, starts: str = STARTS, days: int = 4, **schedule: str) -> World:
    """Return a world with no faults other than `faults`."""
    scenario = load(packaged("november-2022"))
    link = scenario.link
    scenario = structs.replace(scenario, link=structs.replace(link, slots=structs.replace(link.slots, **schedule)))
    plan = Plan(seed=1, days=days, faults=faults, acts=())
    return World(plan, scenario, parsed(starts), {side: Diligent(drawn(1)) for side in SIDES})


def raised(world: World, process: str) -> dict[str, int]:
    """Return how often each alarm was raised at a site, by `code/subject`, or by code for alarms about clocks."""
    counts: dict[str, int] = {}
    for (code, subject), count in world.invariants.observations[process].raised.items():
        key = code if code in {"watch_blind", "clock_step"} else f"{code}/{subject}"
        counts[key] = counts.get(key, 0) + count
    return counts


def blind_records(world: World, process: str) -> list[str]:
    """Return the detail of each `watch_blind` of a site."""
    return [alarm.detail for alarm in world.invariants.observations[process].blind]


def slot_states(world: World, process: str) -> dict[str, str]:
    runner = world.processes[process].runner
    assert runner is not None
    return {view.slot: str(view.state) for view in runner.core.snapshot().slots}


def assert_honest(world: World, process: str) -> None:
    """Fail unless each past slot is met if its line test came in time, and otherwise raised exactly one alarm."""
    observed = world.invariants.observations[process]
    states, grace = slot_states(world, process), 15 * MINUTE
    for slot in world.slots:
        if slot + grace + MINUTE > world.agenda.now:
            continue
        name = written(slot)
        met = had_a_test(world, process, name)
        assert (states[name] == "met", observed.raised["heartbeat_missed", name]) == (met, 0 if met else 1), name


def had_a_test(world: World, process: str, slot: str) -> bool:
    """Return whether a site had a line test for the slot in time, according to its present clock."""
    observed, caller = world.invariants.observations[process], world.invariants.observations["eucom"]
    places = [place for place, message in caller.queued.items() if message.body.get("slot") == slot]
    readings = [
        caller.queued_at[place] if process == "eucom" else observed.applied_at.get(("eucom", *place))
        for place in places
    ]
    policy = world.file.terms.policy
    return any(reading is not None and observed.in_time(reading, parsed(slot), policy) for reading in readings)


# --- the wall clock steps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [SECOND, -SECOND, HOUR, -HOUR, YEAR, -YEAR], ids=lambda step: f"{step // 1000:+} s")
@pytest.mark.parametrize("where", [*SIDES, "watch"])
@pytest.mark.parametrize(
    ("moment", "lasts"),
    [(NOON, 30 * HOUR), (SLOT - 10 * MINUTE, 30 * HOUR), (SLOT + 5 * MINUTE, 32 * HOUR + 15 * MINUTE)],
    ids=["between", "before", "in_grace"],
)
def test_a_step_is_reported_and_skipped_slots_are_one_record(
    where: str, step: Millis, moment: Millis, lasts: Millis
) -> None:
    """SPEC W5.2: the clock steps there and back; the other sites notice only the messages that do not come."""
    world = a_world()
    world.invariants.explain("clock_step", "clock_skew")
    process = world.processes[where]
    world.start()
    world.agenda.at(world.starts + moment, partial(process.step_clock, step))
    world.agenda.at(world.starts + moment + lasts, partial(process.step_clock, -step))
    world.agenda.run_until(world.starts + moment + lasts + HOUR)

    there, back = skipped(moment, moment + step), skipped(moment + lasts + step, moment + lasts)
    # slots met before the clock went back are met again
    back = [slot for slot in back if not parsed(STARTS) < parsed(slot) < parsed(STARTS) + moment]
    records = blind_records(world, where)
    assert len(records) == bool(there) + bool(back)
    for record, slots_in_it in zip(records, filter(None, (there, back)), strict=True):
        assert re.match(f"unknown: slots? {slots_in_it[0]}", record)
        # a record names at most 64 slots and the number of further ones
        named = record.count("Z") + sum(map(int, re.findall(r"and (\d+) more", record)))
        assert named == len(slots_in_it)
    assert raised(world, where)["clock_step"] == 2
    for other in {*SIDES, "watch"} - {where}:
        assert not {"clock_step", "watch_blind"} & set(raised(world, other)), other
        assert_honest(world, other)


def skipped(after: Millis, until: Millis) -> list[str]:
    """Return the slots whose grace period lies within the time that a clock skips."""
    start = parsed(STARTS)
    return list(slots.plan(TWICE_A_DAY, "Europe/Berlin", start + after, start + until - 15 * MINUTE))


@pytest.mark.parametrize("where", SIDES)
def test_slots_are_met_again_after_the_clock_was_a_year_off(where: str) -> None:
    world = a_world(days=5)
    world.invariants.explain("clock_step", "clock_skew")
    process = world.processes[where]
    world.start()
    for number, step in enumerate((YEAR, -YEAR, -YEAR, YEAR)):
        world.agenda.at(world.starts + NOON + number * 10 * MINUTE, partial(process.step_clock, step))
    world.agenda.run_until(world.ends)

    for name in SIDES:
        states = slot_states(world, name)
        later = [state for slot, state in states.items() if parsed(slot) > world.starts + NOON]
        assert later.count("met") == 7, (name, states)
        assert "missed" not in later


# --- the machine sleeps, the process is stopped -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begins", "ends", "unknown"),
    [
        ("08T07:50:00", "08T09:30:00", ["08T08:00"]),
        # over a whole day: all slots in one record
        ("08T07:50:00", "09T10:00:00", ["08T08:00", "08T16:00", "09T08:00"]),
        # the sleep begins just before the slot and lasts until its grace period ends
        ("08T07:59:59", "08T08:15:00", ["08T08:00"]),
        # the line test that waits at the broker is still within the grace period
        ("08T07:59:00", "08T08:14:00", []),
        ("08T08:20:00", "08T15:40:00", []),
    ],
)
def test_a_sleep_over_slots_is_one_record(begins: str, ends: str, unknown: list[str]) -> None:
    """SPEC W5.2. A stopped process (SIGSTOP) looks the same: the clocks continue while it does not run."""
    first, last = (parsed(f"2022-11-{each}.000Z") for each in (begins, ends))
    world = a_world(Fault(at=first - parsed(STARTS), kind="sleep", where="ndmc", lasts=last - first), days=5)

    world.run()

    expected = ", ".join(f"2022-11-{slot}:00.000Z" for slot in unknown)
    assert [record.partition("; receipts of")[0] for record in blind_records(world, "ndmc")] == (
        [f"unknown: {'slot' if len(unknown) == 1 else 'slots'} {expected}"] if unknown else []
    )
    assert not any(key.startswith("heartbeat_missed") for key in raised(world, "ndmc"))
    states = slot_states(world, "ndmc")
    # the line test waited at the broker: late for a slot that was not watched
    assert {states[f"2022-11-{slot}:00.000Z"] for slot in unknown} <= {"late", "unknown"}
    assert_honest(world, "eucom")


def test_a_slot_over_which_the_caller_sleeps_is_missed_elsewhere_and_unknown_there() -> None:
    world = a_world(Fault(at=SLOT - 10 * MINUTE, kind="sleep", where="eucom", lasts=HOUR))

    world.run()

    assert blind_records(world, "eucom") == [f"unknown: slot {SLOT_AT}"]
    for name in ("ndmc", "watch"):
        assert raised(world, name)[f"heartbeat_missed/{SLOT_AT}"] == 1
        assert not blind_records(world, name)


@pytest.mark.parametrize("step", [HOUR, -HOUR, -12 * HOUR], ids=["ahead", "behind", "before_the_sleep"])
def test_a_sleep_that_ends_with_a_wrong_clock_is_one_record(step: Millis) -> None:
    """The machine's real-time clock is wrong, so the sleep and the step show in the same reading."""
    world = a_world()
    world.invariants.explain("clock_step", "clock_skew")
    process = world.processes["ndmc"]
    world.start()
    asleep, awake = SLOT - 10 * MINUTE, SLOT + 3 * HOUR
    world.agenda.at(world.starts + asleep, partial(process.sleep, awake - asleep))
    world.agenda.at(world.starts + awake - 1, partial(process.clock.step, step))
    world.agenda.run_until(world.starts + awake + MINUTE)

    unknown = [f"unknown: slot {SLOT_AT}"] if step > -12 * HOUR else []
    assert blind_records(world, "ndmc") == unknown
    assert raised(world, "ndmc")["clock_step"] == 1


# --- summer time --------------------------------------------------------------------------------------------------

TWICE_A_DAY = ("0 9,17 * * *",)


@pytest.mark.parametrize(
    ("starts", "cron", "begin", "end"),
    [
        # clocks go forward in the night to 27 March: 02:30 does not exist
        ("2022-03-25", "0 9,17 * * *", "08:00", "07:00"),
        ("2022-03-25", "30 2,14 * * *", "01:30", "00:30"),
        # clocks go back in the night to 30 October: 02:30 occurs twice
        ("2022-10-28", "0 9,17 * * *", "07:00", "08:00"),
        ("2022-10-28", "30 2,14 * * *", "00:30", "01:30"),
        ("2022-10-28", "0,30 2 * * *", "00:00", "01:00"),
    ],
)
@pytest.mark.parametrize("crash", [False, True])
def test_slots_are_met_once_in_a_night_in_which_summer_time_changes(
    starts: str, cron: str, begin: str, end: str, crash: bool
) -> None:
    """SPEC W1: slots are computed in the policy's time zone and compared in UTC; a restart that night has no effect."""
    sunday = parsed(f"{starts}T00:00:00.000Z") + 2 * DAY
    faults = [Fault(at=2 * DAY + 70 * MINUTE, kind="crash", where=side, lasts=5 * SECOND) for side in SIDES]
    world = a_world(*(faults if crash else ()), starts=f"{starts}T00:00:00.000Z", days=5, cron=cron)

    world.run()

    instants = [written(slot)[11:16] for slot in world.slots]
    assert (instants.count(begin), instants.count(end)) in {(2, 3), (2, 2), (1, 3), (3, 2), (2, 4)}, instants
    assert any(slot < sunday for slot in world.slots)
    for name in (*SIDES, "watch"):
        assert not blind_records(world, name)
        assert not any(key.startswith("heartbeat_missed") for key in raised(world, name))
    said = [
        message.body["slot"]
        for message in world.invariants.observations["eucom"].queued.values()
        if "slot" in message.body
    ]
    assert len(said) == len(set(said))
    assert set(said) >= {written(slot) for slot in world.slots if slot < world.ends - HOUR}


# --- leap seconds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [0, 1, 400, SECOND, 2 * SECOND])
def test_a_slot_at_a_leap_second_is_met_once(early: Millis) -> None:
    """The wall clock shows 23:59:59 twice, just when a slot begins."""
    midnight = parsed("2022-11-09T00:00:00.000Z")
    world = a_world(cron="0 0 * * *", zone="UTC")
    world.invariants.explain("clock_step", "clock_skew")
    world.start()
    for process in world.processes.values():
        world.agenda.at(midnight + SECOND - early, partial(process.step_clock, -SECOND))
    world.agenda.run_until(midnight + HOUR)

    said = [message.body.get("slot") for message in world.invariants.observations["eucom"].queued.values()]
    assert said.count(written(midnight)) == 1
    for name in (*SIDES, "watch"):
        assert slot_states(world, name)[written(midnight)] == "met"
        assert raised(world, name) == {"clock_step": 1}


def test_a_leap_second_smeared_over_a_day_is_one_small_step() -> None:
    """Only the wall clock is smeared here; if both clocks are smeared together, no step is seen."""
    watch = ClockWatch(parsed(STARTS), 0, 0)
    steps = []
    for second in range(1, 86_401):
        mono = second * SECOND
        found = watch.observe(parsed(STARTS) + mono - mono // 86_400, mono, mono)
        if found is not None:
            assert not found.blind_since
            steps.append(found.step_ms)
    assert steps == [-501]


def test_drift_is_reported_as_steps() -> None:
    """With a drift of an hour per day, the steps reported add up to the drift, up to the tolerance."""
    watch, reported, off = ClockWatch(parsed(STARTS), 0, 0), 0, 0
    for second in range(1, 86_401):
        mono = second * SECOND
        off = HOUR * second // 86_400
        found = watch.observe(parsed(STARTS) + mono + off, mono, mono)
        reported += found.step_ms if found else 0
    assert off - STEP_TOLERANCE_MS <= reported <= off
