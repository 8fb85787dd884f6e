"""The samples of a link follow its read models; every family has the same series whatever has happened."""

from __future__ import annotations

import math
from typing import Any

import pytest

from endpoints.control.status import link_state, status
from endpoints.metrics import families
from endpoints.metrics.counters import Distribution, LinkCounters
from endpoints.metrics.families import Family
from endpoints.metrics.link_samples import LinkSamples, LinkView
from endpoints.runtime.gauges import Gauges
from endpoints.runtime.ports import Now
from protocol.core.alarms import SEVERITY, Alarm, AlarmCode
from protocol.core.events import PeerPresenceChanged, SinkFailed, TransportLost
from protocol.core.snapshot import Snapshot
from protocol.wire.instants import Millis, parsed, written
from tests.support.cast import acknowledge, alert, test_line
from tests.support.playbook import event
from tests.support.world import DAY, HOUR, SECOND, START, Line, terms

LINK = "eucom-ndmc"
OF = {
    "eucom": {"eucom": "sent", "ndmc": "received"},
    "ndmc": {"ndmc": "sent", "eucom": "received"},
    "watch": {"eucom": "caller", "ndmc": "answering"},
}
FAILURE = Alarm(
    code=AlarmCode.JOURNAL_FAILURE,
    severity=SEVERITY[AlarmCode.JOURNAL_FAILURE],
    subject=LINK,
    raised_at=written(START),
    detected_at=written(START),
)


def gauges(side: str, **changes: Any) -> Gauges:
    known: dict[str, Any] = {
        "failure": None,
        "flushed_at": START,
        "free_bytes": 5,
        "heard_s": {"ndmc": 99, "eucom": 99},
    }
    return Gauges(link=LINK, side=side, **(known | changes))


def samples(line: Line | None, side: str = "eucom", **changes: Any) -> LinkSamples:
    view = None if line is None else line.ends[side].core.snapshot()
    at = START if line is None else line.world.at
    seen = LinkView(view, gauges(side, **changes), LinkCounters(OF[side]), OF[side], "actual", Now(at, at, 100))
    return {family.name: found for family, found in seen.samples()}


def value(found: LinkSamples, family: Family, *labels: str) -> float:
    (wanted,) = [sample for values, sample in found[family.name] if values == labels]
    assert isinstance(wanted, float)
    return wanted


def series(found: LinkSamples) -> set[tuple[str, tuple[str, ...]]]:
    return {(name, labels) for name, values in found.items() for labels, _ in values}


@pytest.mark.parametrize("side", OF)
def test_every_series_is_there_before_the_journal_can_be_opened_and_after_a_day(side: str) -> None:
    line = Line(terms(), watch=True)
    line.ends["eucom"].happens(*alert("flash").happenings, *test_line().happenings)
    line.settle()
    line.world.wait(DAY, line.settle)

    unopened, later = samples(None, side, failure=FAILURE), samples(line, side)

    assert sorted(unopened) == sorted(family.name for family in families.OF_A_LINK)
    info = families.LINK_INFO.name
    assert series(unopened) - {(info, ("actual",))} == series(later) - {(info, ("exercise",))}
    for family in families.OF_A_LINK:
        assert all(len(labels) + 1 == len(family.labels) for labels, _ in later[family.name]), family.name


def test_a_link_whose_journal_could_not_be_opened_is_an_alarm_of_what_the_link_file_says() -> None:
    found = samples(None, failure=FAILURE, free_bytes=None, flushed_at=None)
    assert value(found, families.LINK_INFO, "actual") == 1
    assert value(found, families.LINK_RUNNING) == 0
    assert value(found, families.LINK_STATE, "alarm") == 1
    assert value(found, families.ALARMS_ACTIVE, "journal_failure", "critical") == 1
    assert math.isnan(value(found, families.JOURNAL_FREE_BYTES))
    assert value(found, families.FLUSHED) == 0


def test_slots_tests_and_the_next_slot() -> None:
    line = Line(terms(), watch=True)
    line.world.wait(HOUR, line.settle)
    found = samples(line)
    assert value(found, families.SLOTS, "met") == 1
    assert value(found, families.SLOTS, "missed") == 0
    assert value(found, families.LAST_MET_SLOT) == parsed("2022-11-29T08:00:00.000Z") / 1_000
    assert value(found, families.NEXT_SLOT) == parsed("2022-11-29T16:00:00.000Z") / 1_000
    assert value(found, families.LAST_ANSWERED_TEST) == 0

    line.ends["eucom"].happens(*event(TransportLost, reason="x").happenings)
    line.world.wait(HOUR * 9)
    assert value(samples(line, "ndmc"), families.SLOTS, "missed") == 1


