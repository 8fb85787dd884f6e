"""Reads scenario files: the steps of a scenario on a link, and what its journals must show at the end.

A file is JSON, and unknown fields and wrong types are refused. Each error is one line with the file, the place in it
and what would be right. Two files come with the project: `one-day`, short enough for real processes, and
`november-2022`, the month to which that day belongs.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from endpoints.config import default_terms
from endpoints.config.durations import parse_s
from endpoints.errors import UserError, os_reason
from protocol.phrases import phrase
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import (
    Area,
    Category,
    Decision,
    Identifier,
    Language,
    Precedence,
    RefusalReason,
    Text,
    Texts,
    Utc,
)
from protocol.wire.policy import Channel, Policy, Terms

SIZE_MAX_BYTES = 1 << 20
"""Maximum size of a scenario file; a year of steps is far smaller."""

Duration = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,6}[smhd]$")]
"""A duration with its unit: `40s`, `15m`, `6h`, `2d`."""
SlotCount = Annotated[int, Meta(ge=0)]
PACKAGED = ("one-day", "november-2022")
"""The scenarios that come with the project, by name."""


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A base class that refuses unknown fields: a misspelt field would silently change the scenario."""


class ScenarioParty(_Strict, frozen=True, kw_only=True):
    """One of the two headquarters."""

    id: Identifier
    name: Texts
    site: Text
    # IANA time zone of the site
    zone: Text


class Schedule(_Strict, frozen=True, kw_only=True):
    """The schedule of line tests."""

    cron: Text
    zone: Text
    grace: Duration
    answer_within: Duration


class LinkPlan(_Strict, frozen=True, kw_only=True):
    """The link on which the scenario takes place."""

    id: Identifier
    caller: ScenarioParty
    answering: ScenarioParty
    slots: Schedule
    test_language: Language
    # who places the tests of the slots: the calling side's service, or its officer
    placed_by: Literal["service", "officer"] = "service"
    channels: tuple[Channel, ...] = ()


class LineTest(_Strict, frozen=True, kw_only=True):
    """The wording of line tests and answers, and how long after its reception the duty officer answers a test.

    Where officers place the tests, `placed_after` is how long after its notification an officer places a slot's.
    """

    text: Texts
    answer: Texts
    answer_after: Duration
    placed_after: Duration = "20s"
    assumed: bool = False


class _Step(_Strict, frozen=True, kw_only=True, tag_field="do"):
    """A step at an instant. If `assumed`, its time or wording is our assumption, not public record."""

    at: Utc
    side: Identifier
    assumed: bool = False
    note: str = ""

    @property
    def instant(self) -> Millis:
        """The instant `at`, in milliseconds."""
        return parsed(self.at)


class AlertStep(_Step, frozen=True, kw_only=True, tag="alert"):
    """An officer raises an alert; a second officer releases it if the policy requires four eyes."""

    category: Category
    precedence: Precedence
    officers: Annotated[tuple[Identifier, ...], Meta(min_length=1, max_length=2)]
    text: Texts
    expires_after: Duration
    area: Area | UnsetType = UNSET


class Acknowledge(_Step, frozen=True, kw_only=True, tag="acknowledge"):
    """The duty officer acknowledges the alert of an earlier step, which `of` names as `step N`, counted from 0."""

    of: str
    officer: Identifier
    decision: Decision
    text: Texts | UnsetType = UNSET


class Refuse(_Step, frozen=True, kw_only=True, tag="refuse"):
    """The duty officer refuses the alert of an earlier step, optionally with a referral."""

    of: str
    officer: Identifier
    reason: RefusalReason
    referral: Identifier | UnsetType = UNSET
    text: Texts | UnsetType = UNSET


class LeaveUnanswered(_Step, frozen=True, kw_only=True, tag="leave_unanswered"):
    """Nobody answers the line test of `slot`."""

    slot: Utc


class Nothing(_Step, frozen=True, kw_only=True, tag="nothing"):
    """Something happens in the world, but the open line is not used."""

    what: Text


