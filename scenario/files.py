"""Reads scenario files: the steps of a scenario on a link, and what its journals must show at the end.

A file is JSON, and unknown fields and wrong types are refused. Each error is one line with the file, the place in it
and what would be right. Two files come with the project: `one-day`, short enough for real processes, and
`november-2022`, the month to which that day belongs.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import msgspec
from msgspec import UNSET

from endpoints.errors import UserError, os_reason
from protocol.phrases import phrase
from protocol.wire.instants import parsed
from scenario.steps import (
    Acknowledge,
    AlertStep,
    Crash,
    LeaveUnanswered,
    Nothing,
    Refuse,
    Restart,
    Scenario,
    Start,
    Step,
    Stop,
)

SIZE_MAX_BYTES = 1 << 20
"""Maximum size of a scenario file; a year of steps is far smaller."""

PACKAGED = ("one-day", "november-2022")
"""The scenarios that come with the project, by name."""


def packaged(name: str) -> Path:
    """Return the path of a scenario that comes with the project: `one-day` or `november-2022`."""
    return Path(str(resources.files("scenario") / f"{name}.json"))


def load(path: Path) -> Scenario:
    """Return the scenario in a file. Raises UserError if the file cannot be read or is not a valid scenario."""
    try:
        with path.open("rb") as file:
            text = file.read(SIZE_MAX_BYTES + 1)
    except OSError as error:
        what = phrase("{path}: cannot read the scenario: {reason}", path=path, reason=os_reason(error))
        raise UserError(what) from error
    if len(text) > SIZE_MAX_BYTES:
        raise UserError(f"{path}: the file is larger than {SIZE_MAX_BYTES} bytes, the most a scenario may have")
    return decode(text, str(path))


def decode(text: bytes, name: str) -> Scenario:
    """Return the scenario in the JSON `text`; errors refer to it as `name`. Raises UserError if it is not valid."""
    try:
        scenario = msgspec.json.decode(text, type=Scenario)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{name}: not a valid scenario: {error}") from error
    if problem := _problem(scenario):
        raise UserError(f"{name}: {problem}")
    return scenario


def _problem(scenario: Scenario) -> str | None:
    """Return what is wrong in a well-formed scenario, where, and what would be right; None if it is valid."""
    return _bad_instant(scenario) or _bad_link(scenario) or _bad_steps(scenario)


def _bad_instant(scenario: Scenario) -> str | None:
    expect = scenario.expect
    instants: list[tuple[str, str]] = [("starts", scenario.starts), ("ends", scenario.ends)]
    instants += [(f"steps[{index}].at", step.at) for index, step in enumerate(scenario.steps)]
    instants += [
        (f"steps[{index}].slot", step.slot)
        for index, step in enumerate(scenario.steps)
        if isinstance(step, LeaveUnanswered)
    ]
    instants += [("expect.late", slot) for slot in expect.late]
    instants += [("expect.unanswered", slot) for slot in expect.unanswered]
    instants += [("expect.alerts_between", edge) for start, end, _ in expect.alerts_between for edge in (start, end)]
    for where, text in instants:
        try:
            parsed(text)
        except ValueError as error:
            return f"{where}: {text!r} is not a valid instant: {error}"
    if scenario.starts >= scenario.ends:
        return f"ends: {scenario.ends} is not after starts, {scenario.starts}"
    return None


def _bad_link(scenario: Scenario) -> str | None:
    link, test = scenario.link, scenario.line_test
    if link.caller.id == link.answering.id:
        return f"link.answering.id: {link.answering.id!r} is also the caller's id; the two sides need different ids"
    if taken := {link.caller.id, link.answering.id} & {Scenario.BROKER, Scenario.WORLD, "watch"}:
        return f"link: {taken.pop()!r} is reserved and cannot be a party's id; choose another"
    for where, texts in (("text", test.text), ("answer", test.answer)):
        if link.test_language not in texts:
            return f"line_test.{where}: add a text in the link's test_language {link.test_language!r}"
    for side in scenario.expect.alerts_from:
        if side not in {link.caller.id, link.answering.id}:
            return f"expect.alerts_from: {side!r} is not a party; use {link.caller.id} or {link.answering.id}"
    return None


def _bad_steps(scenario: Scenario) -> str | None:
    previous = scenario.starts
    down: set[str] = set()
    for index, step in enumerate(scenario.steps):
        where = f"steps[{index}]"
        if not previous <= step.at < scenario.ends:
            return f"{where}.at: {step.at} is out of order; it must be from {previous} on and before {scenario.ends}"
        previous = step.at
        if problem := _bad_side(scenario, step, down) or _bad_arguments(scenario, index, step):
            return f"{where}.{problem}"
    if down:
        return f"steps: {', '.join(sorted(down))} must be started again before the end, or the journals cannot agree"
    return None


def _bad_side(scenario: Scenario, step: Step, down: set[str]) -> str | None:
    """Return what is wrong if a step does not fit its side or if the side is down; keep `down` up to date."""
    match step:
        case Nothing():
            allowed = {Scenario.WORLD}
        case Stop() | Start():
            allowed = {Scenario.BROKER}
        case LeaveUnanswered():
            allowed = {scenario.link.answering.id}
        case _:
            allowed = {party.id for party in scenario.parties}
    if step.side not in allowed:
        return f"side: {step.side!r} cannot do this; {' or '.join(sorted(allowed))} can"
    match step:
        case Restart() | Start():
            if step.side not in down:
                return f"do: {step.side} is already up"
            down.remove(step.side)
        case Crash() | Stop():
            if step.side in down:
                return f"do: {step.side} is already down"
            down.add(step.side)
        case AlertStep() | Acknowledge() | Refuse() if step.side in down:
            return f"side: {step.side} is down at {step.at}"
        case _:
            pass
    return None


def _bad_arguments(scenario: Scenario, index: int, step: Step) -> str | None:
    match step:
        case AlertStep():
            needed = 2 if step.precedence in scenario.terms().policy.four_eyes else 1
            if len(set(step.officers)) != needed:
                return (
                    f"officers: precedence {step.precedence} needs {needed} different officers, not"
                    f" {list(step.officers)}"
                )
        case Acknowledge() | Refuse():
            alerts = {
                f"step {number}": alert
                for number, alert in enumerate(scenario.steps[:index])
                if isinstance(alert, AlertStep) and alert.side != step.side
            }
            if step.of not in alerts:
                known = ", ".join(map(repr, alerts)) or "none so far"
                return f"of: {step.of!r} is not an earlier alert of the other side; its alerts: {known}"
            channels = [channel.id for channel in scenario.link.channels]
            if isinstance(step, Refuse) and step.referral is not UNSET and step.referral not in channels:
                known = ", ".join(channels) or "none"
                return f"referral: {step.referral!r} is not a channel of the link; its channels: {known}"
        case _:
            pass
    return None
