"""A broker that closes the connection at a publish, apart from a lost network."""

from __future__ import annotations

from endpoints.mqtt.closings import Closings

CLOSED = "the broker closes the connection when we publish: its permissions may lack us"


def test_the_third_closing_in_a_row_is_named_and_the_connection_before_it_is_careful() -> None:
    closings = Closings()
    found = []
    for _ in range(4):
        careful = closings.careful
        reason = closings.ended(5.0, closed=True, unanswered=True)
        found.append((careful, reason, closings.due))
    assert found == [(False, None, False), (False, None, False), (True, CLOSED, True), (True, CLOSED, True)]


def test_presence_that_is_refused_is_named_without_a_refused_publish() -> None:
    closings = Closings()
    assert [closings.ended(0.1, closed=True, unanswered=False) for _ in range(3)] == [None, None, CLOSED]
    assert not closings.due


def test_other_ends_begin_anew() -> None:
    for lived_s, closed, unanswered in (
        # a lost network, a broker that was restarted while nothing was under way
        (5.0, False, True),
        (5.0, True, False),
    ):
        closings = Closings()
        for _ in range(2):
            closings.ended(5.0, closed=True, unanswered=True)
        assert closings.ended(lived_s, closed=closed, unanswered=unanswered) is None
        assert not closings.careful
        assert not closings.due


def test_a_node_that_is_down_says_nothing_about_the_others() -> None:
    closings = Closings()
    for _ in range(2):
        closings.ended(1.0, closed=True, unanswered=True)
        assert closings.ended(None, closed=False, unanswered=False) is None
    assert closings.ended(1.0, closed=True, unanswered=True) == CLOSED
    assert closings.due


def test_nodes_that_are_killed_hours_apart_refuse_nothing() -> None:
    closings = Closings()
    assert [closings.ended(3_600.0, closed=True, unanswered=True) for _ in range(4)] == [None] * 4
    assert not closings.due
