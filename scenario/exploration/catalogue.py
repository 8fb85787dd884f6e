"""The small worlds, by name."""

from __future__ import annotations

from collections.abc import Callable

from scenario.exploration import epoch_worlds, frame_worlds, officer_worlds, stream_worlds
from scenario.exploration.small_world import SmallWorld

WORLDS: dict[str, Callable[[], SmallWorld]] = {
    "smallest": stream_worlds.smallest,
    "streams-small": stream_worlds.small,
    "batches": stream_worlds.batches,
    "refused": frame_worlds.refused,
    "unruly": frame_worlds.unruly,
    "contradicting": frame_worlds.contradicting,
    "epochs": epoch_worlds.epochs,
    "journals": epoch_worlds.journals,
    "keys": epoch_worlds.keys,
    "officers": officer_worlds.officers,
    "own-draft": officer_worlds.own_draft,
    "slot": officer_worlds.slot,
    "tests": officer_worlds.tests,
    "resends": stream_worlds.resends,
    "outbox": stream_worlds.outbox,
    "watched": stream_worlds.watched,
    "streams": stream_worlds.streams,
}
"""Makes each world."""


def world(name: str) -> SmallWorld:
    """Return the world of this name. Raises KeyError."""
    return WORLDS[name]()
