import pytest

from endpoints.errors import UserError
from load.knee import VALUES, SweepStep, enough, knee_of, with_value
from load.plan import LoadPlan, SweptOption


def steps(*each: tuple[float, float, float]) -> list[SweepStep]:
    """Return steps of a value, the rate reached and the p99."""
    return [SweepStep(value=value, rate_per_s=rate, p50_ms=p99 / 2, p99_ms=p99) for value, rate, p99 in each]


def test_a_rate_that_is_not_reached_is_beyond_the_knee() -> None:
    measured = steps((10, 10, 5), (20, 20, 5), (40, 39, 6), (80, 55, 8), (160, 56, 900))

    assert knee_of("rate", measured) == 40
    assert enough("rate", measured)
    assert not enough("rate", measured[:4])


def test_a_rate_at_which_latency_runs_away_is_beyond_the_knee() -> None:
    assert knee_of("rate", steps((10, 10, 5), (20, 20, 5), (40, 40, 60))) == 20


def test_a_window_that_brings_no_more_exchanges_is_beyond_the_knee() -> None:
    assert knee_of("window", steps((1, 100, 5), (2, 190, 6), (4, 300, 9), (8, 310, 20))) == 4


def test_one_bad_step_among_good_ones_is_no_knee() -> None:
    assert knee_of("window", steps((1, 100, 5), (2, 90, 6), (4, 300, 9), (8, 310, 20))) == 4
    assert knee_of("rate", steps((10, 10, 5), (20, 20, 50), (40, 40, 6))) is None


def test_without_a_step_beyond_there_is_no_knee() -> None:
    measured = steps((10, 10, 5), (20, 20, 5))

    assert knee_of("rate", measured) is None
    assert not enough("rate", measured)
    assert knee_of("rate", []) is None


@pytest.mark.parametrize("option", list(VALUES))
def test_every_value_of_a_sweep_is_a_possible_plan(option: SweptOption) -> None:
    values = VALUES[option]

    assert list(values) == sorted(set(values))
    for value in values:
        plan = with_value(LoadPlan(rate=None, window=None), option, value)
        assert not plan.yardsticks


def test_a_step_that_is_impossible_is_refused() -> None:
    with pytest.raises(UserError, match="--window"):
        with_value(LoadPlan(), "window", 9_999)
