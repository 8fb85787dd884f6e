"""Reads the instants that people type: `now`, `-10m`, `+2h`, `17:05`, `2022-11-29T16:00`, with or without an offset.

Nothing is guessed: whatever could mean two instants is refused (decision 0093). Options that take an instant need
`Parameter(allow_leading_hyphen=True)`, for `-10m`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from endpoints.clocks import slots
from endpoints.config.durations import parse_s
from endpoints.inputs.field_error import FieldError, not_accepted
from protocol.phrases import Phrase, phrase
from protocol.wire.instants import Millis, written

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LATEST = datetime(9999, 12, 30, tzinfo=UTC)
"""A day before the last one that the calendar of Python has, so that it can be shown in every time zone."""
_FOUND_MAX = 40

_SHIFT = re.compile(r"[+-](?P<length>\d+[a-z]+)", re.ASCII)
_TIME = r"(?P<hour>\d{2}):(?P<minute>\d{2})(:(?P<second>\d{2})(\.(?P<fraction>\d{1,3}))?)?"
_ZONE = r"( ?(?P<utc>Z|UTC)|(?P<sign>[+-])(?P<ahead_h>\d{2})(:?(?P<ahead_m>\d{2}))?)?"
_CLOCK = re.compile(_TIME + _ZONE, re.ASCII | re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FULL = re.compile(
    rf"(?P<year>\d{{4}})-(?P<month>\d{{2}})-(?P<day>\d{{2}})[T ]{_TIME}{_ZONE}", re.ASCII | re.IGNORECASE
)
_UNSIGNED = re.compile(r"\d+[a-z]+", re.ASCII)


def instant(text: str, *, option: str, now: Millis, zone: str) -> Millis:
    """Return the instant that a person typed.

    Args:
        text: `now`; a duration before or after it, `-10m`, `+2h`; a time of today, `17:05`; or a date and time in ISO
            8601, with or without seconds and offset: `2022-11-29T16:00`, `2022-11-29 16:00:30.500Z`.
        option: the name of the field, for errors: an option's without its hyphens.
        now: the current instant.
        zone: the time zone of this side's site: a time without an offset is one on its wall clock, and so is today.

    Raises:
        FieldError: it is none of these, does not exist, or occurs twice because of summer time. The error names the
            option, the limit and an example.
    """
    typed = text.strip(" ")
    if typed.lower() == "now":
        return now
    if shift := _SHIFT.fullmatch(typed):
        return _shifted(typed, shift["length"], option, now)
    if match := _FULL.fullmatch(typed):
        date = int(match["year"]), int(match["month"]), int(match["day"])
        return _on(date, match, typed, option, zone)
    if match := _CLOCK.fullmatch(typed):
        offset = _offset(match, typed, option)
        today = slots.local(now, zone) if offset is None else slots.local(now, "UTC").astimezone(offset)
        return _on((today.year, today.month, today.day), match, typed, option, zone)
    raise _refused(option, typed, _hint(typed, now, zone))


def instant_or_duration(text: str, *, option: str, now: Millis, zone: str) -> Millis:
    """Return the instant that a person typed, as `instant` does; a duration without a sign, `2h`, counts from now."""
    typed = text.strip(" ")
    if _UNSIGNED.fullmatch(typed):
        return _shifted(typed, typed, option, now)
    return instant(text, option=option, now=now, zone=zone)


def _shifted(typed: str, length: str, option: str, now: Millis) -> Millis:
    """Return the instant that is a duration before or after `now`."""
    try:
        shift = parse_s(length) * 1_000
    except ValueError:
        raise _refused(option, typed, phrase("the units are s, m, h and d")) from None
    at = now - shift if typed.startswith("-") else now + shift
    if not 0 <= at <= (_LATEST - _EPOCH) // _MILLISECOND:
        raise _refused(option, typed, phrase("that is outside the years 1970 to 9999"))
    return at


def _on(date: tuple[int, int, int], match: re.Match[str], typed: str, option: str, zone: str) -> Millis:
    """Return the instant of a date and of the time that was matched."""
    second, millisecond = int(match["second"] or 0), int((match["fraction"] or "").ljust(3, "0"))
    offset = _offset(match, typed, option)
    try:
        clock = datetime(*date, int(match["hour"]), int(match["minute"]), second)  # noqa: DTZ001 - a wall clock's
    except ValueError:
        raise _refused(option, typed, phrase("there is no such date or time")) from None
    if not _EPOCH.year <= clock.year or clock >= _LATEST.replace(tzinfo=None):
        raise _refused(option, typed, phrase("that is outside the years 1970 to 9999"))
    found = [clock.replace(tzinfo=offset)] if offset is not None else _local(clock, zone)
    if not found:
        why = phrase("the clocks in {zone} skip this time, because summer time begins; give an offset", zone=zone)
        raise _refused(option, typed, why)
    if len(found) > 1:
        first, second_time = (each.isoformat(timespec="seconds") for each in found)
        why = phrase(
            "the clocks in {zone} show this time twice, because summer time ends; give {first} or {second}",
            zone=zone,
            first=first,
            second=second_time,
        )
        raise _refused(option, typed, why)
    at = (found[0] - _EPOCH) // _MILLISECOND + millisecond
    if at < 0:
        raise _refused(option, typed, phrase("that is outside the years 1970 to 9999"))
    return at


def _local(clock: datetime, zone: str) -> list[datetime]:
    """Return the instants at which the wall clocks of `zone` show a time: none, one or two."""
    in_zone = slots.zone(zone)
    either = [clock.replace(tzinfo=in_zone, fold=fold) for fold in (0, 1)]
    shown = {each.astimezone(UTC): each for each in either if _shows(each)}
    return [shown[at] for at in sorted(shown)]


def _shows(local: datetime) -> bool:
    """Return whether a local time exists: one that the clocks skip comes back from UTC as another."""
    again = local.astimezone(UTC).astimezone(local.tzinfo)
    return again.replace(tzinfo=None) == local.replace(tzinfo=None)


def _offset(match: re.Match[str], typed: str, option: str) -> timezone | None:
    """Return the offset that was typed, None for a time on the site's wall clock."""
    if match["utc"]:
        return UTC
    if not match["sign"]:
        return None
    hours, minutes = int(match["ahead_h"]), int(match["ahead_m"] or 0)
    if hours > 14 or minutes > 59:  # noqa: PLR2004 - no zone on Earth is further ahead than 14 hours
        raise _refused(option, typed, phrase("an offset from UTC is at most 14 hours"))
    ahead = timedelta(hours=hours, minutes=minutes)
    return timezone(-ahead if match["sign"] == "-" else ahead)


def _hint(typed: str, now: Millis, zone: str) -> Phrase:
    """Return what would be right instead of a text that cannot be read as an instant."""
    if _UNSIGNED.fullmatch(typed):
        return phrase("write -{typed} for earlier than now, +{typed} for later", typed=typed[:_FOUND_MAX])
    if _DATE.fullmatch(typed):
        return phrase("give the time of day as well, such as {example}", example=f"{typed}T17:05")
    today = slots.local(now, zone)
    return phrase(
        "write a time such as {example} or {utc} (without an offset: on the clocks in {zone}), 17:05 for today, "
        "now, -10m or +2h",
        example=today.strftime("%Y-%m-%dT%H:%M"),
        utc=f"{written(now)[:16]}Z",
        zone=zone,
    )


def _refused(option: str, typed: str, why: Phrase) -> FieldError:
    return not_accepted(option, typed, why, most=_FOUND_MAX)
