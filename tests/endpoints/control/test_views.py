"""`status` and the delivery ladder as pure functions of the read models."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from endpoints.cli.officer_session import rung
from endpoints.control.delivery_progress import climb
from endpoints.control.status import status
from endpoints.runtime.gauges import Gauges
from endpoints.runtime.ports import Now
from endpoints.texts.i18n import translator
from protocol.core.alarms import SEVERITY, Alarm, AlarmCode
from protocol.core.events import WatchTaken
from protocol.core.snapshot import Snapshot
from protocol.core.start_events import OfficersEnrolled
from protocol.errors import LocalProtocolError
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Reference
from tests.support.cast import acknowledge, alert, cancel, refuse, release, test_line
from tests.support.playbook import Cue, event
from tests.support.world import DAY, HOUR, START, Line, terms

FAILURE = Alarm(
    code=AlarmCode.JOURNAL_FAILURE,
    severity=SEVERITY[AlarmCode.JOURNAL_FAILURE],
    subject="eucom-ndmc",
    raised_at=written(START),
    detected_at=written(START),
    detail="no space left on device",
)


@pytest.fixture
def line() -> Line:
    return Line(terms(), quiet=True)


def gauges(failure: Alarm | None = None, **changes: Any) -> Gauges:
    known: dict[str, Any] = {
        "link": "eucom-ndmc",
        "side": "eucom",
        "flushed_at": START,
        "free_bytes": 1,
        "heard_s": {"eucom": 100.0, "ndmc": 100.0},
    }
    return Gauges(failure=failure, **(known | changes))


def at(wall_ms: Millis, real_s: int = 100) -> Now:
    return Now(wall_ms, wall_ms, real_s)


def eucom(line: Line) -> Snapshot:
    return line.eucom.core.snapshot()


def happens(line: Line, side: str, cue: Cue) -> None:
    line.ends[side].happens(*cue.happenings)


def steps(line: Line, written: str, **known: Any) -> tuple[tuple[str, ...], bool]:
    ladder, last = climb(eucom(line), gauges(**known), written)
    return ladder.steps, last


def roster(*officers: str) -> dict[str, str]:
    return dict.fromkeys(officers, "0" * 64)


def unknown(view: Snapshot, written: str) -> str:
    with pytest.raises(LocalProtocolError) as error:
        climb(view, gauges(), written)
    assert error.value.code == "unknown_reference"
    return error.value.detail


# --- status -------------------------------------------------------------------------------------------------------


def test_a_failure_that_only_the_process_knows_is_an_alarm(line: Line) -> None:
    view = eucom(line)
    runs, failed = status(view, gauges(), at(START)), status(view, gauges(FAILURE), at(START))
    assert (runs.broker, runs.peer, runs.alarms) == ("connected", "present", ())
    assert (failed.state, failed.broker, failed.peer, failed.alarms) == ("alarm", "disconnected", "unknown", (FAILURE,))


def test_of_a_link_whose_journal_could_not_be_opened_the_failure_alone_is_known() -> None:
    document = msgspec.json.decode(msgspec.json.encode(status(None, gauges(FAILURE), at(START))))
    assert document.pop("alarms")[0]["detail"] == "no space left on device"
    assert document == {
        "link": "eucom-ndmc",
        "status": None,
        "side": "eucom",
        "state": "alarm",
        "reasons": [
            {
                "code": "alarm",
                "state": "alarm",
                "subject": "journal_failure/eucom-ndmc",
                "text": "alarm journal_failure/eucom-ndmc",
                "said": {"text": "alarm {alarm}", "values": {"alarm": "journal_failure/eucom-ndmc"}},
            }
        ],
        "broker": "disconnected",
        "peer": "unknown",
        "presence_age_s": None,
        "last_signed_at": None,
        "last_test": None,
        "next_slot": None,
        "outbox": None,
        "open": [],
        "awaited": [],
        "drafts": [],
        "on_watch": None,
        "confirmed": None,
    }


def test_the_document_of_a_link_with_a_test_and_an_alert(line: Line) -> None:
    happens(line, "eucom", test_line())
    happens(line, "eucom", alert())
    document = msgspec.json.decode(msgspec.json.encode(status(eucom(line), gauges(), at(START))))
    assert document["last_test"] == {
        "reference": "eucom/1/1",
        "at": written(START),
        "slot": None,
        "state": "placed",
        "answered_at": None,
        "stale": None,
    }
    assert document["outbox"] == {"waiting": 0, "in_flight": 2}
    assert document["state"] == "late"
    view = eucom(line)
    assert view.ours is not None
    assert (view.ours.in_flight, view.ours.oldest_at) == (2, written(START))
    line.settle()
    view = eucom(line)
    assert view.ours is not None
    assert (view.ours.in_flight, view.ours.oldest_at) == (0, None)


# --- the delivery ladder ------------------------------------------------------------------------------------------


def test_the_ladder_of_an_alert_that_is_acknowledged(line: Line) -> None:
    happens(line, "eucom", alert())
    assert steps(line, "eucom/1/1") == (("journaled",), False)
    assert steps(line, "eucom/1/1", broker_has=frozenset({1})) == (("journaled", "broker"), False)
    line.settle()
    received = ("journaled", "broker", "received")
    assert steps(line, "eucom/1/1") == (received, False)
    happens(line, "ndmc", acknowledge("eucom/1/1"))
    line.settle()
    assert steps(line, "eucom/1/1") == ((*received, "acknowledged"), True)
    ladder, _ = climb(eucom(line), gauges(), "eucom/1/1")
    reply = msgspec.json.decode(msgspec.json.encode(ladder))["reply"]
    assert (reply["type"], reply["officer"], reply["decision"]) == ("acknowledgement", "duty-1", "understood")


def test_the_ladder_ends_with_a_refusal_and_with_a_cancellation(line: Line) -> None:
    for _ in range(2):
        happens(line, "eucom", alert())
    line.settle()
    happens(line, "ndmc", refuse("eucom/1/1"))
    happens(line, "eucom", cancel("eucom/1/2"))
    line.settle()
    received = ("journaled", "broker", "received")
    assert steps(line, "eucom/1/1") == ((*received, "refused"), True)
    assert steps(line, "eucom/1/2") == ((*received, "cancelled"), True)
    ladder, _ = climb(eucom(line), gauges(), "eucom/1/2")
    assert ladder.changed_by == "eucom/1/3"


def test_the_ladder_ends_with_an_update_and_names_it(line: Line) -> None:
    """SPEC B3.3"""
    happens(line, "eucom", alert())
    happens(line, "eucom", alert(changes=Reference("eucom", 1, 1), change_kind="update"))
    line.settle()
    ladder, last = climb(eucom(line), gauges(), "eucom/1/1")
    assert (ladder.steps[-1], ladder.changed_by, last) == ("changed", "eucom/1/2", True)
    t = translator("en")
    assert rung(msgspec.to_builtins(ladder), "changed", t) == "eucom/1/1: changed (by eucom/1/2)"
    assert rung({"reference": "eucom/1/1"}, "cancelled", t) == "eucom/1/1: cancelled"


def test_the_status_shows_what_waits_for_an_officer_and_how_old_it_is(line: Line) -> None:
    """SPEC M8.4"""
    for cue in (test_line(), alert(), alert("priority"), cancel("eucom/1/2"), alert()):
        happens(line, "eucom", cue)
    line.world.at += 2 * DAY
    line.settle()
    happens(line, "ndmc", acknowledge("eucom/1/5"))
    view = line.ndmc.core.snapshot()
    document = msgspec.json.decode(msgspec.json.encode(status(view, gauges(), at(line.world.at))))
    expired, sent = written(START + DAY), written(START)
    old = {"old_since": sent}
    assert [(each["reference"], each["precedence"], each["change"], each["stale"]) for each in document["open"]] == [
        ("eucom/1/1", None, None, old),
        ("eucom/1/3", "priority", None, old | {"expired_at": expired}),
        ("eucom/1/4", "routine", "cancellation", old),
    ]
    assert document["last_test"]["stale"] == old
    assert not status(eucom(line), gauges(), at(line.world.at)).open


def test_the_status_shows_who_is_on_watch(line: Line) -> None:
    """SPEC W7"""
    happens(line, "eucom", event(WatchTaken, request="r", officer="watch-1"))
    document = msgspec.json.decode(msgspec.json.encode(status(eucom(line), gauges(), at(START))))
    assert document["on_watch"] == {"officer": "watch-1", "since": written(START)}


def test_the_ladder_of_a_line_test_ends_with_its_answer(line: Line) -> None:
    happens(line, "eucom", test_line())
    assert steps(line, "eucom/1/1") == (("journaled",), False)
    line.settle()
    reached, last = steps(line, "eucom/1/1")
    assert reached[:3] == ("journaled", "broker", "received")
    assert last == (reached[3:] == ("answered",))


def test_the_ladder_of_a_message_that_nobody_answers_ends_with_its_receipt(line: Line) -> None:
    happens(line, "ndmc", alert())
    line.settle()
    happens(line, "eucom", acknowledge("ndmc/1/1"))
    assert steps(line, "eucom/1/1") == (("journaled",), False)
    line.settle()
    assert steps(line, "eucom/1/1") == (("journaled", "broker", "received"), True)


def test_a_draft_is_held_until_it_is_released_and_then_has_its_messages_ladder(line: Line) -> None:
    happens(line, "eucom", alert("flash"))
    assert steps(line, "draft/1") == (("held",), False)
    happens(line, "eucom", release(1))
    ladder, last = climb(eucom(line), gauges(), "draft/1")
    assert (ladder.reference, ladder.steps, last) == ("eucom/1/1", ("journaled",), False)
    assert ladder.draft_end is not None
    assert (ladder.draft_end.act, ladder.draft_end.officer) == ("released", "watch-2")
    assert unknown(eucom(line), "draft/2") == "draft/2 is not one of the last drafts"


def test_the_ladder_of_a_draft_ends_when_it_is_discarded_or_expires(line: Line) -> None:
    happens(line, "eucom", alert("flash"))
    happens(line, "eucom", cancel(draft=1))
    assert steps(line, "draft/1") == (("held", "discarded"), True)
    happens(line, "eucom", alert("flash", expires_at=written(line.eucom.at + HOUR)))
    line.world.wait(HOUR)
    assert steps(line, "draft/2") == (("held", "expired"), True)


def test_the_ladder_of_a_draft_ends_when_its_author_is_removed(line: Line) -> None:
    """SPEC P1.5: nobody can release it any more."""
    happens(line, "eucom", event(OfficersEnrolled, officers=roster("watch-1", "watch-2")))
    happens(line, "eucom", alert("flash"))
    assert steps(line, "draft/1") == (("held",), False)
    happens(line, "eucom", event(OfficersEnrolled, officers=roster("watch-2", "watch-3")))
    assert eucom(line).officers == ("watch-2", "watch-3")
    assert steps(line, "draft/1") == (("held", "author_removed"), True)
    happens(line, "eucom", cancel(draft=1, officer="watch-2"))
    assert steps(line, "draft/1") == (("held", "discarded"), True)


@pytest.mark.parametrize("written", ["eucom/1/1", "ndmc/1/1", "eucom/2/1", "draft/x", "draft/" + "9" * 5_000, "eucom"])
def test_what_is_neither_an_own_message_nor_a_draft_is_unknown(line: Line, written: str) -> None:
    assert unknown(eucom(line), written)
