"""Shrinks a plan whose world breaks a promise to fewer faults, acts and days, and prints the world's last records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import structs

from protocol.core.effects import Effect
from protocol.core.events import BatchClosed
from protocol.record.journal import Checkpoint, Entry
from protocol.wire.instants import Millis, written
from scenario.simulation import record_lines
from scenario.simulation.faults import CALM, DAY, Fault, Plan, PlannedAct
from scenario.simulation.world import Totals, world

RECORDS_SHOWN = 60
"""How many of the last records are printed; the cause is seldom further back."""

Item = TypeVar("Item", Fault, PlannedAct)


def failure(plan: Plan) -> str | None:
    """Run the world of `plan`; return which promise it broke, None if it kept them all.

    An exception of any kind counts as a broken promise.
    """
    outcome = attempt(plan)
    return outcome if isinstance(outcome, str) else None


def attempt(plan: Plan) -> Totals | str:
    """Run the world of `plan`; return its totals, or which promise it broke."""
    try:
        return world(plan).run()
    except Exception as error:  # noqa: BLE001 - every exception is a finding
        return f"{type(error).__name__}: {error}"


def shrink(plan: Plan) -> Plan:
    """Return a plan that still fails, with as few faults, acts and days as halving finds."""
    smaller = _shorter(plan)
    smaller = structs.replace(
        smaller, faults=_needed(smaller.faults, lambda faults: structs.replace(smaller, faults=faults))
    )
    smaller = structs.replace(smaller, acts=_needed(smaller.acts, lambda acts: structs.replace(smaller, acts=acts)))
    return _shorter(smaller)


def _needed(items: tuple[Item, ...], planned: Callable[[tuple[Item, ...]], Plan]) -> tuple[Item, ...]:
    """Drop halves, quarters, ... single items, as long as the rest still fails."""
    size = max(1, len(items) // 2)
    while items:
        place = 0
        while place < len(items):
            fewer = items[:place] + items[place + size :]
            if failure(planned(fewer)) is not None:
                items = fewer
            else:
                place += size
        if size == 1:
            break
        size //= 2
    return items


def _shorter(plan: Plan) -> Plan:
    """Return a plan of fewer days, if it still fails."""
    for days in (3, 5, 8, 12, 20):
        if days < plan.days:
            span = days * DAY - CALM
            shorter = structs.replace(
                plan,
                days=days,
                faults=tuple(fault for fault in plan.faults if fault.at + fault.lasts < span),
                acts=tuple(act for act in plan.acts if act.at < span),
            )
            if failure(shorter) is not None:
                return shorter
    return plan


def transcript(plan: Plan) -> list[str]:
    """Return the plan, the last records of its world, and the failure, line by line."""
    lines: deque[str] = deque(maxlen=RECORDS_SHOWN)

    def hear(at: Millis, process: str, entry: Entry, effects: Sequence[Effect]) -> None:
        if not isinstance(entry, Checkpoint) and (effects or not isinstance(entry, BatchClosed)):
            lines.append(record_lines.lines(at, process, entry, effects))

    failed = world(plan)
    failed.invariants.listen(hear)
    try:
        failed.run()
        end = "no promise broken"
    except Exception as error:  # noqa: BLE001 - as above
        end = f"{type(error).__name__}: {error}"
    items: list[Fault | PlannedAct] = [*plan.faults, *plan.acts]
    planned = [f"  {written(failed.starts + item.at)}  {msgspec.json.encode(item).decode()}" for item in items]
    return [f"seed {plan.seed}, {plan.days} days:", *planned, *lines, f"<< {end}"]
