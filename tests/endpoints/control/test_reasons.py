"""When a link is fine, and the reasons why it is not (decision 0091)."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints.control.reasons import PRESENCE_MAX_S, Reason, state_of
from endpoints.control.status import Status, status
from endpoints.runtime.gauges import Gauges
from endpoints.runtime.ports import Now
from protocol.core.events import CredentialsRefused, PeerPresenceChanged, SpaceLow, TransportLost
from protocol.wire.instants import Millis, written
from tests.support.cast import acknowledge, alert, answer, see, test_line
from tests.support.playbook import Cue, event
from tests.support.world import HOUR, MINUTE, SECOND, START, Line, terms

SLOT = "2022-11-29T08:00:00.000Z"
REAL_S = 1_000
HEARD = {"eucom": REAL_S - 10.0, "ndmc": REAL_S - 10.0}


@pytest.fixture
def tested() -> Line:
    """Return a line whose first slot was met and answered."""
    line = Line(terms(), watch=True)
    line.world.wait(10 * MINUTE)
    line.settle()
    happens(line, "ndmc", answer("eucom/1/1"))
    line.settle()
    return line


def happens(line: Line, side: str, cue: Cue) -> None:
    line.ends[side].happens(*cue.happenings)


def seen(line: Line, side: str = "eucom", after: Millis = 0, **changes: Any) -> Status:
    known: dict[str, Any] = {"failure": None, "heard_s": HEARD}
    gauges = Gauges(link="eucom-ndmc", side=side, flushed_at=START, free_bytes=1, **(known | changes))
    at = line.world.at + after
    return status(line.ends[side].core.snapshot(), gauges, Now(at, at, REAL_S))


def why(found: Status) -> list[tuple[str, str, str]]:
    return [(each.code, each.state, each.subject) for each in found.reasons]


def texts(found: Status) -> list[str]:
    return [each.text for each in found.reasons]


@pytest.mark.parametrize("side", ["eucom", "ndmc", "watch"])
def test_a_tested_line_with_a_present_peer_is_fine(tested: Line, side: str) -> None:
    found = seen(tested, side)

    assert (found.state, found.reasons, found.presence_age_s) == ("fine", (), 10)


@pytest.mark.parametrize("side", ["eucom", "ndmc", "watch"])
def test_a_line_that_was_never_tested_is_unproven_until_any_test_is_answered(side: str) -> None:
    line = Line(terms(), quiet=True, watch=True)
    assert why(seen(line, side)) == [("untested", "unproven", "")]
    happens(line, "eucom", test_line())
    line.settle()
    assert seen(line, side).state == "late"

    happens(line, "ndmc", answer("eucom/1/1"))
    line.settle()

    assert seen(line, side).state == "fine"


@pytest.mark.parametrize("side", ["eucom", "ndmc", "watch"])
def test_without_a_connection_it_is_not_fine_at_once_and_says_why(tested: Line, side: str) -> None:
    happens(tested, side, event(TransportLost, reason="Connection refused"))

    found = seen(tested, side)

    assert why(found) == [("not_connected", "unproven", "")]
    assert texts(found) == ["no connection to the broker: Connection refused"]
    assert (found.state, found.broker, found.peer) == ("unproven", "disconnected", "unknown")


@pytest.mark.parametrize("side", ["eucom", "watch"])
def test_a_peer_that_the_broker_calls_gone_or_that_is_silent_is_not_fine(tested: Line, side: str) -> None:
    silent = seen(tested, side, heard_s=HEARD | {"ndmc": REAL_S - PRESENCE_MAX_S - 1})
    unheard = seen(tested, side, heard_s={"eucom": HEARD["eucom"]})
    just = seen(tested, side, heard_s=HEARD | {"ndmc": REAL_S - PRESENCE_MAX_S})
    happens(tested, side, event(PeerPresenceChanged, party="ndmc", present=False))
    gone = seen(tested, side)

    assert why(silent) == why(unheard) == [("peer_unheard", "unproven", "ndmc")]
    assert (silent.presence_age_s, unheard.presence_age_s, just.state) == (76, None, "fine")
    assert ("peer_gone", "unproven", "ndmc") in why(gone)
    assert (gone.state, gone.peer) == ("unproven", "gone")


def test_a_warning_counts_while_it_is_active_and_an_alarm_until_it_is_seen_as_well(tested: Line) -> None:
    happens(tested, "eucom", event(CredentialsRefused, source="127.0.0.1", count=10))
    assert why(seen(tested)) == [("warning", "unproven", "credentials_refused/127.0.0.1")]

    happens(tested, "eucom", event(SpaceLow, free_bytes=1))
    happens(tested, "eucom", see("space_low", "journal"))

    assert ("alarm", "alarm", "space_low/journal") in why(seen(tested))
    assert seen(tested).state == "alarm"


def test_a_message_without_a_receipt_is_late_after_half_a_minute(tested: Line) -> None:
    happens(tested, "eucom", alert())

    assert seen(tested, after=30 * SECOND).state == "fine"
    found = seen(tested, after=30 * SECOND + 1)

    assert why(found) == [("unreceipted", "late", "")]
    assert texts(found) == ["the oldest message without a receipt has waited since 2022-11-29 08:00:00 UTC"]


def test_an_alert_is_late_past_half_of_its_time_at_the_side_that_has_to_handle_it(tested: Line) -> None:
    happens(tested, "eucom", alert())
    tested.settle()
    (item,) = seen(tested, "ndmc").open
    assert (item.reference, item.waits_for) == ("eucom/1/2", "ndmc")
    assert [each.reference for each in seen(tested, "eucom").awaited] == ["eucom/1/2"]
    assert [each.reference for each in seen(tested, "watch").awaited] == ["eucom/1/2"]
    half = 3 * HOUR
    assert item.due_at == written(tested.world.at + 2 * half)

    assert seen(tested, "ndmc", half).state == "fine"
    assert why(seen(tested, "ndmc", half + 1)) == [("officer_awaited", "late", "eucom/1/2")]
    assert seen(tested, "eucom", half + 1).state == "fine"
    happens(tested, "ndmc", acknowledge("eucom/1/2"))
    assert not seen(tested, "ndmc", half + 1).open


def test_the_last_due_slot_must_be_met_and_answered() -> None:
    line = Line(terms(), watch=True)
    until = 10 * MINUTE
    # the slot is due, and the caller's service has not placed its test yet
    assert ("slot_open", "late", SLOT) in why(seen(line, "ndmc", until))
    line.world.wait(until)
    line.settle()
    assert why(seen(line, "ndmc")) == [
        ("answer_awaited", "late", "eucom/1/1"),
        ("slot_unproven", "unproven", SLOT),
    ]
    line.world.wait(HOUR)
    assert seen(line, "ndmc").state == "alarm"


def test_a_slot_that_nobody_watched_leaves_the_line_unproven(tested: Line) -> None:
    end = tested.ends["ndmc"]
    end.crash()
    tested.world.at += 25 * HOUR
    end.start()
    for alarm in end.core.snapshot().alarms:
        end.happens(*see(alarm.code, alarm.subject).happenings)

    assert ("slot_unproven", "unproven", "2022-11-30T08:00:00.000Z") in why(seen(tested, "ndmc"))


def test_the_worst_reason_decides() -> None:
    def of(*states: Any) -> str:
        return state_of(Reason(code="untested", state=state, text="") for state in states)

    assert of() == "fine"
    assert of("unproven", "late", "unproven") == "late"
    assert of("late", "alarm", "unproven") == "alarm"


def test_drafts_are_listed_until_they_expire(tested: Line) -> None:
    happens(tested, "eucom", alert("immediate", expires_at=written(tested.world.at + HOUR)))
    happens(tested, "eucom", alert("flash", expires_at=written(tested.world.at + 2 * HOUR)))

    assert [each.draft for each in seen(tested).drafts] == ["draft/2", "draft/1"]
    assert [each.draft for each in seen(tested, after=HOUR).drafts] == ["draft/2"]
