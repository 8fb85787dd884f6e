"""What a scenario says: its links, the steps of each side, and what the journals must show at the end.

The classes are the format of scenario files (docs/scenarios.md); the schema in docs/contracts/ is made from them.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from endpoints.config import default_terms
from endpoints.config.durations import parse_s
from protocol.phrases import Phrase, phrase
from protocol.wire.instants import Millis, parsed, written
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

Duration = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,6}[smhd]\Z")]
"""A duration with its unit: `40s`, `15m`, `6h`, `2d`."""
SlotCount = Annotated[int, Meta(ge=0, le=1_000_000)]
StepReference = Annotated[str, Meta(pattern=r"^step (0|[1-9][0-9]{0,5})\Z")]
"""A step of the same file, by its place in `steps`, counted from 0: `step 3`."""
STEPS_MAX = 2_000
"""Maximum number of steps in a file; repetitions count once."""
PLAYED_MAX = 20_000
"""Maximum number of steps that are played, with their repetitions."""


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


class Expect(_Strict, frozen=True, kw_only=True):
    """What the journals of a link must show at the end of the scenario."""

    slots: SlotCount
    answered_in_time: SlotCount
    # slots whose line test was missed at first (alarm) and came later
    late: Annotated[tuple[Utc, ...], Meta(max_length=1_000)] = ()
    # slots whose line test came, but not the correct answer
    unanswered: Annotated[tuple[Utc, ...], Meta(max_length=1_000)] = ()
    alerts_from: Annotated[dict[Identifier, SlotCount], Meta(max_length=2)] = {}
    # of every kind: line tests, answers, alerts, acknowledgements, refusals
    messages_from: Annotated[dict[Identifier, SlotCount], Meta(max_length=2)] = {}
    # from, to, and the number of alerts that both sides raised in between
    alerts_between: Annotated[tuple[tuple[Utc, Utc, SlotCount], ...], Meta(max_length=1_000)] = ()
    alarms_at_least: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    # messages that one journal records as sent and the other never as received
    lost: SlotCount = 0
    applied_twice: SlotCount = 0
    journals_agree: bool = True


class FurtherLink(_Strict, frozen=True, kw_only=True):
    """Another link between the same two parties: over the same connections, with a journal of its own."""

    id: Identifier
    slots: Schedule
    placed_by: Literal["service", "officer"] = "service"
    channels: Annotated[tuple[Channel, ...], Meta(max_length=16)] = ()
    # what the journals of this link must show at the end
    expect: Expect


class LinkPlan(_Strict, frozen=True, kw_only=True):
    """The link on which the scenario takes place."""

    id: Identifier
    caller: ScenarioParty
    answering: ScenarioParty
    slots: Schedule
    test_language: Language
    # who places the tests of the slots: the calling side's service, or its officer
    placed_by: Literal["service", "officer"] = "service"
    channels: Annotated[tuple[Channel, ...], Meta(max_length=16)] = ()


class LineTest(_Strict, frozen=True, kw_only=True):
    """The wording of line tests and answers, and how long after its reception the duty officer answers a test.

    Where officers place the tests, `placed_after` is how long after its notification an officer places a slot's.
    """

    text: Texts
    answer: Texts
    answer_after: Duration
    placed_after: Duration = "20s"
    assumed: bool = False


class Repetition(_Strict, frozen=True, kw_only=True):
    """How often a step takes place."""

    # from one time to the next
    every: Duration
    # in all, the first one included
    times: Annotated[int, Meta(ge=2, le=1_000)]


class _Step(_Strict, frozen=True, kw_only=True, tag_field="do"):
    """A step at an instant. If `assumed`, its time or wording is our assumption, not public record."""

    # when it takes place, the first time
    at: Utc
    # the party that acts, `broker` or `world`
    side: Identifier
    # its time or wording is an assumption, not public record
    assumed: bool = False
    # for readers of the file
    note: str = ""
    # the link that it concerns, where there are several; the first one by default
    link: Identifier | UnsetType = UNSET
    repeat: Repetition | UnsetType = UNSET

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
    """The duty officer acknowledges the alert of an earlier step.

    If both are repeated, each time acknowledges the alert of the same time.
    """

    of: StepReference
    officer: Identifier
    decision: Decision
    text: Texts | UnsetType = UNSET


class Refuse(_Step, frozen=True, kw_only=True, tag="refuse"):
    """The duty officer refuses the alert of an earlier step, optionally with a referral."""

    of: StepReference
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


class Cut(_Step, frozen=True, kw_only=True, tag="cut"):
    """The broker carries nothing of one link any more, while it accepts everything; the other links go on."""


class Mend(_Step, frozen=True, kw_only=True, tag="mend"):
    """The broker carries that link again."""


Step = AlertStep | Acknowledge | Refuse | LeaveUnanswered | Nothing | Crash | Restart | Stop | Start | Cut | Mend


class Scenario(_Strict, frozen=True, kw_only=True):
    """A scenario file."""

    BROKER: ClassVar[str] = "broker"
    WORLD: ClassVar[str] = "world"

    # the version of this format
    version: Literal[1] = 1
    name: Identifier
    starts: Utc
    ends: Utc
    status: Literal["exercise"]
    link: LinkPlan
    # more links between the same parties; a scenario with them is played in simulation alone
    further_links: Annotated[tuple[FurtherLink, ...], Meta(max_length=7)] = ()
    line_test: LineTest
    # in the order in which they first take place
    steps: Annotated[tuple[Step, ...], Meta(max_length=STEPS_MAX)]
    expect: Expect

    @property
    def parties(self) -> tuple[ScenarioParty, ScenarioParty]:
        """The calling and the answering side."""
        return self.link.caller, self.link.answering

    @property
    def links(self) -> tuple[LinkPlan | FurtherLink, ...]:
        """All links, the first one first."""
        return self.link, *self.further_links

    def expect_of(self, link: str) -> Expect:
        """Return what the journals of a link must show."""
        return next((each.expect for each in self.further_links if each.id == link), self.expect)

    def link_of(self, step: Step) -> str:
        """Return the id of the link that a step concerns."""
        return step.link or self.link.id

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

    def terms(self, epoch: int = 1, link_id: str = "") -> Terms:
        """Return the terms of a link in `epoch`, by default of the first one."""
        test, parties = self.line_test, self.link
        link = next((each for each in self.further_links if each.id == link_id), parties)
        languages = (
            parties.test_language,
            *(code for code in ("en", "ru") if code != parties.test_language),
        )
        return Terms(
            link=link.id,
            epoch=epoch,
            caller=parties.caller.id,
            answering=parties.answering.id,
            policy=Policy(
                status=self.status,
                slots=(link.slots.cron,),
                zone=link.slots.zone,
                grace_s=parse_s(link.slots.grace),
                answer_within_s=parse_s(link.slots.answer_within),
                categories=default_terms.terms().policy.categories,
                languages=languages,
                placed_by=link.placed_by,
                test_language=parties.test_language,
                test_text=test.text[parties.test_language],
                answer_text=test.answer[parties.test_language],
                channels=link.channels,
            ),
        )


def simulated_alone(scenario: Scenario) -> Phrase | None:
    """Return what only the simulation can play of a scenario, None if real processes can play it."""
    if scenario.further_links:
        return phrase("several links are played in simulation alone")
    if any(isinstance(step, Cut | Mend) for step in scenario.steps):
        return phrase("a link is cut in simulation alone")
    return None


def unrolled(scenario: Scenario) -> Scenario:
    """Return the scenario with each repetition as a step of its own, in order of time.

    References lead to the steps of the result: of the same time if both are repeated, else of the only one.
    """
    if all(step.repeat is UNSET for step in scenario.steps):
        return scenario
    placed = occurrences(scenario)
    where = {(index, time): place for place, (_, index, time) in enumerate(placed)}
    steps: list[Step] = []
    for at, index, time in placed:
        step = structs.replace(scenario.steps[index], at=written(at), repeat=UNSET)
        if isinstance(step, Acknowledge | Refuse):
            of = scenario.alert_of(step)
            step = structs.replace(step, of=f"step {where[of, time if (of, time) in where else 0]}")
        steps.append(step)
    return structs.replace(scenario, steps=tuple(steps))


def occurrences(scenario: Scenario) -> list[tuple[Millis, int, int]]:
    """Return when each step of a scenario takes place, in order of time: instant, step, and which time, from 0."""
    return sorted(
        (step.instant + time * _every(step), index, time)
        for index, step in enumerate(scenario.steps)
        for time in times(step)
    )


def times(step: Step) -> range:
    """Return the times at which a step takes place, from 0."""
    return range(1 if step.repeat is UNSET else step.repeat.times)


def _every(step: Step) -> Millis:
    return 0 if step.repeat is UNSET else parse_s(step.repeat.every) * 1_000


def _officers_of(step: Step) -> tuple[str, ...]:
    match step:
        case AlertStep():
            return step.officers
        case Acknowledge() | Refuse():
            return (step.officer,)
        case _:
            return ()
