from __future__ import annotations

from typing import Any

import pytest

from endpoints.cli.places import place
from endpoints.errors import UserError
from endpoints.inputs.places import coordinates, metres


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("46.7758,33.3706", (46_775_800, 33_370_600)),
        (" 46.7758, 33.3706 ", (46_775_800, 33_370_600)),
        ("46.7758 33.3706", (46_775_800, 33_370_600)),
        ("-46.7758,-33.3706", (-46_775_800, -33_370_600)),
        ("+46.5,33", (46_500_000, 33_000_000)),
        ("46.0,33.0", (46_000_000, 33_000_000)),
        ("46.77580042,33.37", (46_775_800, 33_370_000)),
        ("46.7758 N, 33.3706 E", (46_775_800, 33_370_600)),
        ("46N,33E", (46_000_000, 33_000_000)),
        ("46.78°S 33.37°W", (-46_780_000, -33_370_000)),
        ("90.0,180.0", (90_000_000, 180_000_000)),
        ("-90.0,-180.0", (-90_000_000, -180_000_000)),
    ],
)
def test_coordinates_are_decimal_degrees_with_a_point(text: str, expected: tuple[int, int]) -> None:
    assert coordinates(text, option="at") == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("46,78,33,37", "a comma could stand within a number or between two"),
        ("46,78, 33,37", "a comma could stand within a number or between two"),
        ("46,78 33,37", "a comma could stand within a number or between two"),
        ("46,78", "a comma could stand within a number or between two"),
        ("46 33", "write decimal degrees with a point"),
        ("46 30.5", "write decimal degrees with a point"),
        ("46.78", "write decimal degrees with a point"),
        ("", "write decimal degrees with a point"),
        ("46.78,33.37,10", "a comma could stand"),
        ("146.0,33.37", "latitude 146.0 is outside -90 to 90 degrees"),
        ("-90.000001,33.37", "latitude -90.000001 is outside"),
        ("46.78,233.37", "longitude 233.37 is outside -180 to 180 degrees"),
        ("146N,33E", "latitude 146 is outside"),
        ("46.78N,33.37", "write decimal degrees with a point"),
        ("33.37E,46.78N", "write decimal degrees with a point, latitude first"),
        ("-46.78S,33.37E", "either a sign or N, S, E, W"),
        ("46.78С,33.37В", "'С' (U+0421) is not a Latin letter or digit"),
        ("46.78 с. ш., 33.37 в. д.", "'с' (U+0441) is not a Latin letter"),
        ("４６.78,33.37", "'４' (U+FF14) is not a Latin letter or digit"),
        ("٤٦.78,33.37", "is not a Latin letter or digit"),
        ("46°46'32\"N 33°22'14\"E", "degrees and minutes are not accepted"),
        ("46°46.5'N, 33°22.2'E", "degrees and minutes are not accepted"),
        ("46 46.5 N, 33 22.2 E", "degrees and minutes are not accepted"),
        ("46 46.5, 33 22.2", "degrees and minutes are not accepted"),
        ("nan,nan", "write decimal degrees"),
        ("inf,0.0", "write decimal degrees"),
        ("1e1,2.0", "write decimal degrees"),
        ("--46.78,33.37", "write decimal degrees"),
        ("46.78;33.37", "write decimal degrees"),
        ("46.78\n33.37", "write decimal degrees"),
        ("−46.78,33.37", "write decimal degrees"),
        ("46.7.8,33.37", "write decimal degrees"),
        ("0" * 5_000 + ".0,1.0", "write decimal degrees"),
    ],
)
def test_coordinates_that_could_be_others_are_refused_with_what_would_be_right(text: str, why: str) -> None:
    with pytest.raises(UserError) as refused:
        coordinates(text, option="at")

    assert str(refused.value).startswith("--at: ")
    assert why in str(refused.value)
    assert "46.7758,33.3706" in str(refused.value) or "not both" in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500m", 500),
        ("10km", 10_000),
        ("10 KM", 10_000),
        ("1.5km", 1_500),
        ("5NM", 9_260),
        ("5 nm", 9_260),
        ("1.1NM", 2_038),
        ("0.5m", 1),
        ("0m", 0),
        ("10км", 10_000),
        ("500 м", 500),
        ("20100km", 20_100_000),
    ],
)
def test_a_radius_has_a_unit_and_is_never_smaller_than_typed(text: str, expected: int) -> None:
    assert metres(text, option="radius") == expected


