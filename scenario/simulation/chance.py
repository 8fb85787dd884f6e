"""Chance in the simulated world: one seed decides it all, and each part has a stream of its own."""

from __future__ import annotations

import random


def drawn(seed: int) -> random.Random:
    """Return the stream of a seed."""
    return random.Random(seed)  # noqa: S311 - the opposite of a secret: printed on failure, and it replays the world


def part(chance: random.Random) -> random.Random:
    """Return a stream for one part, so that what another part draws does not change it."""
    return drawn(chance.getrandbits(64))
