from endpoints.config.broker_settings import Address
from endpoints.mqtt.failover import Destination
from endpoints.mqtt.takeovers import QUIET_S, TAKEN_OVER, TakeoverCounter

KEEPALIVE_TIMEOUT = 0x8D
SHUTTING_DOWN = 0x8B
HERE = Destination(Address("h1"), "192.0.2.1")
THERE = Destination(Address("h2"), "192.0.2.2")


def taken_over(takeovers: TakeoverCounter, at_s: float) -> int | None:
    return takeovers.lost(at_s, 5, TAKEN_OVER, HERE, orderly=False)


def silently(takeovers: TakeoverCounter, at_s: float, *, lived_s: float = 5) -> int | None:
    """Take over as Mosquitto 2.0 does: TLS is closed properly without DISCONNECT, and the next attempt succeeds."""
    assert takeovers.lost(at_s, lived_s, None, HERE, orderly=True) is None
    return takeovers.opened(at_s + 1, HERE)


def test_the_third_takeover_and_each_doubling_are_reported() -> None:
    """SPEC Q3.3"""
    takeovers = TakeoverCounter()
    reported = {times: taken_over(takeovers, times) for times in range(1, 25)}
    assert {times for times, due in reported.items() if due} == {3, 6, 12, 24}
    assert reported[24] == 24


def test_ten_minutes_without_a_takeover_restart_the_count() -> None:
    takeovers = TakeoverCounter()
    assert [taken_over(takeovers, at_s) for at_s in (0, 1)] == [None, None]
    later = 2 + QUIET_S
    assert [taken_over(takeovers, at_s) for at_s in (later, later + 1, later + 2)] == [None, None, 3]


def test_a_takeover_without_disconnect_counts_if_the_next_attempt_succeeds() -> None:
    takeovers = TakeoverCounter()
    assert [silently(takeovers, at_s) for at_s in (0, 10, 20)] == [None, None, 3]


def test_other_losses_do_not_count() -> None:
    takeovers = TakeoverCounter()
    for at_s in range(0, 100, 10):
        # a connection that lasted
        assert silently(takeovers, at_s, lived_s=100) is None
        # a connection that broke
        assert takeovers.lost(at_s, 5, None, HERE, orderly=False) is None
        assert takeovers.opened(at_s, HERE) is None
        # a DISCONNECT with another reason
        assert takeovers.lost(at_s, 5, KEEPALIVE_TIMEOUT, HERE, orderly=False) is None
        assert takeovers.opened(at_s, HERE) is None
        # the broker was unavailable for a moment
        assert takeovers.lost(at_s, 5, None, HERE, orderly=True) is None
        takeovers.not_opened()
        assert takeovers.opened(at_s, HERE) is None


def test_the_first_takeover_in_a_while_is_known_at_once() -> None:
    takeovers, began = TakeoverCounter(), []

    def note() -> None:
        began.append(takeovers.began)

    for at_s in (0, 10):
        silently(takeovers, at_s)
        note()
    takeovers.lost(QUIET_S + 20, 5, None, HERE, orderly=True)
    note()
    takeovers.opened(QUIET_S + 21, HERE)
    note()
    takeovers.not_opened()
    note()
    assert began == [True, False, False, True, False]


def test_a_rolling_restart_is_no_takeover() -> None:
    """Each node ends TLS properly, or says that it shuts down; the next attempt, at another node, is accepted."""
    takeovers, places = TakeoverCounter(), (HERE, THERE, HERE)
    for round_ in range(10):
        for index, code in enumerate((None, SHUTTING_DOWN)):
            at_s = round_ * 20 + index * 10
            assert takeovers.lost(at_s, 5, code, places[index], orderly=code is None) is None
            assert takeovers.opened(at_s + 1, places[index + 1]) is None
    assert not takeovers.began


def test_a_broker_that_reports_takeovers_is_not_suspected_of_silent_ones() -> None:
    """Two quick restarts after one real takeover raised an alarm."""
    takeovers = TakeoverCounter()
    assert taken_over(takeovers, 0) is None
    assert takeovers.opened(1, HERE) is None
    assert [silently(takeovers, at_s) for at_s in (10, 20, 30)] == [None, None, None]
    assert [taken_over(takeovers, at_s) for at_s in (40, 50)] == [None, 3]
