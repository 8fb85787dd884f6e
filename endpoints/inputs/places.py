"""Reads the place of an alert: a name, coordinates in decimal degrees, a radius with its unit.

Nothing is guessed: numbers that could mean two places are refused with what would be right (decision 0094).
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import Any

from endpoints.inputs.field_error import FieldError, not_accepted
from endpoints.inputs.texts import check_text
from protocol.phrases import Phrase, phrase

NAME_MAX = 200
FIELDS = ("place", "at", "radius")
"""The names of the fields of a circle: options of the command line, and fields of the form."""
_UDEG = 1_000_000
_LATITUDE_MAX, _LONGITUDE_MAX = 90, 180
_RADIUS_MAX_M = 20_100_000
_METRES = {"m": 1, "м": 1, "km": 1_000, "км": 1_000, "nm": 1_852}
"""Metres in each unit, in English and Russian; a nautical mile is `NM`."""
_FOUND_MAX = 80
_LATITUDE, _LONGITUDE = phrase("latitude"), phrase("longitude")
COMMA = phrase("a comma could stand within a number or between two")

_DEGREES = r"(?P<{0}>[-+]?\d{{1,9}}(\.\d{{1,9}})?) ?°? ?(?P<{0}_side>[{1}])?"
_AT = re.compile(
    rf"{_DEGREES.format('latitude', 'NSns')}( ?, ?| ){_DEGREES.format('longitude', 'EWew')}",
    re.ASCII,
)
_RADIUS = re.compile(r"(?P<length>\d{1,9}(\.\d{1,3})?) ?(?P<unit>km|m|м|км|nm)", re.IGNORECASE | re.ASCII)


def circle(name: str, at: str, radius: str, fields: tuple[str, str, str] = FIELDS) -> dict[str, Any]:
    """Return the circle of a name, coordinates and a radius, in micro-degrees and metres.

    `fields` name the three for errors. Raises FieldError.
    """
    in_name, in_at, in_radius = fields
    latitude, longitude = coordinates(at, option=in_at)
    return {
        "name": check_text(name.strip(), option=in_name, limit=NAME_MAX),
        "latitude_udeg": latitude,
        "longitude_udeg": longitude,
        "radius_m": metres(radius, option=in_radius),
    }


def coordinates(text: str, *, option: str) -> tuple[int, int]:
    """Return latitude and longitude in micro-degrees of `46.7758,33.3706` or `46.7758 N, 33.3706 E`.

    Raises FieldError, which names the option, for anything else: degrees and minutes, a decimal comma, letters that are
    not Latin, and what is outside the Earth.
    """
    typed = text.strip(" ")
    match = _AT.fullmatch(typed)
    sides = 0 if match is None else bool(match["latitude_side"]) + bool(match["longitude_side"])
    # 46,78 could be 46.78, and 46 30.5 could be 46 degrees and 30.5 minutes
    points = 1 if "," in typed else 2
    if match is None or sides == 1 or (not sides and typed.count(".") < points):
        raise _refused(option, typed, _wrong_coordinates(typed))
    found = []
    for what, sign, limit in (("latitude", "Ss", _LATITUDE_MAX), ("longitude", "Ww", _LONGITUDE_MAX)):
        degrees, side = Decimal(match[what]), match[f"{what}_side"]
        if side and match[what][0] in "+-":
            raise _refused(option, typed, phrase("write either a sign or N, S, E, W, not both"))
        if abs(degrees) > limit:
            named = _LATITUDE if what == "latitude" else _LONGITUDE
            raise _refused(
                option,
                typed,
                phrase(
                    "{what} {degrees} is outside -{limit} to {limit} degrees; the latitude comes first, such as "
                    "46.7758,33.3706",
                    what=named,
                    degrees=match[what],
                    limit=limit,
                ),
            )
        found.append(round(degrees * _UDEG) * (-1 if side and side in sign else 1))
    return found[0], found[1]


def typed_coordinates(latitude_udeg: int, longitude_udeg: int) -> str:
    """Return coordinates as `coordinates` reads them: `46.7758 N, 33.3706 E`."""
    found = []
    for udeg, sides in ((latitude_udeg, "NS"), (longitude_udeg, "EW")):
        whole, part = divmod(abs(udeg), _UDEG)
        degrees = f"{whole}.{part:06}".rstrip("0").rstrip(".")
        found.append(f"{degrees} {sides[udeg < 0]}")
    return ", ".join(found)


def typed_radius(radius_m: int) -> str:
    """Return a radius as `metres` reads it: `10km`, `500m`."""
    return f"{radius_m // 1_000}km" if radius_m and radius_m % 1_000 == 0 else f"{radius_m}m"


def _wrong_coordinates(typed: str) -> Phrase:
    """Return what is wrong with coordinates, as closely as it can be told."""
    example = phrase("write decimal degrees with a point, latitude first: 46.7758,33.3706 or 46.7758N,33.3706E")
    if other := _not_latin(typed):
        return phrase("{character} is not a Latin letter or digit; {example}", character=other, example=example)
    marked = re.search(r"\d\s*[°º'’′\"”″]\s*\d|\d\s*['’′\"”″]", typed)
    if not marked and (typed.count(",") > 1 or re.fullmatch(r"[-+]?\d+,\d+", typed)):
        return phrase("{why}; {example}", why=COMMA, example=example)
    if marked or re.search(r"\d +\d+(\.\d+)? *[ ,NSEWnsew]", typed):
        why = phrase("degrees and minutes are not accepted: one degree has 60 minutes, 46°30' is 46.5")
        return phrase("{why}; {example}", why=why, example=example)
    return example


def metres(text: str, *, option: str) -> int:
    """Return a radius such as `500m`, `10km` or `5NM` in whole metres, rounded up. Raises FieldError."""
    typed = text.strip(" ")
    match = _RADIUS.fullmatch(typed)
    limit = phrase(
        "the radius is at most 20100km; its units are m, km and NM (nautical miles), such as 500m, 10km, 5NM"
    )
    # one capital letter would be nautical miles on a chart
    if match is None or match["unit"] in {"M", "М"}:
        why = phrase("a number has a decimal point, no comma; {limit}", limit=limit) if "," in typed else limit
        raise _refused(option, typed, why)
    length = Decimal(match["length"]) * _METRES[match["unit"].lower()]
    if length > _RADIUS_MAX_M:
        raise _refused(option, typed, limit)
    return int(length.to_integral_value(ROUND_CEILING))


def _not_latin(typed: str) -> str | None:
    """Return the first letter or digit that is not in ASCII, quoted and with its code point; None if there is none."""
    other = next((each for each in typed if not each.isascii() and each.isalnum()), None)
    return None if other is None else f"{other!r} (U+{ord(other):04X})"


def _refused(option: str, typed: str, why: Phrase) -> FieldError:
    return not_accepted(option, typed, why, most=_FOUND_MAX)
