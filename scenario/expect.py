"""What the journals show when a scenario is over, laid beside what its `expect` says they must."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from protocol.wire.instants import Millis, written
from scenario.files import Expect

SlotState = Literal["answered_in_time", "late", "unanswered", "missed"]
"""`late`: missed first, made good afterwards; `unanswered`: the call came and the right answer did not; `missed`: the
call never came."""


class Raised(Struct, frozen=True):
    """An alert that joined a stream."""

    sender: str
    at: Millis


class Outcome(Struct, frozen=True, kw_only=True):
    """What the journals of both sides show."""

    slots: dict[Millis, SlotState]
    alerts: tuple[Raised, ...]
    # codes of all alarms that either side raised
    alarms: frozenset[str]
    lost: int
    applied_twice: int
    journals_agree: bool


class Comparison(Struct, frozen=True):
    """One line of the closing table: what was expected and what was found.

    `what` is the key of `expect`; `about` says which side, interval or alarm, where there are several.
    """

    what: str
    expected: Any
    found: Any
    about: str = ""

    @property
    def met(self) -> bool:
        """The journals show what the scenario expects."""
        return bool(self.expected == self.found)


def judge(expect: Expect, outcome: Outcome) -> tuple[Comparison, ...]:
    """Compare, point by point, in the order of the scenario file."""
    findings = [
        Comparison("slots", expect.slots, len(outcome.slots)),
        Comparison("answered_in_time", expect.answered_in_time, len(_slots(outcome, "answered_in_time"))),
        Comparison("late", sorted(expect.late), _slots(outcome, "late")),
        Comparison("unanswered", sorted(expect.unanswered), _slots(outcome, "unanswered")),
    ]
    findings += [
        Comparison("alerts_from", count, sum(alert.sender == side for alert in outcome.alerts), side)
        for side, count in expect.alerts_from.items()
    ]
    findings += [
        Comparison(
            "alerts_between", count, sum(start <= written(alert.at) < end for alert in outcome.alerts), start[:10]
        )
        for start, end, count in expect.alerts_between
    ]
    findings += [
        Comparison("alarms_at_least", expected=True, found=code in outcome.alarms, about=code)
        for code in expect.alarms_at_least
    ]
    return (
        *findings,
        Comparison("lost", expect.lost, outcome.lost),
        Comparison("applied_twice", expect.applied_twice, outcome.applied_twice),
        Comparison("journals_agree", expect.journals_agree, outcome.journals_agree),
    )


def _slots(outcome: Outcome, state: SlotState) -> list[str]:
    return [written(slot) for slot, found in sorted(outcome.slots.items()) if found == state]
