"""The promises that every state of a small world must keep, beside those of `scenario.simulation.invariants`."""

from __future__ import annotations

from typing import Any

from protocol.core.event import Event
from protocol.core.events import FrameReceived
from protocol.errors import LocalProtocolError
from scenario.exploration.process_state import Batch
from scenario.exploration.small_world import SmallWorld
from scenario.simulation.invariants import Observations, Violation


def facts(observed: Observations) -> tuple[Any, ...]:
    """Return all that a later promise can depend on, of what a journal holds."""
    return (
        observed.epoch,
        tuple(observed.applied.items()),
        tuple(observed.receipted.items()),
        tuple(observed.settled.items()),
        tuple(sorted(observed.alarms)),
        tuple(sorted(observed.raised.items())),
        tuple(sorted(observed.repeats.items())),
        tuple(sorted(observed.acknowledged)),
        observed.clock_stepped,
        len(observed.heard),
    )


def refused(side: str, event: Event, error: LocalProtocolError, *, same: bool) -> None:
    """Check that a refused event has changed nothing, and that no frame was refused so. Raises Violation."""
    if not same:
        raise Violation(f"{side}: a refused {type(event).__name__} ({error.code}) has changed something")
    if isinstance(event, FrameReceived):
        raise Violation(f"{side}: a frame raised {error.code}: the core must take any")


def batch(side: str, taken: Batch, observed: Observations, world: SmallWorld) -> None:
    """Check a batch that is on disk. Raises Violation."""
