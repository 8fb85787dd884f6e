"""What a service has to get right in an event before a core takes it: its time, instants, and nonces.

The types of `protocol.events` are checked where events are decoded; a service makes them itself. So that `handle` can
be total, the few fields with which a core calculates are checked here.
"""

from __future__ import annotations

import re

from protocol import canonical
from protocol.canonical import CanonicalError
from protocol.errors import LocalProtocolError
from protocol.events import DeadlineReached, EpochOpened, Event, LineTestRequested, Resumed, SlotsPlanned, Started
from protocol.instants import Millis, parsed
from protocol.messages import INTEGER_MAX

AT_MAX: Millis = parsed("9000-01-01T00:00:00.000Z")
"""No clock shows more: so every deadline that follows from an event's time can still be written."""

_NONCE = re.compile(r"[0-9a-f]{16}")


def check_event(event: Event) -> None:
    """Raise LocalProtocolError(wrong_event) if a core could not calculate with what `event` says."""
    if not (0 < event.at <= AT_MAX and 0 <= event.mono <= INTEGER_MAX):
        raise LocalProtocolError("wrong_event", f"no clock of ours shows {event.at} ms, {event.mono} ms")
    match event:
        case EpochOpened():
            try:
                canonical.encode(event.terms)
            except CanonicalError as error:
                raise LocalProtocolError("wrong_event", f"terms without a digest: {error}") from error
        case Started() | SlotsPlanned():
            _check_instants(*event.slots, event.slots_until)
        case Resumed():
            _check_instants(event.since)
        case DeadlineReached() | LineTestRequested() if not _NONCE.fullmatch(event.nonce):
            raise LocalProtocolError("wrong_event", f"not a nonce of 16 hexadecimal digits: {event.nonce[:40]!r}")


def _check_instants(*instants: str) -> None:
    for instant in instants:
        try:
            within = parsed(instant) <= AT_MAX
        except ValueError as error:
            raise LocalProtocolError("wrong_event", str(error)) from error
        if not within:
            raise LocalProtocolError("wrong_event", f"{instant} is too far ahead")
