from __future__ import annotations

from msgspec import structs

from protocol.wire.instants import parsed
from scenario.expect import Outcome, Raised, judge
from scenario.files import load, packaged

EXPECT = load(packaged("one-day")).expect
OUTCOME = Outcome(
    slots={parsed("2022-11-29T08:00:00.000Z"): "answered_in_time", parsed("2022-11-29T16:00:00.000Z"): "late"},
    alerts=(
        Raised("eucom", parsed("2022-11-29T10:12:00.100Z")),
        Raised("eucom", parsed("2022-11-29T12:40:00.100Z")),
    ),
    alarms=frozenset({"broker_unreachable", "heartbeat_missed", "peer_disconnected"}),
    lost=0,
    applied_twice=0,
    journals_agree=True,
)


def unmet(outcome: Outcome) -> list[str]:
    return [finding.what for finding in judge(EXPECT, outcome) if not finding.met]


def test_a_day_as_expected_meets_every_expectation() -> None:
    assert unmet(OUTCOME) == []


def test_each_difference_fails_its_own_expectation() -> None:
    slot = parsed("2022-11-29T16:00:00.000Z")
    assert unmet(structs.replace(OUTCOME, slots=OUTCOME.slots | {slot: "unanswered"})) == ["late", "unanswered"]
    assert unmet(structs.replace(OUTCOME, slots={slot: "late"})) == ["slots", "answered_in_time"]
    assert unmet(structs.replace(OUTCOME, alerts=OUTCOME.alerts[:1])) == ["alerts_from"]
    assert unmet(structs.replace(OUTCOME, alarms=frozenset({"heartbeat_missed"}))) == ["alarms_at_least"]
    assert unmet(structs.replace(OUTCOME, lost=1)) == ["lost"]
    assert unmet(structs.replace(OUTCOME, applied_twice=1)) == ["applied_twice"]
    assert unmet(structs.replace(OUTCOME, journals_agree=False)) == ["journals_agree"]


def test_alerts_on_a_quiet_day_are_counted() -> None:
    month = load(packaged("november-2022")).expect
    missile = Raised("eucom", parsed("2022-11-15T14:41:00.000Z"))
    findings = judge(month, structs.replace(OUTCOME, alerts=(missile,)))
    quiet = next(finding for finding in findings if finding.what == "alerts_between")
    assert (quiet.expected, quiet.found) == (0, 1)
