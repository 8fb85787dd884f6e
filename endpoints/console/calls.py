"""Which sounds a link asks for: of what waits for an officer, and of alarms that nobody has acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import UNSET, Struct

from endpoints.control.status import Status
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Utc

URGENT = {"flash", "immediate"}


class Call(Struct, frozen=True, kw_only=True):
    """One thing that wants an officer.

    Attributes:
        sound: 1 for a flash or immediate alert, 2 for a critical alarm, both until somebody acts; 3 for a line test or
            another message, once, and again when half of its time is over.
        about: what it is about: another value is another call.
        half_at: when half of its time is over; None without a deadline.
    """

    sound: Literal[1, 2, 3]
    about: str
    half_at: Utc | None = None


def calls(status: Status, to_place: Utc | None = None, grace_ms: Millis = 0) -> Iterator[Call]:
    """Yield what a link asks for now.

    Args:
        status: of the link.
        to_place: the slot whose test an officer of this side has to place now, None if there is none.
        grace_ms: how long that may take.
    """
    if to_place is not None:
        yield Call(sound=3, about=f"slot/{to_place}", half_at=_half(to_place, written(parsed(to_place) + grace_ms)))
    for item in status.open:
        urgent = item.kind == "alert" and item.precedence in URGENT
        half = None if item.due_at is None else _half(item.received_at, item.due_at)
        yield Call(sound=1 if urgent else 3, about=item.reference, half_at=None if urgent else half)
    for alarm in status.alarms:
        if alarm.severity == "critical" and alarm.acknowledged_by is UNSET and alarm.cleared_at is UNSET:
            yield Call(sound=2, about=f"{alarm.code}/{alarm.subject}")
    for draft in status.drafts:
        yield Call(sound=3, about=draft.draft)


def passed_half(call: Call, now: Millis) -> bool:
    """Return whether half of the time of a call is over at `now`."""
    return call.half_at is not None and parsed(call.half_at) <= now


def _half(begins: Utc, ends: Utc) -> Utc:
    from_ms, to_ms = parsed(begins), parsed(ends)
    return written(from_ms + max(0, to_ms - from_ms) // 2)