@pytest.mark.parametrize(
    "text",
    [
        *("10", "", "km", "-10km", "+10km", "1,5km", "10M", "10М", "10 miles", "10mi", "nan", "nankm", "infm", "1e3m"),
        *("20100.001km", "99999999NM", "١٠km", "10km ish", "10\tkm", "1.2345km"),
    ],
)
def test_a_radius_without_a_clear_unit_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--radius: .*20100km; its units are m, km and NM"):
        metres(text, option="radius")


def test_a_place_is_a_name_coordinates_and_a_radius() -> None:
    dam = {"name": "Dam", "latitude_udeg": 46_775_800, "longitude_udeg": 33_370_600, "radius_m": 10_000}
    assert place("Dam", "46.7758,33.3706", "10km", None) == dam
    assert place(None, None, None, "Dam,46.7758,33.3706,10km") == dam
    assert place(None, None, None, "Dam, 46.7758, 33.3706, 10km") == dam
    assert place(None, None, None, None) is None
    named = place(None, None, None, "Nova Kakhovka, dam,46.7758,33.3706,10km")
    assert named == dam | {"name": "Nova Kakhovka, dam"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"name": "Dam"}, "--at, --radius: a place has a name, coordinates and a radius"),
        ({"at": "46.78,33.37", "radius": "1km"}, "--place: a place has a name"),
        ({"name": "Dam", "at": "46.78,33.37"}, "--radius: a place has a name"),
        ({"name": "Dam", "area": "Dam,46.78,33.37,10km"}, "--area: give either --area, or --place"),
        ({"name": " ", "at": "46.78,33.37", "radius": "1km"}, "--place: the text is empty"),
        ({"name": "D" * 201, "at": "46.78,33.37", "radius": "1km"}, "--place: the text has 201 characters"),
        ({"name": "Dam\tNorth", "at": "46.78,33.37", "radius": "1km"}, "--place: character 4 is a tab, after 'Dam'"),
        ({"area": "Dam, 46,78, 33,37, 10km"}, "--area: 'Dam, 46,78, 33,37, 10km' is not accepted: a comma could"),
        ({"area": "Dam,46.78,33.37,1,5km"}, "a comma could stand"),
        ({"area": "Dam,46.78,33,10km"}, "a comma could stand"),
        ({"area": "Dam,46,78.5,10km"}, "a comma could stand"),
        ({"area": "Dam,46,33,10km"}, "a comma could stand"),
        ({"area": "Dam,46.78,33.37"}, "write --place 'Dam' --at 46.7758,33.3706 --radius 10km"),
        ({"area": "Dam,46.78,33.37,10"}, "--area: '10' is not accepted: the radius is at most"),
        ({"area": "Dam,146.78,33.37,10km"}, "--area: '146.78,33.37' is not accepted: latitude 146.78 is outside"),
        ({"area": "Dam,NaN,33.37,10km"}, "--area: 'NaN,33.37' is not accepted: write decimal degrees"),
        ({"area": "Dam,north,33.3,10km"}, "--area: 'north,33.3' is not accepted: write decimal degrees"),
        ({"area": ",46.78,33.37,10km"}, "--area: the text is empty"),
        ({"area": ""}, "--area: '' is not accepted"),
        ({"area": ",,,"}, "--area: "),
    ],
)
def test_a_place_that_is_incomplete_or_ambiguous_is_refused(given: dict[str, Any], why: str) -> None:
    values = {"name": None, "at": None, "radius": None, "area": None} | given
    with pytest.raises(UserError) as refused:
        place(values["name"], values["at"], values["radius"], values["area"])

    assert why in str(refused.value)
