"""What a scenario says: the link, the steps of each side, and what the journals must show at the end."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from endpoints.config import default_terms
from endpoints.config.durations import parse_s
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

Duration = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,6}[smhd]\Z")]
"""A duration with its unit: `40s`, `15m`, `6h`, `2d`."""
SlotCount = Annotated[int, Meta(ge=0)]


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
