"""A turn of the loop over a running link and its journal: what is on disk when anything leaves (SPEC R2, Q1.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from endpoints.mqtt.topics import Topic
from endpoints.runtime.slot_planner import PLANNED_MS
from protocol.core.effects import RaiseAlarm
from protocol.core.events import FrameReceived, Started
from protocol.errors import LocalProtocolError
from protocol.record.journal import Record, decode
from protocol.wire.instants import Millis, parsed
from protocol.wire.refusals import FrameRefusal
from tests.support.hand_turned import DAY, LINK, Machine
from tests.vectors.streams import STREAM
from tests.vectors.terms import message_frame, receipt_frame


@pytest.fixture
async def eucom(tmp_path: Path) -> AsyncIterator[Machine]:
    machine = Machine(tmp_path, "eucom")
    yield machine
    machine.dies()


@pytest.fixture
async def ndmc(tmp_path: Path) -> AsyncIterator[Machine]:
    machine = Machine(tmp_path, "ndmc")
    yield machine
    machine.dies()


# --- what is on disk when something leaves ------------------------------------------------------------------------


async def test_receipt_and_puback_leave_when_the_frames_record_is_on_disk(ndmc: Machine) -> None:
    """SPEC R2, Q1.2"""
    before = ndmc.on_disk()
    ndmc.arrives(message_frame("eucom", STREAM[:1]))
    ndmc.turn()
    # the frame's record, and the batch's end
    assert ndmc.left == [("receipt", before + 2), ("puback", before + 2)]


async def test_pubacks_leave_in_order_of_arrival_after_one_flush_of_all(ndmc: Machine) -> None:
    before = ndmc.on_disk()
    for number in range(2):
        ndmc.arrives(message_frame("eucom", STREAM[number : number + 1]))
    ndmc.turn()
    assert ndmc.left == [("receipt", before + 3), *[("puback", before + 3)] * 2]


async def test_an_officer_is_answered_when_the_request_is_on_disk(eucom: Machine) -> None:
    before = eucom.on_disk()
    answered_at: list[int] = []

    class Noted:
        def done(self) -> bool:
            return False

        def set_result(self, result: str, /) -> None:
            assert result == "eucom/1/1"
            answered_at.append(eucom.on_disk())

        def set_exception(self, exception: LocalProtocolError, /) -> None:
            raise exception

    eucom.asks(reply=Noted())
    assert answered_at == []
    eucom.turn()
    # the request, and the batch's end
    assert answered_at == [before + 2]


async def test_a_request_that_is_repeated_is_one_alert(eucom: Machine) -> None:
    first, again = eucom.asks(), eucom.asks()
    eucom.turn()
    assert first.result() == again.result() == "eucom/1/1"
    eucom.dies()
    eucom.up()
    later = eucom.asks()
    eucom.turn()
    assert later.result() == "eucom/1/1"
    assert eucom.ours.last == 1


async def test_a_resend_is_the_bytes_that_were_sent(eucom: Machine) -> None:
    """SPEC M4.1, after a restart too: they come from the journal."""
    eucom.asks()
    eucom.turn()
    sent = eucom.published[-1]
    for _ in range(3):
        eucom.turn(90_000)
        assert eucom.published[-1] == sent
    eucom.dies()
    eucom.up()
    assert sent in eucom.published[-2:]


@pytest.mark.parametrize("side", ["eucom", "ndmc"])
async def test_a_link_whose_disk_fails_sends_nothing(side: str, tmp_path: Path) -> None:
    """SPEC R2, Q3: no frame, no PUBACK; the officer gets an error; the peer keeps what it has sent."""
    machine = Machine(tmp_path, side)
    machine.breaks()
    answer = machine.asks()
    frame = message_frame("eucom", STREAM[:1]) if side == "ndmc" else receipt_frame("ndmc", 0, "0" * 64)
    machine.arrives(frame)
    machine.notices.ids.clear()
    machine.turn()
    assert [what for what, _ in machine.left] == [f"left {LINK}"]
    assert machine.published == machine.published[:1]
    with pytest.raises(LocalProtocolError, match="this link has stopped"):
        answer.result()
    # the duty officer is notified of the failure, and of nothing that is not on disk
    assert [notice.partition("/eucom-ndmc/")[0] for notice in machine.notices.ids] == ["alarm/journal_failure"]
    machine.arrives(frame)
    machine.turn()
    assert len(machine.left) == 1
    machine.dies()


async def test_a_frame_counts_for_the_party_of_its_topic_alone(eucom: Machine) -> None:
    """SPEC F3.4, F3.5: what eucom has signed itself is no message of ndmc."""
    mirrored = message_frame("eucom", STREAM[:1])
    eucom.arrives(mirrored, Topic(LINK, "ndmc", "message"))
    eucom.turn()
    verdicts = [record.entry.verdict for record in _records(eucom) if isinstance(record.entry, FrameReceived)]
    assert verdicts == [FrameRefusal.BAD_SIGNATURE]
    assert eucom.left == [("puback", eucom.on_disk())]


async def test_an_unconfirmed_notification_is_repeated_by_the_next_process(ndmc: Machine) -> None:
    """SPEC W4: at least once, under the same id."""
    ndmc.arrives(message_frame("eucom", STREAM[:1]))
    ndmc.turn()
    assert ndmc.notices.ids == ["message/eucom/1/1"]
    ndmc.dies()
    ndmc.up()
    assert ndmc.notices.ids == ["message/eucom/1/1"] * 2


async def test_an_alarm_is_raised_once_across_restarts(ndmc: Machine) -> None:
    """SPEC W4"""
    ndmc.arrives(b"noise")
    ndmc.turn()
    for _ in range(3):
        ndmc.dies()
        ndmc.up()
        ndmc.arrives(b"noise")
        ndmc.turn()
    raised = [effect for record in _records(ndmc) for effect in record.effects if isinstance(effect, RaiseAlarm)]
    assert [effect.alarm.code for effect in raised] == ["bad_frames"]


# --- time ---------------------------------------------------------------------------------------------------------


async def test_slots_are_planned_again_and_again(ndmc: Machine) -> None:
    """A year without a restart: six days a turn, in an exercise."""
    for _ in range(60):
        ndmc.clock.passes(6 * DAY, real=1_000)
        ndmc.loop.turn()
        assert ndmc.runner.core.slots_until >= ndmc.clock.at + PLANNED_MS // 2
    planned = {slot for record in _records(ndmc) for slot in getattr(record.entry, "slots", ())}
    assert len(planned) >= 2 * 360


async def test_after_an_absence_slots_are_planned_from_where_the_journal_ends(ndmc: Machine) -> None:
    """SPEC W5.2: otherwise a slot of the absence would not exist."""
    ndmc.dies()
    ndmc.clock.passes(40 * DAY)
    ndmc.up()
    (blind,) = ndmc.blind()
    assert blind.startswith("unknown: slots 2022-11-29T16:00:00.000Z, 2022-11-30T08:00:00.000Z")
    assert "and 16 more" in blind


async def test_after_a_clock_that_showed_1970_no_half_century_of_slots_is_planned(ndmc: Machine) -> None:
    ndmc.dies()
    ndmc.clock.at += 50 * 365 * DAY
    ndmc.up()
    *_, started = (record.entry for record in _records(ndmc) if isinstance(record.entry, Started))
    assert 2 * 400 <= len(started.slots) <= 2 * 415


async def test_a_stall_over_a_slot_is_recorded_before_what_waited_is_taken(ndmc: Machine) -> None:
    """SPEC W5.2: a frame that came during the stall is judged as late, not the slot as missed."""
    ndmc.clock.passes(parsed("2022-11-29T16:20:00.000Z") - ndmc.clock.at)
    ndmc.arrives(b"noise")
    ndmc.loop.turn()
    assert ndmc.slots()["2022-11-29T16:00:00.000Z"] == "unknown"
    assert ndmc.blind() == ["unknown: slot 2022-11-29T16:00:00.000Z"]


@pytest.mark.parametrize(("ahead", "more"), [(DAY, 0), (365 * DAY, 666), (50 * 365 * DAY, 764)])
async def test_a_wall_clock_that_leaps_ahead_is_one_record(ndmc: Machine, ahead: Millis, more: int) -> None:
    """SPEC W5.2: slots are planned over the leap, but not over the half century since a clock without a battery."""
    ndmc.clock.at += ahead
    ndmc.turn()
    (blind,) = ndmc.blind()
    assert blind.startswith("unknown: slots ")
    assert blind.endswith(f" and {more} more") == bool(more)
    assert not [alarm for alarm in ndmc.runner.core.snapshot().alarms if alarm.code == "heartbeat_missed"]


async def test_a_clock_that_steps_while_the_process_stalls_is_one_record(ndmc: Machine) -> None:
    """SPEC W5.2"""
    ndmc.clock.passes(parsed("2022-11-29T16:20:00.000Z") - ndmc.clock.at)
    ndmc.clock.at += DAY
    ndmc.loop.turn()
    (blind,) = ndmc.blind()
    assert blind == ("unknown: slots 2022-11-29T16:00:00.000Z, 2022-11-30T08:00:00.000Z, 2022-11-30T16:00:00.000Z")


def _records(machine: Machine) -> Iterator[Record]:
    for path in sorted(machine.folder.glob("*.jsonl")):
        for line in path.read_bytes().rstrip(b"\0").splitlines():
            yield decode(line)
