"""Plans the rates of the exercise clock over a scenario.

Time runs at `WATCHED_RATE` or slower from a minute before a step or a slot until it has settled, since officers and
processes take real seconds to act. Between these periods, it runs at `IDLE_RATE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from endpoints.config.durations import parse_s
from protocol.wire.instants import Millis, parsed
from protocol.wire.policy import Policy
from scenario.steps import Acknowledge, AlertStep, Crash, Refuse, Restart, Scenario, Start, Step, Stop

IDLE_RATE = 2_000
WATCHED_RATE = 100
"""A command or a signed exchange between two processes takes tens of milliseconds: seconds of exercise time."""
STARTING_RATE = 25
"""A process takes a second or two to start, and as long to reconnect to a broker: one or two exercise minutes."""

_SECOND: Millis = 1_000
_BEFORE = 60 * _SECOND
_DELIVERED = 240 * _SECOND
_NOTICED = 60 * _SECOND
_UP = 120 * _SECOND
_GONE = 300 * _SECOND
"""Minimum durations; the player also waits until the stage has settled before time runs faster again."""


class Pace(Struct, frozen=True):
    """From exercise instant `start` on, time runs `rate` times as fast as real time."""

    start: Millis
    rate: int


class _Window(Struct, frozen=True):
    start: Millis
    end: Millis
    rate: int


def plan(scenario: Scenario, slots: Sequence[Millis], rate_max: int = IDLE_RATE) -> tuple[Pace, ...]:
    """Return the paces of a scenario from its start on, none faster than `rate_max`; at its end, the rate is 1.

    `slots` are the link's slots within the scenario.
    """
    starts, ends = parsed(scenario.starts), parsed(scenario.ends)
    windows = [*_step_windows(scenario), *_slot_windows(scenario, slots)]
    edges = {starts, *(edge for window in windows for edge in (window.start, window.end) if starts < edge < ends)}
    paces: list[Pace] = []
    for edge in sorted(edges):
        rate = min(rate_max, *(window.rate for window in windows if window.start <= edge < window.end), IDLE_RATE)
        if not paces or paces[-1].rate != rate:
            paces.append(Pace(edge, rate))
    return (*paces, Pace(ends, 1))


def real_ms(paces: Sequence[Pace], until: Millis) -> Millis:
    """Return the real milliseconds from the start of the first pace until the exercise instant `until`."""
    total = 0.0
    for index, pace in enumerate(paces):
        end = min(paces[index + 1].start if index + 1 < len(paces) else until, until)
        total += max(0, end - pace.start) / pace.rate
    return round(total)


def _step_windows(scenario: Scenario) -> Iterator[_Window]:
    policy = scenario.terms().policy
    for index, step in enumerate(scenario.steps):
        at = step.instant
        match step:
            case Restart() | Start():
                yield _watched(at, _BEFORE)
                yield _Window(at, at + _UP, STARTING_RATE)
                # a line test or an alert that waited is delivered now and is then answered
                yield _watched(at + _UP, _UP + parse_s(scenario.line_test.answer_after) * _SECOND)
            case Crash():
                yield _watched(at, _BEFORE)
                # the broker says ten real seconds later that a killed process is gone
                yield _Window(at, at + _GONE, STARTING_RATE)
            case AlertStep():
                yield _watched(at, _DELIVERED)
                for deadline in _handling_deadlines(policy, step, index, scenario.steps):
                    yield _watched(deadline, _NOTICED)
            case _:
                yield _watched(at, _DELIVERED)


def _slot_windows(scenario: Scenario, slots: Sequence[Millis]) -> Iterator[_Window]:
    policy, test = scenario.terms().policy, scenario.line_test
    grace, answer_within = policy.grace_s * _SECOND, policy.answer_within_s * _SECOND
    left = {parsed(slot) for slot in scenario.left_unanswered()}
    outages = tuple(_outages(scenario))
    for slot in slots:
        placed = parse_s(test.placed_after) * _SECOND if policy.placed_by == "officer" else 0
        yield _watched(slot, placed + parse_s(test.answer_after) * _SECOND + _DELIVERED)
        if slot in left:
            yield _watched(slot + answer_within, _DELIVERED)
        if any(start < slot + grace and slot < end for start, end in outages):
            yield _watched(slot + grace, _NOTICED)


def _watched(at: Millis, settled: Millis) -> _Window:
    return _Window(at - _BEFORE, at + settled, WATCHED_RATE)


def _handling_deadlines(policy: Policy, alert: AlertStep, index: int, steps: Sequence[Step]) -> Iterator[Millis]:
    """Yield the instants at which an alert raises an alarm because nobody has closed it."""
    handling = getattr(policy.handling, alert.precedence) * _SECOND
    deadline = alert.instant + handling
    for step in steps[index + 1 :]:
        if isinstance(step, Acknowledge | Refuse) and step.of == f"step {index}":
            if step.instant > deadline:
                yield deadline
            if isinstance(step, Refuse) or step.decision != "will_reply":
                return
            deadline = step.instant + handling
    yield deadline


def _outages(scenario: Scenario) -> Iterable[tuple[Millis, Millis]]:
    """Yield the intervals in which an endpoint or the broker is down."""
    down: dict[str, Millis] = {}
    for step in scenario.steps:
        match step:
            case Crash() | Stop():
                down[step.side] = step.instant
            case Restart() | Start():
                yield down.pop(step.side), step.instant
            case _:
                pass
