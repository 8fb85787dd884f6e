from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from endpoints.config.settings_tables import LINKS_MAX
from endpoints.errors import UserError
from load.alerts import frame_bytes, number_in, template
from load.arrivals import SECOND_NS
from load.plan import LoadPlan, check, duration_s, goals, new_report_folder, regression_share

FILE = LinkFile(terms=default_terms.terms(), parties={})


@given(st.integers(1, 400), st.integers(1, 20), st.integers(0, 5), st.integers(1, 500))
def test_the_slices_of_the_open_model_hold_every_arrival_once(
    rate: int, duration_s: int, warmup_s: int, count_max: int
) -> None:
    plan = LoadPlan(rate=rate, duration_s=duration_s, warmup_s=warmup_s)
    loads = plan.loads(0, count_max)

    assert sum(len(each.offsets_ns) for each in loads) == rate * (duration_s + warmup_s)
    assert all(len(each.offsets_ns) <= count_max for each in loads)
    assert all(0 <= offset <= each.seconds * SECOND_NS for each in loads for offset in each.offsets_ns)
    assert sum(each.seconds for each in loads) == pytest.approx(duration_s + warmup_s)
    assert loads[0].warmup_s == warmup_s
    warm = sum(1 for each in loads for offset in each.offsets_ns if offset < each.warmup_s * SECOND_NS)
    assert warm == pytest.approx(rate * warmup_s, abs=1)


def test_a_slow_schedule_is_cut_so_that_no_alert_stays_open_for_long() -> None:
    loads = LoadPlan(rate=0.5, duration_s=100, warmup_s=0).loads(0, 8_000, 30)

    assert [len(each.offsets_ns) for each in loads] == [15, 15, 15, 5]
    assert [each.seconds for each in loads] == [30, 30, 30, 10]
    (closed,) = LoadPlan(window=1, duration_s=100, ramp_s=10).loads(0, 8_000, 30)
    assert closed.seconds == 30


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate": 10, "window": 1}, "--rate and --window: give one"),
        ({"rate": 0}, "--rate: expected a number from 0.01 to 100000, found 0"),
        ({"window": 0}, "--window: expected a number from 1 to 4096, found 0"),
        ({"window": 1, "links": LINKS_MAX + 1}, "--links: expected a number from 1 to"),
        ({"window": 1, "repeats": 0}, "--repeats: expected a number from 1 to 100, found 0"),
        ({"window": 1, "arrival": "poisson"}, "--arrival: poisson is of the open model"),
        ({"rate": 1, "ramp_s": 13}, "--ramp: longer than"),
        ({"rate": 100_000, "duration_s": 86_400}, "more than 5000000 exchanges"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check(structs.replace(LoadPlan(), **options))


@pytest.mark.parametrize(
    ("text", "measure", "limit"),
    [
        ("p99<50ms", "p99", 50),
        ("p99.9 < 1.5s", "p999", 1_500),
        ("max<900us", "max", 0.9),
        ("rate>300", "rate", 300),
        ("rate > 300/s", "rate", 300),
    ],
)
def test_goals_are_read_with_their_units(text: str, measure: str, limit: float) -> None:
    (goal,) = goals([text])

    assert goal.measure == measure
    assert goal.limit == pytest.approx(limit)
    assert goal.met(limit * 2) == (measure == "rate")


@pytest.mark.parametrize("text", ["", "p99", "p99<50", "p99>50ms", "rate<300", "p98<5ms", "rate>5ms", "p99<50ms and"])
def test_other_goals_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--slo: expected a goal"):
        goals([text])


def test_durations_and_percentages() -> None:
    assert [duration_s("--duration", each) for each in ("0s", "90s", "2m")] == [0, 90, 120]
    with pytest.raises(UserError, match="--duration: not a duration"):
        duration_s("--duration", "10")
    assert regression_share("10%") == pytest.approx(0.1)
    with pytest.raises(UserError, match="--regress: expected a percentage"):
        regression_share("ten")


def test_a_report_folder_is_new(tmp_path: Path) -> None:
    new_report_folder(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "new" / "summary.json").touch()
    with pytest.raises(UserError, match="exists already; name a new folder"):
        new_report_folder(tmp_path / "new")
    with pytest.raises(UserError, match="Not a directory"):
        new_report_folder(tmp_path / "new" / "summary.json" / "below")


@pytest.mark.parametrize("size_bytes", [1_100, 1_213, 4_000, 10_000])
def test_a_frame_has_the_asked_size(size_bytes: int) -> None:
    made = template("0a1b2c3d", FILE, "watch-1", size_bytes)

    assert size_bytes <= frame_bytes(made, FILE) <= size_bytes + 8
    assert number_in(made.text(42), "0a1b2c3d") == 42
    assert number_in(made.text(42), "ffffffff") is None


def test_a_size_out_of_range_and_a_link_of_two_officers_are_refused() -> None:
    with pytest.raises(UserError, match="--size: 10 bytes; a frame with one alert of this link has"):
        template("0a1b2c3d", FILE, "watch-1", 10)
    policy = structs.replace(FILE.terms.policy, four_eyes=("flash", "immediate", "priority", "routine"))
    strict = structs.replace(FILE, terms=structs.replace(FILE.terms, policy=policy))
    with pytest.raises(UserError, match="every alert needs a second officer"):
        template("0a1b2c3d", strict, "watch-1", 1_213)
