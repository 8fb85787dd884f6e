from __future__ import annotations

import pytest

from endpoints.errors import UserError
from endpoints.inputs.instants import instant, instant_or_duration
from protocol.wire.instants import parsed, written

NOW = parsed("2022-11-29T16:30:15.250Z")


def read(text: str, zone: str = "Europe/Moscow") -> str:
    return written(instant(text, option="since", now=NOW, zone=zone))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2022-11-29T16:30:15.250Z"),
        (" NOW ", "2022-11-29T16:30:15.250Z"),
        ("-10m", "2022-11-29T16:20:15.250Z"),
        ("+2h", "2022-11-29T18:30:15.250Z"),
        ("-1d", "2022-11-28T16:30:15.250Z"),
        ("17:05", "2022-11-29T14:05:00.000Z"),
        ("17:05:30", "2022-11-29T14:05:30.000Z"),
        ("17:05Z", "2022-11-29T17:05:00.000Z"),
        ("17:05 UTC", "2022-11-29T17:05:00.000Z"),
        ("17:05+01:00", "2022-11-29T16:05:00.000Z"),
        ("2022-11-29T16:00", "2022-11-29T13:00:00.000Z"),
        ("2022-11-29 16:00", "2022-11-29T13:00:00.000Z"),
        ("2022-11-29t16:00:30z", "2022-11-29T16:00:30.000Z"),
        ("2022-11-29T16:00:30.5Z", "2022-11-29T16:00:30.500Z"),
        ("2022-11-29T16:00:00.000Z", "2022-11-29T16:00:00.000Z"),
        ("2022-11-29T16:00+0300", "2022-11-29T13:00:00.000Z"),
        ("2022-11-29T16:00-05", "2022-11-29T21:00:00.000Z"),
        ("2022-11-29T16:00+00:00", "2022-11-29T16:00:00.000Z"),
        ("2024-02-29T00:00", "2024-02-28T21:00:00.000Z"),
    ],
)
def test_instants_are_read_as_people_write_them(text: str, expected: str) -> None:
    assert read(text) == expected


def test_today_is_the_date_on_the_wall_clock_that_the_time_is_on() -> None:
    late = parsed("2022-11-29T22:30:00.000Z")

    def at(text: str) -> str:
        return written(instant(text, option="since", now=late, zone="Europe/Moscow"))

    assert at("00:30") == "2022-11-29T21:30:00.000Z"
    assert at("00:30Z") == "2022-11-29T00:30:00.000Z"
    assert at("00:30+03:00") == "2022-11-29T21:30:00.000Z"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write a time such as 2022-11-29T19:30 or 2022-11-29T16:30Z"),
        ("soon", "now, -10m or +2h"),
        ("10m", "write -10m for earlier than now, +10m for later"),
        ("-10 m", "write a time such as"),
        ("-5min", "the units are s, m, h and d"),
        ("-10м", "write a time such as"),
        ("−10m", "write a time such as"),
        ("-1h30m", "write a time such as"),
        ("2022-11-29", "give the time of day as well, such as 2022-11-29T17:05"),
        ("29.11.2022 17:05", "write a time such as"),
        ("5:05 pm", "write a time such as"),
        ("1705", "write a time such as"),
        ("1669737600", "write a time such as"),
        ("2022-11-31T16:00", "there is no such date or time"),
        ("2023-02-29T16:00", "there is no such date or time"),
        ("2022-13-01T16:00", "there is no such date or time"),
        ("24:00", "there is no such date or time"),
        ("17:60", "there is no such date or time"),
        ("23:59:60", "there is no such date or time"),
        ("2022-11-29T16:00+15:00", "at most 14 hours"),
        ("2022-11-29T16:00+03:60", "at most 14 hours"),
        ("2022-11-29T16:00:00.1234Z", "write a time such as"),
        ("1969-12-31T23:59Z", "outside the years 1970 to 9999"),
        ("1970-01-01T02:59", "outside the years 1970 to 9999"),
        ("9999-12-31T23:59", "outside the years 1970 to 9999"),
        ("-999999999d", "outside the years 1970 to 9999"),
        ("+999999999d", "outside the years 1970 to 9999"),
        ("+9999999999d", "the units are s, m, h and d"),
        ("２０２２-11-29T16:00", "write a time such as"),
        ("2022-11-29T16:00\n", "write a time such as"),
    ],
)
def test_what_could_mean_another_instant_is_refused_with_what_would_be_right(text: str, why: str) -> None:
    with pytest.raises(UserError) as refused:
        read(text)

    assert str(refused.value).startswith("--since: ")
    assert why in str(refused.value)


def test_times_that_summer_time_repeats_or_skips_are_refused_with_both_offsets() -> None:
    with pytest.raises(UserError, match=r"give 2022-10-30T02:30:00\+02:00 or 2022-10-30T02:30:00\+01:00"):
        read("2022-10-30T02:30", "Europe/Berlin")
    with pytest.raises(UserError, match="skip this time"):
        read("2022-03-27T02:30", "Europe/Berlin")
    assert read("2022-10-30T02:30+01:00", "Europe/Berlin") == "2022-10-30T01:30:00.000Z"
    assert read("2022-10-30T03:00", "Europe/Berlin") == "2022-10-30T02:00:00.000Z"


def test_an_expiry_is_a_duration_or_an_instant() -> None:
    def expiry(text: str) -> str:
        return written(instant_or_duration(text, option="expires", now=NOW, zone="Europe/Moscow"))

    assert expiry("2h") == expiry("+2h") == "2022-11-29T18:30:15.250Z"
    assert expiry("2022-11-29T23:00") == "2022-11-29T20:00:00.000Z"
    with pytest.raises(UserError, match="--expires: '2min' is not accepted: the units are s, m, h and d"):
        expiry("2min")
