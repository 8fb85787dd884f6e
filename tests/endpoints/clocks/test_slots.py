from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints.clocks import slots
from protocol.wire.instants import parsed

TWICE_A_DAY = ("0 9,17 * * *",)


def test_november_has_66_slots_an_hour_later_in_utc_after_summer_time() -> None:
    found = slots.plan(
        TWICE_A_DAY, "Europe/Berlin", parsed("2022-10-29T00:00:00.000Z"), parsed("2022-12-01T00:00:00.000Z")
    )

    assert len(found) == 66
    assert found[:4] == (
        "2022-10-29T07:00:00.000Z",
        "2022-10-29T15:00:00.000Z",
        "2022-10-30T08:00:00.000Z",
        "2022-10-30T16:00:00.000Z",
    )
    assert found[-1] == "2022-11-30T16:00:00.000Z"
    assert {slot[11:] for slot in found[2:]} == {"08:00:00.000Z", "16:00:00.000Z"}


def test_a_slot_in_the_skipped_hour_falls_right_after_it() -> None:
    found = slots.plan(
        ("30 2 * * *",), "Europe/Berlin", parsed("2022-03-26T00:00:00.000Z"), parsed("2022-03-29T00:00:00.000Z")
    )

    assert found == ("2022-03-26T01:30:00.000Z", "2022-03-27T01:00:00.000Z", "2022-03-28T00:30:00.000Z")


def test_a_slot_in_the_repeated_hour_occurs_once() -> None:
    found = slots.plan(
        ("30 2 * * *",), "Europe/Berlin", parsed("2022-10-29T12:00:00.000Z"), parsed("2022-10-31T12:00:00.000Z")
    )

    assert found == ("2022-10-30T00:30:00.000Z", "2022-10-31T01:30:00.000Z")


@pytest.mark.parametrize("minute", range(0, 180, 7))
def test_a_plan_from_inside_the_repeated_hour_is_complete(minute: int) -> None:
    start = parsed("2022-10-29T23:30:00.000Z") + minute * 60_000
    end = parsed("2022-10-31T12:00:00.000Z")
    every = slots.plan(("30 2 * * *", "15 * * * *"), "Europe/Berlin", parsed("2022-10-28T12:00:00.000Z"), end)

    found = slots.plan(("30 2 * * *", "15 * * * *"), "Europe/Berlin", start, end)

    assert found == tuple(slot for slot in every if parsed(slot) > start)


def test_the_start_is_excluded_and_the_end_included() -> None:
    first, second = parsed("2022-11-29T08:00:00.000Z"), parsed("2022-11-29T16:00:00.000Z")

    assert slots.plan(TWICE_A_DAY, "Europe/Berlin", first, second) == ("2022-11-29T16:00:00.000Z",)
    assert slots.plan(TWICE_A_DAY, "Europe/Berlin", first - 1, second - 1) == ("2022-11-29T08:00:00.000Z",)
    assert slots.plan(TWICE_A_DAY, "Europe/Berlin", second, first) == ()


@given(cuts=st.lists(st.integers(1_640_995_200_000, 1_704_067_200_000), min_size=3, max_size=3).map(sorted))
def test_two_adjoining_plans_equal_one_plan(cuts: list[int]) -> None:
    first, middle, last = cuts
    last = min(last, first + 40 * 86_400_000)
    middle = min(middle, last)
    hours = ("0 9,17 * * *", "30 2 * * *")

    whole = slots.plan(hours, "Europe/Berlin", first, last)

    assert whole == slots.plan(hours, "Europe/Berlin", first, middle) + slots.plan(hours, "Europe/Berlin", middle, last)
    assert all(earlier < later for earlier, later in pairwise(whole))


def test_two_expressions_for_one_instant_give_one_slot() -> None:
    day = parsed("2022-11-29T00:00:00.000Z"), parsed("2022-11-30T00:00:00.000Z")

    assert slots.plan(("0 9 * * *", "0 9,17 * * *"), "UTC", *day) == slots.plan(("0 9,17 * * *",), "UTC", *day)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("0 0 9 * * *", "five fields"),
        ("", "five fields"),
        ("0 25 * * *", "not a cron expression"),
        ("0 0 30 2 *", "not a cron expression"),
        ("ноль 9 * * *", "not a cron expression"),
    ],
)
def test_an_invalid_expression_is_refused_with_the_right_form(expression: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        slots.check(expression)


@pytest.mark.parametrize("name", ["", "Europe/Wiesbaden", "../../etc/passwd", "Europe", "localtime"])
def test_only_zones_of_the_tzdata_package_are_known(name: str) -> None:
    with pytest.raises(ValueError, match="not a time zone such as"):
        slots.zone(name)


def test_zones_come_from_the_package_not_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONTZPATH", "/nowhere")
    slots.zone.cache_clear()

    assert slots.local(parsed("2022-07-01T12:00:00.000Z"), "Europe/Moscow").hour == 15
    assert slots.tzdata_version().startswith("20")


def test_instants_at_the_ends_of_the_calendar_have_a_local_time() -> None:
    """A peer may date its message so; no view may fail for it."""
    for name in ("Europe/Moscow", "America/New_York", "UTC"):
        assert slots.local(parsed("9999-12-31T23:59:59.999Z"), name).year == 9999
        assert slots.local(parsed("0001-01-01T00:00:00.000Z"), name).year == 1
