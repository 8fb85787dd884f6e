"""Slots are planned with limits: neither a dense schedule nor a wrong clock makes a long turn or a huge record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from endpoints.clocks import slots
from endpoints.config import default_terms
from endpoints.runtime.slot_planner import PLANNED_MAX, SlotPlanner
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.policy import Policy, Terms
from tests.support.hand_turned import DAY, LINK, Machine

BOOT = parsed("1970-01-01T00:00:20.000Z")
SET = parsed("2026-07-12T12:00:30.000Z")
RECORD_MAX_BYTES = 200_000


def dense(expression: str) -> Terms:
    terms = default_terms.terms(LINK)
    return structs.replace(terms, policy=structs.replace(terms.policy, slots=(expression,), grace_s=60))


def policy(expression: str) -> Policy:
    return dense(expression).policy


@pytest.fixture
def booted(tmp_path: Path) -> Iterator[Machine]:
    """A machine without a battery, whose journal begins in 1970, with a slot every two minutes."""
    machine = Machine(tmp_path, "ndmc", terms=dense("*/2 * * * *"), at=BOOT)
    yield machine
    machine.dies()


def longest(machine: Machine) -> int:
    lines = (line for path in machine.folder.glob("*.jsonl") for line in path.read_bytes().rstrip(b"\0").split(b"\n"))
    return max(map(len, lines))


async def test_a_clock_that_is_set_from_1970_is_one_watch_blind_over_the_whole_interval(booted: Machine) -> None:
    """SPEC W5.2"""
    before = booted.clock.at
    booted.clock.at = SET
    booted.turn()
    (blind,) = (alarm for alarm in booted.runner.core.snapshot().alarms if alarm.code == "watch_blind")
    assert blind.raised_at[:16] == written(before)[:16]
    assert blind.subject.endswith(written(booted.clock.at))
    assert longest(booted) < RECORD_MAX_BYTES
    assert booted.runner.core.slots_until > booted.clock.at


async def test_a_restart_after_1970_is_one_watch_blind(booted: Machine) -> None:
    """SPEC W5.2"""
    booted.dies()
    booted.clock.at = SET
    booted.up()
    assert len(booted.blind()) == 1
    assert longest(booted) < RECORD_MAX_BYTES


async def test_a_clock_that_was_far_ahead_and_is_set_back_awaits_the_next_slots(booted: Machine) -> None:
    """SPEC W5.1, W5.2"""
    for at in (SET, parsed("2100-01-01T00:00:00.000Z"), SET + 10_000):
        booted.clock.at = at
        booted.turn()
    assert booted.runner.core.snapshot().next_slot == "2026-07-12T12:02:00.000Z"
    assert booted.runner.core.slots_until < SET + 15 * DAY
    assert longest(booted) < RECORD_MAX_BYTES


async def test_a_dense_schedule_is_planned_in_pieces_without_a_gap(booted: Machine) -> None:
    for _ in range(20):
        booted.clock.passes(4 * 3_600_000, real=1_000)
        booted.loop.turn()
        assert booted.runner.core.slots_until > booted.clock.at


@pytest.mark.parametrize("expression", ["* * * * *", "*/2 * * * *", "0 9,17 * * *", "0 6 1 1,7 *"])
def test_pieces_join_to_the_whole_schedule(expression: str) -> None:
    planner = SlotPlanner(policy(expression))
    since: Millis = SET
    planned: list[str] = []
    now = SET
    while now < SET + 3 * DAY:
        if planner.due(since, now) or not planned:
            plan = planner.plan(since, now)
            assert all(since < parsed(instant) <= parsed(plan.until) for instant in plan.slots)
            planned += plan.slots
            since = parsed(plan.until)
        assert since > now
        now += 3_600_000
    assert planned == sorted(set(planned))
    whole = slots.plan([expression], policy(expression).zone, SET, since)
    assert tuple(planned) == whole


def test_the_newest_slots_are_planned_back() -> None:
    plan = SlotPlanner(policy("* * * * *")).plan(BOOT, SET)
    assert len(plan.slots) == 2 * PLANNED_MAX
    assert plan.slots[PLANNED_MAX - 1] == "2026-07-12T12:00:00.000Z"
