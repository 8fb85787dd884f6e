"""The machine's time zone has no effect: instants and slots are the same everywhere (SPEC F4.7, W1)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from endpoints.clocks import slots
from protocol.wire.instants import parsed, written
from tests.support.playbook import Playbook, do, on, wait
from tests.support.world import HOUR, MINUTE, Line

ZONES = ("UTC", "America/St_Johns", "Europe/Moscow", "Asia/Kathmandu", "Pacific/Kiritimati")


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run the test in another time zone."""
    parsed.cache_clear()
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()
    parsed.cache_clear()


def test_an_instant_is_the_same_on_every_machine(zone: str) -> None:
    assert parsed("2022-11-29T08:00:00.000Z") == 1_669_708_800_000, zone
    assert written(1_669_708_800_000) == "2022-11-29T08:00:00.000Z"


def test_slots_are_those_of_the_site_on_every_machine(zone: str) -> None:
    """In Berlin, summer time lasts until 30 October at 01:00 UTC."""
    found = slots.plan(
        ("0 9,17 * * *",), "Europe/Berlin", parsed("2022-10-29T12:00:00.000Z"), parsed("2022-10-30T12:00:00.000Z")
    )

    assert found == ("2022-10-29T15:00:00.000Z", "2022-10-30T08:00:00.000Z"), zone


def test_a_slot_is_missed_at_the_same_instant_on_every_machine(zone: str) -> None:
    line = Line()
    line.eucom.crash()
    assert (
        Playbook(line)
        >> wait(25 * MINUTE - 1)
        >> wait(1)
        << ("ndmc: RaiseAlarm heartbeat_missed/2022-11-29T08:00:00.000Z")
    ), zone
    assert Playbook(line) >> on("ndmc", do("nothing more", lambda: None)) >> wait(HOUR)
