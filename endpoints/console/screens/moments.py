"""Instants as screens show them: in UTC first, then on the wall clocks of both sites."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from babel.dates import get_day_names
from msgspec import Struct

from endpoints.clocks import slots
from endpoints.console.facts import Facts
from endpoints.texts.i18n import Translator
from endpoints.texts.printable import one_line
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Utc

_TYPED: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{3}))?)?)?(?: ?UTC|Z)?", re.ASCII)
_FIRST_YEAR: Final = 1970
EXAMPLE: Final = "2022-11-29 16:00"
"""How an instant is typed, in UTC."""


class Moment(Struct, frozen=True, kw_only=True):
    """One instant in words.

    Attributes:
        utc: as `<time datetime>` has it.
        date, clock: the day and the time of day in UTC, to the second.
        exact: the time of day in UTC to the millisecond.
        there: on the wall clock of each site, with the weekday and `+1` where it is the next day.
        brief: on the wall clock of this side's site, to the minute.
    """

    utc: Utc
    date: str
    clock: str
    exact: str
    there: tuple[str, ...]
    brief: str


class Moments:
    """Puts instants into words in one language, for the sites of one link."""

    def __init__(self, facts: Facts, t: Translator) -> None:
        self._t = t
        parties = facts.link.parties
        own_first = sorted(parties, key=lambda party: party != facts.side)
        self._sites = tuple((parties[party].site, parties[party].zone) for party in own_first)

    def of(self, at: Utc) -> Moment:
        """Return an instant in words."""
        t, instant = self._t, parsed(at)
        time = t.time(instant, "UTC")
        there = tuple(self._there(instant, site, zone) for site, zone in self._sites)
        return Moment(
            utc=at,
            date=t.instant(instant, "UTC").removesuffix(time).strip(" ,"),
            clock=time,
            exact=at[11:].removesuffix("Z"),
            there=there,
            brief=f"{self._sites[0][0]} {t.time(instant, self._sites[0][1])[:5]}",
        )

    def maybe(self, at: Utc | None) -> Moment | None:
        """Return an instant in words, None for none."""
        return None if at is None else self.of(at)

    def _there(self, instant: Millis, site: str, zone: str) -> str:
        t, local, day = self._t, slots.local(instant, zone), slots.local(instant, "UTC").date()
        weekday = get_day_names("abbreviated", locale=t.language)[local.weekday()]
        shift = (local.date() - day).days
        mark = f" {t('{days} day', days=f'{shift:+d}')}" if shift else ""
        return f"{site} {weekday} {t.time(instant, zone)}{mark}"


def typed(text: str, name: str) -> Millis:
    """Return the instant that a person typed, in UTC: `2022-11-29`, `2022-11-29 16:00` or `2022-11-29T16:00:30.250Z`.

    Args:
        text: what was typed.
        name: of the field, translated, for the error.

    Raises LocalProtocolError.
    """
    match = _TYPED.fullmatch(text.strip())
    if match is not None:
        date, time, second = match[1], match[2] or "00:00", match[3] or "00"
        try:
            found = datetime.fromisoformat(f"{date}T{time}:{second}").replace(tzinfo=UTC)
        except ValueError:
            found = None
        if found is not None and found.year >= _FIRST_YEAR:
            return int(found.timestamp()) * 1_000 + int(match[4] or 0)
    raise LocalProtocolError(
        "malformed",
        phrase(
            "{field}: expected a time in UTC such as {example}, found {text}",
            field=name,
            example=EXAMPLE,
            text=one_line(text[:40]),
        ),
    )
