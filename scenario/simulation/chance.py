"""Random streams of the simulated world: one seed determines all of them, and each part has its own."""

from __future__ import annotations

import random


def drawn(seed: int) -> random.Random:
    """Return the stream of a seed."""
    return random.Random(seed)  # noqa: S311 - the opposite of a secret: printed on failure, and it replays the world


def part(chance: random.Random) -> random.Random:
    """Return a stream for one part, which the draws of other parts do not change."""
    return drawn(chance.getrandbits(64))
