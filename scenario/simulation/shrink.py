"""From a world that broke a promise to the little that it takes: fewer faults, fewer acts, fewer days; then told."""

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
from scenario.simulation.faults import CALM, DAY, Act, Fault, Plan
from scenario.simulation.world import Totals, world

TOLD = 60
"""The last records before the end; what led there is seldom farther away."""
_FIELD_MAX = 120

Item = TypeVar("Item", Fault, Act)


def failure(plan: Plan) -> str | None:
    """Let the world of `plan` happen; return which promise it broke, None if it kept them all.

    An error of any kind counts: the core is total, and so is what stands around it.
    """
    outcome = attempt(plan)
    return outcome if isinstance(outcome, str) else None


def attempt(plan: Plan) -> Totals | str:
    """Let the world of `plan` happen; return its totals, or which promise it broke."""
    try:
        return world(plan).run()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        return f"{type(error).__name__}: {error}"


def shrink(plan: Plan) -> Plan:
    """Return a plan that fails with as little in it as halving finds."""
    smaller = _shorter(plan)
    smaller = structs.replace(
        smaller, faults=_needed(smaller.faults, lambda faults: structs.replace(smaller, faults=faults))
    )
    smaller = structs.replace(smaller, acts=_needed(smaller.acts, lambda acts: structs.replace(smaller, acts=acts)))
    return _shorter(smaller)


def _needed(items: tuple[Item, ...], planned: Callable[[tuple[Item, ...]], Plan]) -> tuple[Item, ...]:
    """Drop halves, quarters, ... single items, as long as what is left still fails."""
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
    """Let the world end sooner, as long as it still fails."""
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
    """Return the plan, the last records of its world, and how it failed, line by line."""
    told: deque[str] = deque(maxlen=TOLD)

    def hear(at: Millis, process: str, entry: Entry, effects: Sequence[Effect]) -> None:
        if not isinstance(entry, Checkpoint) and (effects or not isinstance(entry, BatchClosed)):
            told.append(_line(at, process, entry, effects))

    failed = world(plan)
    failed.invariants.listener = hear
    try:
        failed.run()
        end = "nothing was broken"
    except Exception as error:  # noqa: BLE001 - as above
        end = f"{type(error).__name__}: {error}"
    items: list[Fault | Act] = [*plan.faults, *plan.acts]
    planned = [f"  {written(failed.starts + item.at)}  {msgspec.json.encode(item).decode()}" for item in items]
    return [f"seed {plan.seed}, {plan.days} days:", *planned, *told, f"<< {end}"]


def _line(at: Millis, process: str, entry: Entry, effects: Sequence[Effect]) -> str:
    return "\n".join(
        [f"{written(at)} {process:5} >> {_shown(entry)}", *(f"{'':31}<< {_shown(each)}" for each in effects)]
    )


def _shown(value: Entry | Effect) -> str:
    fields = msgspec.to_builtins(value)
    name = fields.pop("event", None) or fields.pop("effect")
    for clock in ("at", "mono"):
        fields.pop(clock, None)
    shown = (f"{field}={_short(content)}" for field, content in fields.items())
    return f"{name} {' '.join(shown)}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _FIELD_MAX else f"{text[:_FIELD_MAX]}..."
