from endpoints.mqtt.takeovers import QUIET_S, TAKEN_OVER, TakeoverCounter

KEEPALIVE_TIMEOUT = 0x8D


def taken_over(takeovers: TakeoverCounter, at_s: float) -> int | None:
    return takeovers.lost(at_s, 5, TAKEN_OVER, orderly=False)


def silently(takeovers: TakeoverCounter, at_s: float, *, lived_s: float = 5) -> int | None:
    """Take over as Mosquitto 2.0 does: TLS is closed properly without DISCONNECT, and the next attempt succeeds."""
    assert takeovers.lost(at_s, lived_s, None, orderly=True) is None
    return takeovers.opened(at_s + 1)


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
        assert takeovers.lost(at_s, 5, None, orderly=False) is None
        assert takeovers.opened(at_s) is None
        # a DISCONNECT with another reason
        assert takeovers.lost(at_s, 5, KEEPALIVE_TIMEOUT, orderly=False) is None
        assert takeovers.opened(at_s) is None
        # the broker was unavailable for a moment
        assert takeovers.lost(at_s, 5, None, orderly=True) is None
        takeovers.not_opened()
        assert takeovers.opened(at_s) is None


def test_the_first_takeover_in_a_while_is_known_at_once() -> None:
    takeovers, began = TakeoverCounter(), []

    def note() -> None:
        began.append(takeovers.began)

    for at_s in (0, 1):
        taken_over(takeovers, at_s)
        note()
    takeovers.lost(QUIET_S + 2, 5, None, orderly=True)
    note()
    takeovers.opened(QUIET_S + 3)
    note()
    takeovers.not_opened()
    note()
    assert began == [True, False, False, True, False]
