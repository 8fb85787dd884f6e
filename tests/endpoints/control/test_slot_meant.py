"""The test that an officer places is the one that they mean, or none (SPEC W1.3)."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import UNSET, UnsetType, structs

from endpoints.control.requests import AskTest
from endpoints.runtime.work_items import RequestItem
from protocol.core.events import LineTestRequested
from protocol.errors import LocalProtocolError
from protocol.wire.instants import parsed
from tests.support.exchange import Exchange, link_file
from tests.support.small_day import SLOT, begun
from tests.support.world import MINUTE
from tests.vectors.terms import EPOCH_1

BY_OFFICER = structs.replace(EPOCH_1, policy=structs.replace(EPOCH_1.policy, placed_by="officer"))
OVER = "nothing was placed: the slot of 2022-11-29 08:00:00 UTC has its test, or its time is over"


class Kept:
    """Keeps the answer to a request."""

    def __init__(self) -> None:
        self.reference = ""
        self.error: LocalProtocolError | None = None

    def done(self) -> bool:
        return False

    def set_result(self, result: str, /) -> None:
        self.reference = result

    def set_exception(self, exception: LocalProtocolError, /) -> None:
        self.error = exception


def place(exchange: Exchange, slot: str | UnsetType | None, request: str = "request-a") -> Kept:
    end, answer = exchange.eucom, Kept()
    ask = AskTest(request=request, officer="watch-1", credential="secret", slot=slot)
    item = RequestItem(end.runner, ask.event, answer, ask.check)
    item.take(end.now)
    exchange.settle()
    item.settle()
    return answer


def slots_of_tests(exchange: Exchange) -> list[str]:
    return [each.heartbeat.slot or "" for each in exchange.eucom.core.snapshot().tests]


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return begun(tmp_path, file=link_file(BY_OFFICER))


def opened(exchange: Exchange, later: int = 5) -> None:
    exchange.world.at = parsed(SLOT) + later
    exchange.eucom.wake()
    exchange.settle()


def test_the_test_of_the_open_slot_is_placed_once(exchange: Exchange) -> None:
    opened(exchange)
    assert place(exchange, SLOT).reference == "eucom/1/1"
    # the answer was lost, and is asked for again
    assert place(exchange, SLOT).reference == "eucom/1/1"
    error = place(exchange, SLOT, "request-b").error
    assert error is not None
    assert (error.code, str(error.detail)) == ("conflict", OVER)
    assert slots_of_tests(exchange) == [SLOT]


def test_a_slot_that_is_over_gets_no_unscheduled_test_instead(exchange: Exchange) -> None:
    opened(exchange, 15 * MINUTE)
    error = place(exchange, SLOT).error
    assert error is not None
    assert str(error.detail) == OVER
    assert slots_of_tests(exchange) == []
    assert place(exchange, None).reference == "eucom/1/1"


def test_an_unscheduled_test_does_not_become_that_of_a_slot_that_has_opened(exchange: Exchange) -> None:
    assert place(exchange, None, "request-a").reference == "eucom/1/1"
    opened(exchange)
    error = place(exchange, None, "request-b").error
    assert error is not None
    assert str(error.detail).startswith("nothing was placed: the slot of 2022-11-29 08:00:00 UTC is open now")
    assert place(exchange, UNSET, "request-c").reference == "eucom/1/2"
    assert slots_of_tests(exchange) == ["", SLOT]


def test_who_names_no_slot_places_what_is_due(exchange: Exchange) -> None:
    opened(exchange)
    ask = AskTest(request="request-a", officer="watch-1", credential="secret")
    ask.check(exchange.eucom.core, exchange.eucom.now)
    assert isinstance(ask.event(exchange.eucom.now), LineTestRequested)
