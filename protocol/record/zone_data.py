"""Which version of the time zone data a journal planned its slots with, and where journals differ (SPEC W1.5).

Versions differ about the days on which clocks change, so two sides with different ones may expect different slots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
from msgspec import Struct

from protocol.core.events import SlotsPlanned, Started
from protocol.record.journal import Checkpoint, Record
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Identifier, Utc


class ZoneDifference(Struct, frozen=True, kw_only=True):
    """An interval in which journals planned with different versions, by the journals' own clocks.

    Attributes:
        since: its begin.
        until: its end, None if it lasts.
        versions: the version of each journal, by side.
    """

    since: Utc
    until: Utc | None
    versions: dict[Identifier, str]


class _Planned(Struct, frozen=True):
    tzdata: str = ""


class _State(Struct, frozen=True):
    watch: _Planned = _Planned()


class ZoneData:
    """The versions that one journal names, each with the time (ms since 1970) from which it was used."""

    def __init__(self) -> None:
        self.used: list[tuple[Millis, str]] = []

    @property
    def last(self) -> str:
        """The version that was used last; empty if the journal names none."""
        return self.used[-1][1] if self.used else ""

    def take(self, record: Record) -> None:
        """Take the next record. A state of a checkpoint that cannot be read names none."""
        entry, version = record.entry, ""
        if isinstance(entry, Started | SlotsPlanned):
            version = entry.tzdata
        elif isinstance(entry, Checkpoint):
            with suppress(msgspec.DecodeError):
                version = msgspec.json.decode(entry.state, type=_State).watch.tzdata
        if version and version != self.last:
            self.used.append((entry.at, version))


def zone_differences(journals: Mapping[Identifier, ZoneData]) -> tuple[ZoneDifference, ...]:
    """Return the intervals in which the journals, by side, planned with different versions, in order of time."""
    named = {side: each.used for side, each in journals.items() if each.used}
    changes = sorted({at for used in named.values() for at, _ in used})
    found: list[ZoneDifference] = []
    ends: list[Millis | None] = [*changes[1:], None]
    # without a version there is no beginning, and nothing to compare
    for at, end in zip(changes, ends, strict=False):
        versions = {side: version for side, used in named.items() if (version := _at(used, at))}
        if len(set(versions.values())) > 1:
            until = None if end is None else written(end)
            found.append(ZoneDifference(since=written(at), until=until, versions=versions))
    return tuple(found)


def _at(used: Sequence[tuple[Millis, str]], at: Millis) -> str:
    """Return the version in use at an instant; empty before the first."""
    return next((version for since, version in reversed(used) if since <= at), "")
