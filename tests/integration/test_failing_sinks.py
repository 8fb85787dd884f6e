"""A receiver of notifications that fails is an alarm, which ends when the receiver works again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.endpoints.test_notify import Hook
from tests.support.station import Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook([500] * 1_000)
    yield hook
    hook.close()


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory, hook: Hook) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        config = station.config("eucom")
        config.write_text(config.read_text().replace("log = true", f'log = true\nwebhook = "{hook.url}"'))
        station.start("eucom", "ndmc")
        yield station


def test_a_webhook_that_refuses_is_an_alarm_until_it_works_again(station: Station, hook: Hook) -> None:
    station.alert("ndmc")
    alarm = station.alarm("eucom", "sink_failing/webhook")
    assert "it answers 500" in alarm["detail"]
    assert "secret" not in str(alarm)
    assert len(station.records("eucom", "SinkFailed")) == 1
    hook.codes.clear()
    station.alert("ndmc")
    station.cleared("eucom", "sink_failing/webhook")
    assert len(station.records("eucom", "SinkReached")) == 1
    assert len(station.records("eucom", "SinkFailed")) == 1
