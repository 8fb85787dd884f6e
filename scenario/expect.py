"""Compares what the journals show at the end of a scenario with the scenario's `expect`."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, structs

from protocol.wire.instants import Millis, written
from scenario.steps import Expect

SlotState = Literal["answered_in_time", "late", "unanswered", "missed"]
"""`late`: the line test came after the grace period; `unanswered`: it came, but no correct answer in time; `missed`:
it never came."""


class Raised(Struct, frozen=True):
    """An alert that was queued in a stream: its sender, and when."""

    sender: str
    at: Millis


class Outcome(Struct, frozen=True, kw_only=True):
    """The outcome of a scenario, according to the journals of both sides."""

    slots: dict[Millis, SlotState]
    alerts: tuple[Raised, ...]
    # how many messages each side has sent
    messages: dict[str, int] = {}
    # codes of the alarms that either side raised
    alarms: frozenset[str]
    lost: int
    applied_twice: int
    journals_agree: bool


class Comparison(Struct, frozen=True):
    """One expectation and what was found; a line of the closing table.

    `what` is the key in `expect`; `about` names the side, interval or alarm if the key has several.
    """

    what: str
    expected: Any
    found: Any
    about: str = ""
    link: str = ""

    @property
    def met(self) -> bool:
        """Whether the journals show what the scenario expects."""
        return bool(self.expected == self.found)


def judge(expect: Expect, outcome: Outcome, link: str = "") -> tuple[Comparison, ...]:
    """Return each expectation about `link` with what was found, in the order of the scenario file."""
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
        Comparison("messages_from", count, outcome.messages.get(side, 0), side)
        for side, count in expect.messages_from.items()
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
    findings += [
        Comparison("lost", expect.lost, outcome.lost),
        Comparison("applied_twice", expect.applied_twice, outcome.applied_twice),
        Comparison("journals_agree", expect.journals_agree, outcome.journals_agree),
    ]
    return tuple(structs.replace(finding, link=link) for finding in findings)


def _slots(outcome: Outcome, state: SlotState) -> list[str]:
    return [written(slot) for slot, found in sorted(outcome.slots.items()) if found == state]
