"""Coordinates and radii as they are typed, and read back."""

from __future__ import annotations

import pytest

from endpoints.inputs.places import coordinates, metres, typed_coordinates, typed_radius


@pytest.mark.parametrize(
    ("udeg", "typed"),
    [
        ((46_775_800, 33_370_600), "46.7758 N, 33.3706 E"),
        ((-46_000_000, -33_000_001), "46 S, 33.000001 W"),
        ((0, 0), "0 N, 0 E"),
        ((90_000_000, -180_000_000), "90 N, 180 W"),
    ],
)
def test_coordinates_are_typed_as_they_are_read(udeg: tuple[int, int], typed: str) -> None:
    assert typed_coordinates(*udeg) == typed
    assert coordinates(typed, option="at") == udeg


@pytest.mark.parametrize(("radius", "typed"), [(0, "0m"), (500, "500m"), (10_000, "10km"), (9_260, "9260m")])
def test_a_radius_is_typed_as_it_is_read(radius: int, typed: str) -> None:
    assert typed_radius(radius) == typed
    assert metres(typed, option="radius") == radius