class Crash(_Step, frozen=True, kw_only=True, tag="crash"):
    """The endpoint of this side is killed (`kill -9`)."""


class Restart(_Step, frozen=True, kw_only=True, tag="restart"):
    """The endpoint of this side is started again."""


class Stop(_Step, frozen=True, kw_only=True, tag="stop"):
    """The broker stops."""


class Start(_Step, frozen=True, kw_only=True, tag="start"):
    """The broker is started again."""


Step = AlertStep | Acknowledge | Refuse | LeaveUnanswered | Nothing | Crash | Restart | Stop | Start


class Expect(_Strict, frozen=True, kw_only=True):
    """What the journals must show at the end of the scenario."""

    slots: SlotCount
    answered_in_time: SlotCount
    # slots whose line test was missed at first (alarm) and came later
    late: tuple[Utc, ...] = ()
    # slots whose line test came, but not the correct answer
    unanswered: tuple[Utc, ...] = ()
    alerts_from: dict[Identifier, SlotCount] = {}
    # from, to, and the number of alerts that both sides raised in between
    alerts_between: tuple[tuple[Utc, Utc, SlotCount], ...] = ()
    alarms_at_least: tuple[str, ...] = ()
    # messages that one journal records as sent and the other never as received
    lost: int = 0
    applied_twice: int = 0
    journals_agree: bool = True


class Scenario(_Strict, frozen=True, kw_only=True):
    """A scenario file."""

    BROKER: ClassVar[str] = "broker"
    WORLD: ClassVar[str] = "world"

    name: Identifier
    starts: Utc
    ends: Utc
    status: Literal["exercise"]
    link: LinkPlan
    line_test: LineTest
    steps: tuple[Step, ...]
    expect: Expect

    @property
    def parties(self) -> tuple[ScenarioParty, ScenarioParty]:
        """The calling and the answering side."""
        return self.link.caller, self.link.answering

    def party(self, side: str) -> ScenarioParty:
        """Return the party with this id."""
        return next(party for party in self.parties if party.id == side)

    def officers(self, side: str) -> tuple[str, ...]:
        """Return the officers of a side: those named in steps, filled up to two, as four eyes require."""
        named = [name for step in self.steps if step.side == side for name in _officers_of(step)]
        return tuple(dict.fromkeys([*named, "duty-1", "duty-2"]))[: max(2, len(dict.fromkeys(named)))]

    def duty_officer(self, side: str) -> str:
        """Return the officer who answers, or places, line tests at a side."""
        officers = self.officers(side)
        return "duty-1" if "duty-1" in officers else officers[0]

    def alert_of(self, step: Acknowledge | Refuse) -> int:
        """Return the index of the alert step that `step` refers to."""
        return int(step.of.removeprefix("step "))

    def left_unanswered(self) -> frozenset[str]:
        """Return the slots whose line test nobody answers."""
        return frozenset(step.slot for step in self.steps if isinstance(step, LeaveUnanswered))

    def terms(self, epoch: int = 1) -> Terms:
        """Return the terms of the scenario's link in `epoch`."""
        link, test = self.link, self.line_test
        languages = (link.test_language, *(code for code in ("en", "ru") if code != link.test_language))
        return Terms(
            link=link.id,
            epoch=epoch,
            caller=link.caller.id,
            answering=link.answering.id,
            policy=Policy(
                status=self.status,
                slots=(link.slots.cron,),
                zone=link.slots.zone,
                grace_s=parse_s(link.slots.grace),
                answer_within_s=parse_s(link.slots.answer_within),
                categories=default_terms.terms().policy.categories,
                languages=languages,
                placed_by=link.placed_by,
                test_language=link.test_language,
                test_text=test.text[link.test_language],
                answer_text=test.answer[link.test_language],
                channels=link.channels,
            ),
        )


def _officers_of(step: Step) -> tuple[str, ...]:
    match step:
        case AlertStep():
            return step.officers
        case Acknowledge() | Refuse():
            return (step.officer,)
        case _:
            return ()


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
