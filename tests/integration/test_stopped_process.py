"""A process stopped over a slot, by SIGSTOP or a sleeping machine, reports one blind interval and no missed slot."""

import signal
from collections.abc import Iterator

import pytest

from protocol.wire.instants import parsed
from tests.support.station import ALL, Station

pytestmark = pytest.mark.integration

SLOT = "2022-11-29T16:00:00.000Z"
FAST = 200
STALL_S = 6
"""Real seconds; a process that was stopped for five seconds counts as blind."""


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(
        tmp_path_factory, starts=parsed("2022-11-29T15:58:00.000Z"), slots=("0 * * * *",), grace_s=300
    ) as station:
        station.start(*ALL)
        yield station


def raised(station: Station, name: str, code: str) -> list[dict[str, str]]:
    return [each["alarm"] for each in station.effects(name, "RaiseAlarm") if each["alarm"]["code"] == code]


def test_a_process_stopped_over_a_slot_reports_blindness_and_the_caller_a_missing_receipt(
    station: Station,
) -> None:
    """SPEC W2.2, W5.2"""
    process = station.processes["ndmc"].popen
    process.send_signal(signal.SIGSTOP)
    # the slot and its grace pass within real seconds
    station.forward(STALL_S * FAST, rate=FAST)
    process.send_signal(signal.SIGCONT)

    station.until(lambda: raised(station, "ndmc", "watch_blind") != [])
    station.settled()
    (blind,) = raised(station, "ndmc", "watch_blind")
    assert SLOT in blind["detail"]
    assert not raised(station, "ndmc", "heartbeat_missed")
    (unreceipted,) = raised(station, "eucom", "heartbeat_unreceipted")
    assert unreceipted["raised_at"] == "2022-11-29T16:05:00.000Z"
    # the line test waited at the broker: the slot is late, and the caller's alarm is cleared
    states = {each["slot"]: each["state"] for each in station.snapshot("ndmc")["slots"]}
    assert states[SLOT] == "late"
    station.cleared("eucom", "heartbeat_unreceipted")