def test_alerts_drafts_and_the_outbox() -> None:
    line = Line(terms(), quiet=True, watch=True)
    line.ends["eucom"].happens(*alert("priority").happenings, *alert("flash").happenings)
    waiting = samples(line)
    assert value(waiting, families.OPEN_ALERTS, "sent", "priority") == 1
    assert value(waiting, families.DRAFTS, "flash") == 1
    assert value(waiting, families.OUTBOX_MESSAGES) == 1
    assert value(waiting, families.OUTBOX_OLDEST) == line.world.at / 1_000

    line.settle()
    assert value(samples(line), families.OUTBOX_MESSAGES) == 0
    assert value(samples(line), families.OUTBOX_OLDEST) == 0
    assert value(samples(line, "ndmc"), families.OPEN_ALERTS, "received", "priority") == 1
    assert value(samples(line, "watch"), families.OPEN_ALERTS, "caller", "priority") == 1
    assert value(samples(line), families.LAST_SIGNED, "received") == line.world.at / 1_000

    line.ends["ndmc"].happens(*acknowledge("eucom/1/1").happenings)
    line.settle()
    assert value(samples(line, "watch"), families.OPEN_ALERTS, "caller", "priority") == 0


def test_an_alarm_is_active_and_unacknowledged_by_its_code() -> None:
    line = Line(terms(), quiet=True, watch=True)
    line.ends["eucom"].happens(*event(SinkFailed, sink="webhook", why="it answers 500").happenings)
    line.ends["eucom"].happens(*event(SinkFailed, sink="command", why="it still runs").happenings)
    found = samples(line)
    assert value(found, families.ALARMS_ACTIVE, "sink_failing", "major") == 2
    assert value(found, families.ALARMS_UNACKNOWLEDGED, "sink_failing", "major") == 2
    assert value(found, families.ALARMS_ACTIVE, "fork", "critical") == 0
    assert value(found, families.LINK_STATE, "alarm") == 1
    assert sum(float(state) for _, state in found[families.LINK_STATE.name] if isinstance(state, float)) == 1


def test_presence_is_a_hint_that_ends_with_the_connection() -> None:
    line = Line(terms(), quiet=True, watch=True)
    assert value(samples(line), families.PEER_PRESENT, "received") == 1
    assert value(samples(line), families.BROKER_CONNECTED) == 1
    assert value(samples(line, heard_s={}), families.PEER_PRESENT, "received") == 0
    line.ends["eucom"].happens(*event(TransportLost, reason="x").happenings)
    assert value(samples(line), families.PEER_PRESENT, "received") == 0
    assert value(samples(line), families.BROKER_CONNECTED) == 0


def test_histograms_are_there_from_the_start() -> None:
    found = samples(Line(terms(), quiet=True, watch=True))
    for family in (families.RECEIPT_SECONDS, families.FLUSH_SECONDS):
        assert found[family.name] == (((), Distribution((0,) * (len(family.buckets) + 1), 0.0)),)


# --- the state ----------------------------------------------------------------------------------------------------


def same(line: Line, side: str, now: Millis, **known: Any) -> str:
    view: Snapshot = line.ends[side].core.snapshot()
    read, at = gauges(side, **known), Now(now, now, 100)
    state = link_state(view, read, at)
    assert state == status(view, read, at).state
    return state


def test_the_state_is_always_the_one_that_status_says() -> None:
    line = Line(terms(), watch=True)
    seen = set()

    def compare() -> None:
        line.settle()
        for side in OF:
            seen.add(same(line, side, line.world.at))
            seen.add(same(line, side, line.world.at, failure=FAILURE))
            seen.add(same(line, side, line.world.at, heard_s={}))

    compare()
    line.world.wait(HOUR, compare)
    line.ends["eucom"].happens(*alert("routine").happenings)
    compare()
    line.world.wait(5 * HOUR, compare)
    line.ends["eucom"].happens(*event(PeerPresenceChanged, party="ndmc", present=False).happenings)
    compare()
    line.world.wait(10 * SECOND, compare)
    line.world.wait(DAY, compare)
    assert seen >= {"unproven", "late", "alarm"}


def test_an_alert_past_half_of_its_time_makes_the_link_late_for_its_recipient_alone() -> None:
    line = Line(terms(), quiet=True, watch=True)
    line.ends["eucom"].happens(*alert("routine").happenings)
    line.settle()
    due = line.ends["ndmc"].core.snapshot().alerts[0].due_at
    assert due is not None
    half = (line.world.at + parsed(due)) // 2
    assert same(line, "ndmc", half - SECOND) == "unproven"
    assert same(line, "ndmc", half + 2 * SECOND) == "late"
    assert same(line, "eucom", half + 2 * SECOND) == "unproven"
