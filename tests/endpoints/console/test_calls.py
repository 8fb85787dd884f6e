from __future__ import annotations

from typing import Any

import pytest
from msgspec import convert, structs

from endpoints.console.calls import Call, calls, passed_half
from endpoints.control.open_items import OpenItem, WaitingDraft
from protocol.core.alarms import Alarm
from protocol.wire.instants import parsed
from tests.support.console_status import EARLIER, status


def item(**changed: Any) -> OpenItem:
    found = OpenItem(
        reference="ndmc/1/2",
        kind="alert",
        precedence="immediate",
        category="air_pursuit",
        change=None,
        received_at="2022-11-29T12:00:00.000Z",
        due_at="2022-11-29T12:30:00.000Z",
        stale=None,
        waits_for="eucom",
    )
    return structs.replace(found, **changed)


def alarm(**changed: Any) -> Alarm:
    raised = {"code": "fork", "severity": "critical", "subject": "ndmc", "raised_at": EARLIER, "detected_at": EARLIER}
    return convert(raised | changed, Alarm)


def asked(**parts: Any) -> list[Call]:
    return [*calls(structs.replace(status(), **parts))]


@pytest.mark.parametrize("precedence", ["flash", "immediate"])
def test_an_urgent_alert_sounds_until_somebody_acts(precedence: str) -> None:
    assert asked(open=(item(precedence=precedence),)) == [Call(sound=1, about="ndmc/1/2")]


def test_a_line_test_and_other_alerts_chime_and_again_at_half_their_time() -> None:
    (test,) = asked(open=(item(kind="heartbeat", precedence=None),))
    assert test == Call(sound=3, about="ndmc/1/2", half_at="2022-11-29T12:15:00.000Z")
    assert not passed_half(test, parsed("2022-11-29T12:14:59.999Z"))
    assert passed_half(test, parsed("2022-11-29T12:15:00.000Z"))
    (routine,) = asked(open=(item(precedence="routine", due_at=None),))
    assert routine == Call(sound=3, about="ndmc/1/2")
    assert not passed_half(routine, parsed("2099-01-01T00:00:00.000Z"))


def test_what_waits_for_the_other_side_is_silent() -> None:
    assert asked(awaited=(item(waits_for="ndmc"),)) == []


@pytest.mark.parametrize(
    ("changed", "sounds"),
    [
        ({}, True),
        ({"severity": "major"}, False),
        ({"acknowledged_by": "watch-1", "acknowledged_at": EARLIER}, False),
        ({"cleared_at": EARLIER}, False),
    ],
)
def test_a_critical_alarm_sounds_while_it_is_new_and_active(changed: dict[str, str], *, sounds: bool) -> None:
    expected = [Call(sound=2, about="fork/ndmc")] if sounds else []
    assert asked(alarms=(alarm(**changed),)) == expected


def test_a_draft_chimes_for_the_second_officer() -> None:
    draft = WaitingDraft(
        draft="draft/3", officer="watch-1", precedence="flash", category="air_pursuit", at=EARLIER, expires_at=EARLIER
    )
    assert asked(drafts=(draft,)) == [Call(sound=3, about="draft/3")]
