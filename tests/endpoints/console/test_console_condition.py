from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from endpoints.console.condition import UNHEARD, Condition, gone, heard
from endpoints.control.client import NotRunning, RequestRefused, Unreachable
from protocol.phrases import phrase, said
from protocol.wire.instants import parsed
from tests.support.console_status import EARLIER, status

AT = parsed("2022-11-29T12:00:00.000Z")


def test_a_connected_link_is_live() -> None:
    assert heard(status(), None, AT, UNHEARD) == Condition(state="live")


def test_a_lost_broker_is_gone_since_it_was_lost() -> None:
    lost = heard(status(broker="disconnected"), None, AT, Condition(state="live"))
    assert (lost.state, lost.since) == ("broker_gone", AT)
    assert lost.current

    later = heard(status(broker="disconnected"), None, AT + 60_000, lost)
    assert later.since == AT, "not since the last look"

    alarmed = heard(
        status(broker="disconnected", code="broker_unreachable", subject="broker"), None, AT + 60_000, later
    )
    assert alarmed.since == parsed(EARLIER), "the alarm knows it better"


def test_since_when_the_broker_is_gone_is_not_known_to_a_console_that_came_later() -> None:
    assert heard(status(broker="disconnected"), None, AT, UNHEARD).since is None


def test_a_link_that_has_stopped_says_why_before_anything_else() -> None:
    found = heard(
        status(broker="disconnected", code="journal_failure", subject="journal", detail="disk full"), None, AT, UNHEARD
    )
    assert (found.state, found.since, found.detail) == ("link_stopped", parsed(EARLIER), "disk full")


def test_a_cleared_alarm_is_no_longer_a_condition() -> None:
    cleared = status(code="journal_failure", subject="journal", cleared_at=EARLIER)
    assert heard(cleared, None, AT, UNHEARD).state == "live"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotRunning("x.sock: nobody answers"), "Its process does not run."),
        (Unreachable("x.sock: no answer in time"), "Its process gives no answer: it hangs, or is ending."),
        (RequestRefused("unknown_link", phrase("no such link")), "no such link"),
    ],
)
def test_a_process_that_does_not_answer_is_gone_since_its_last_sign_of_life(error: Any, words: str) -> None:
    found = gone(error, AT)
    assert (found.state, found.since, found.detail) == ("endpoint_gone", AT, words)
    assert found.made_from == said(phrase(words))
    assert not found.current


def test_news_after_silence_are_live_again() -> None:
    lost = gone(NotRunning("gone"), AT)
    assert heard(status(), None, AT + 1, lost).state == "live"
    assert structs.replace(lost, since=None) != lost
