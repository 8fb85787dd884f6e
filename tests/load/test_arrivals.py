from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.arrivals import SECOND_NS, Arrival, intended_ns, window_at

RATES = st.floats(0.1, 10_000)
RAMPS = st.floats(0, 60)
ARRIVALS: st.SearchStrategy[Arrival] = st.sampled_from(["constant", "poisson"])


@given(RATES, ARRIVALS, RAMPS, st.integers(0, 1_000))
def test_intended_instants_ascend_and_one_seed_decides_them(
    rate: float, arrival: Arrival, ramp_s: float, seed: int
) -> None:
    first = list(islice(intended_ns(rate, arrival, ramp_s, seed), 50))

    assert all(before <= after for before, after in pairwise(first))
    assert first[0] >= 0
    assert first == list(islice(intended_ns(rate, arrival, ramp_s, seed), 50))


@given(st.integers(1, 1_000), st.integers(1, 20))
def test_a_constant_rate_has_as_many_arrivals_in_each_second(rate: int, seconds: int) -> None:
    instants = islice(intended_ns(rate, "constant", 0, 1), rate * seconds)
    in_second = [0] * seconds
    for each in instants:
        in_second[each // SECOND_NS] += 1

    assert in_second == [rate] * seconds


@given(RATES, st.floats(0.1, 60))
def test_half_as_many_arrive_during_a_ramp_as_after_it(rate: float, ramp_s: float) -> None:
    instants = intended_ns(rate, "constant", ramp_s, 1)
    in_ramp = rate * ramp_s / 2
    at_its_end = next(islice(instants, int(in_ramp) + 1, None))

    assert at_its_end == pytest.approx((ramp_s + (int(in_ramp) + 1 - in_ramp) / rate) * SECOND_NS, abs=2)


def test_poisson_arrivals_have_the_asked_rate_on_average() -> None:
    last = next(islice(intended_ns(100, "poisson", 0, 7), 20_000, None))

    assert 20_000 / (last / SECOND_NS) == pytest.approx(100, rel=0.05)


@given(st.integers(1, 4_096), st.floats(0, 100), st.floats(0, 60))
def test_the_window_grows_from_one_to_its_size(window: int, elapsed_s: float, ramp_s: float) -> None:
    found = window_at(elapsed_s, window, ramp_s)

    assert 1 <= found <= window
    assert window_at(ramp_s, window, ramp_s) == window
    assert window_at(elapsed_s + 1, window, ramp_s) >= found
