"""Reads the options that give the place of an alert: --place, --at and --radius, or --area alone."""

from __future__ import annotations

import re
from typing import Any

from endpoints.errors import UserError
from endpoints.inputs.field_error import not_accepted
from endpoints.inputs.places import COMMA, circle
from protocol.phrases import phrase

_FOUND_MAX = 80
_PARTS = 4
_NUMERIC = re.compile(r"[-+]?\d+(\.\d+)?[ °]*[NSEWnsew]?", re.ASCII)


def place(name: str | None, at: str | None, radius: str | None, area: str | None) -> dict[str, Any] | None:
    """Return the circle that the options --place, --at and --radius, or --area alone, give; None if none is given.

    Latitude and longitude are in micro-degrees, the radius is in metres. Raises UserError, which names the option.
    """
    if area is not None:
        if (name, at, radius) != (None, None, None):
            raise UserError(phrase("--area: give either --area, or --place, --at and --radius"))
        return _area(area)
    if name is None and at is None and radius is None:
        return None
    if name is None or at is None or radius is None:
        missing = ", ".join(
            option for option, given in (("--place", name), ("--at", at), ("--radius", radius)) if given is None
        )
        raise UserError(
            phrase(
                "{missing}: a place has a name, coordinates and a radius, such as "
                "--place 'Dam' --at 46.7758,33.3706 --radius 10km",
                missing=missing,
            )
        )
    return circle(name, at, radius)


def _area(text: str) -> dict[str, Any]:
    """Return the circle of `Nova Kakhovka dam,46.7758,33.3706,10km`. Raises UserError."""
    example = phrase("write --place 'Dam' --at 46.7758,33.3706 --radius 10km, or --area 'Dam,46.7758,33.3706,10km'")
    parts = [part.strip() for part in text.split(",")]
    if len(parts) < _PARTS:
        raise not_accepted("area", text, example, most=_FOUND_MAX)
    name, (latitude, longitude, radius) = parts[:-3], parts[-3:]
    numbers = all(_NUMERIC.fullmatch(part) for part in (latitude, longitude))
    whole = "." not in latitude or "." not in longitude
    if any(_NUMERIC.fullmatch(part) for part in name) or (numbers and whole):
        raise not_accepted("area", text, phrase("{why}; {example}", why=COMMA, example=example), most=_FOUND_MAX)
    return circle(", ".join(name), f"{latitude},{longitude}", radius, ("area", "area", "area"))
