"""The small worlds, by name."""

from __future__ import annotations

from collections.abc import Callable

from scenario.exploration import stream_worlds
from scenario.exploration.small_world import SmallWorld

WORLDS: dict[str, Callable[[], SmallWorld]] = {
    "smallest": stream_worlds.smallest,
    "streams-small": stream_worlds.small,
    "batches": stream_worlds.batches,
    "streams": stream_worlds.streams,
}
"""Makes each world."""


def world(name: str) -> SmallWorld:
    """Return the world of this name. Raises KeyError."""
    return WORLDS[name]()
