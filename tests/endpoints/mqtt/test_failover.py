"""Which address of the broker is tried next, and after which pause."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from endpoints.config.broker_settings import Address
from endpoints.mqtt.failover import PLACES_MAX, Destination, Failover

NODES = tuple(Address(f"h{number}") for number in (1, 2, 3))
STABLE_S = 30.0


def pause(failures: int) -> float:
    return float(2 ** min(failures, 5))


def failover(addresses: tuple[Address, ...] = NODES) -> Failover:
    return Failover(addresses, pause, STABLE_S)


def attempt(
    tried: Failover, lived_s: float | None = None, ips: tuple[str, ...] = ("1",), *, displaced: bool = False
) -> tuple[str, str, float]:
    """Make one attempt; return the host, the IP address, and the pause after it."""
    place = tried.choose(ips)
    return place.address.host, place.ip, tried.ended(lived_s, displaced=displaced)


def test_the_first_round_has_no_pause_and_then_the_pauses_grow() -> None:
    """SPEC Q1.4"""
    tried = failover()
    assert [attempt(tried) for _ in range(9)] == [
        *(("h1", "1", 0.0), ("h2", "1", 0.0), ("h3", "1", 1.0)),
        *(("h1", "1", 0.0), ("h2", "1", 0.0), ("h3", "1", 2.0)),
        *(("h1", "1", 0.0), ("h2", "1", 0.0), ("h3", "1", 4.0)),
    ]


def test_one_address_is_tried_after_pauses_alone() -> None:
    tried = failover(NODES[:1])
    assert [attempt(tried, lived_s)[2] for lived_s in (None, None, 5.0, 40.0, 40.0, None)] == [1, 2, 4, 1, 1, 2]


def test_after_a_connection_that_lasted_every_other_node_is_tried_at_once() -> None:
    tried = failover()
    for _ in range(4):
        attempt(tried)
    # it stayed at h2, to which it does not come back before it has tried the others
    assert attempt(tried, 100.0) == ("h2", "1", 0.0)
    assert [attempt(tried) for _ in range(3)] == [("h3", "1", 0.0), ("h1", "1", 1.0), ("h2", "1", 0.0)]


def test_after_a_connection_that_lasted_the_other_ip_addresses_are_tried_at_once() -> None:
    tried = failover(NODES[:1])
    assert attempt(tried, None, ("A", "B")) == ("h1", "A", 0.0)
    assert attempt(tried, 100.0, ("A", "B")) == ("h1", "B", 0.0)
    assert attempt(tried, None, ("A", "B")) == ("h1", "A", 1.0)


def test_a_broker_that_accepts_and_closes_is_not_tried_without_pauses() -> None:
    tried = failover()
    assert [attempt(tried, 0.1)[2] for _ in range(9)] == [0, 0, 1, 0, 0, 2, 0, 0, 4]


def test_who_is_displaced_comes_back_to_the_same_node_after_a_pause() -> None:
    tried = failover()
    attempt(tried)
    assert attempt(tried, 100.0, displaced=True) == ("h2", "1", 1.0)
    assert attempt(tried, 1.0, displaced=True) == ("h2", "1", 2.0)
    assert attempt(tried, 1.0) == ("h2", "1", 0.0)


def test_each_ip_address_of_a_name_is_tried_before_the_next_node() -> None:
    tried = failover(NODES[:2])
    # the name server turns its answer around
    assert attempt(tried, None, ("1", "2", "3")) == ("h1", "1", 0.0)
    assert tried.more is False
    assert attempt(tried, None, ("2", "3", "1")) == ("h1", "2", 0.0)
    assert attempt(tried, None, ("1", "2", "3")) == ("h1", "3", 0.0)
    assert attempt(tried, None, ("4",)) == ("h2", "4", 1.0)
    assert attempt(tried, None, ("1", "2", "3")) == ("h1", "1", 0.0)


def test_a_name_that_is_not_found_costs_one_attempt() -> None:
    tried = failover(NODES[:2])
    assert (tried.ended(None), tried.address.host, tried.ended(None), tried.address.host) == (0.0, "h2", 1.0, "h1")


def test_several_addresses_are_named_in_reasons() -> None:
    assert failover().told("refused") == "h1:8883: refused"
    assert failover(NODES[:1]).told("refused") == "refused"
    assert str(Destination(Address("::1"), "::1")) == "[::1]:8883"
    assert str(Destination(Address("h1", 1), "::1")) == "h1:1 (::1)"


@given(
    st.integers(1, 5),
    st.lists(
        st.tuples(st.one_of(st.none(), st.floats(0, 29)), st.lists(st.text("abc", min_size=1, max_size=2), max_size=9)),
        min_size=200,
        max_size=200,
    ),
)
def test_whatever_a_name_server_and_brokers_do_pauses_come_and_no_node_is_left_out(
    count: int, attempts: list[tuple[float | None, list[str]]]
) -> None:
    tried = failover(tuple(Address(f"h{number}") for number in range(count)))
    at_once, visited = 0, set()
    for lived_s, ips in attempts:
        visited.add(tried.address)
        if ips:
            tried.choose(tuple(dict.fromkeys(ips)))
        at_once = at_once + 1 if tried.ended(lived_s) == 0 else 0
        assert at_once < count * PLACES_MAX
    assert len(visited) == count
