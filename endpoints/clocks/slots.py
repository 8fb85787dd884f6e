"""Computes slots: cron expressions in a site's time zone to UTC instants, across summer time (SPEC W1.5).

Time zone data come from the `tzdata` package, never from the system: both sides, and a replay years later, must agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

import tzdata
from cronsim import CronSim, CronSimError

from protocol.phrases import phrase
from protocol.wire.instants import Millis, written

_FIELDS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_EARLIER = timedelta(days=2)
"""cronsim starts this long before a week and ends as long after it; slots outside the week are dropped. So neither its
rounding nor the hour that summer time repeats or skips loses a slot or adds an earlier one."""
_WEEK = timedelta(days=7)
_WEEK_MS: Millis = _WEEK // _MILLISECOND


def tzdata_version() -> str:
    """Return the version of the time zone database, such as `2026f`."""
    return tzdata.IANA_VERSION


@cache
def zone(name: str) -> ZoneInfo:
    """Return the time zone `name` from the tzdata package. Raises ValueError if it does not exist."""
    if name not in _names():
        raise ValueError(
            phrase(
                "not a time zone such as Europe/Berlin (IANA names, tzdata {version}): {name}",
                version=tzdata_version(),
                name=repr(name),
            )
        )
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def check(expression: str) -> None:
    """Raise ValueError unless `expression` is a cron expression of five fields with possible dates."""
    fields = expression.split()
    if len(fields) != _FIELDS:
        # cronsim would read a sixth field as seconds
        raise ValueError(
            phrase(
                'not five fields (minute hour day month weekday), such as "0 9,17 * * *", but {count}: {expression}',
                count=len(fields),
                expression=repr(expression[:60]),
            )
        )
    try:
        CronSim(expression, _EPOCH)
    except CronSimError as error:
        raise ValueError(
            phrase("not a cron expression: {error}: {expression}", error=error, expression=repr(expression[:60]))
        ) from None


def plan(expressions: Iterable[str], zone_name: str, after_ms: Millis, until_ms: Millis) -> tuple[str, ...]:
    """Return the slots after `after_ms` and up to `until_ms` as RFC 3339, sorted.

    A slot in the hour that summer time skips falls right after that hour; one in the repeated hour occurs once.
    Raises ValueError for an invalid expression or an unknown zone.
    """
    weeks = range(after_ms // _WEEK_MS, until_ms // _WEEK_MS + 1)
    instants = {at for expression in expressions for week in weeks for at in _of_week(expression, zone_name, week)}
    return tuple(written(at) for at in sorted(instants) if after_ms < at <= until_ms)


@lru_cache(maxsize=256)  # links share a schedule, and every start plans the same weeks again
def _of_week(expression: str, zone_name: str, week: int) -> tuple[Millis, ...]:
    """Return the slots of the week that begins `week` weeks after 1 January 1970."""
    check(expression)
    begins, ends = week * _WEEK_MS, (week + 1) * _WEEK_MS
    enough = _EPOCH + (week + 1) * _WEEK + _EARLIER
    instants = []
    for slot in CronSim(expression, (_EPOCH + week * _WEEK).astimezone(zone(zone_name)) - _EARLIER):
        if slot > enough:
            break
        at = (slot.astimezone(UTC) - _EPOCH) // _MILLISECOND
        if begins <= at < ends:
            instants.append(at)
    return tuple(instants)


def local(at: Millis, zone_name: str) -> datetime:
    """Return the instant `at` as local time in `zone_name`. Raises ValueError for an unknown zone.

    A peer may date a message in the first or last hours of the calendar, which some zones place outside it: then it is
    the first or last moment of the calendar.
    """
    local_zone = zone(zone_name)
    try:
        return (_EPOCH + at * _MILLISECOND).astimezone(local_zone)
    except OverflowError:
        return datetime.max.replace(tzinfo=local_zone) if at > 0 else datetime.min.replace(tzinfo=local_zone)


@cache
def _names() -> frozenset[str]:
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())
