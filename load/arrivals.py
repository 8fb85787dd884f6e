"""When the exchanges of a load test begin: the intended instants of the open model, the window of the closed model.

Everything here is a pure function of its arguments and a seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import count
from typing import Literal

Arrival = Literal["constant", "poisson"]

SECOND_NS = 1_000_000_000


def intended_ns(rate: float, arrival: Arrival, ramp_s: float, seed: int) -> Iterator[int]:
    """Yield the intended instants of an open model, in nanoseconds from its beginning, in ascending order, without end.

    Args:
        rate: arrivals per second after the ramp.
        arrival: `constant` spaces them evenly, `poisson` draws exponential gaps from `seed`.
        ramp_s: how long the rate grows linearly from zero; 0 for none.
        seed: decides the gaps.
    """
    for place in _places(arrival, seed):
        yield round(_instant_s(place, rate, ramp_s) * SECOND_NS)


def _places(arrival: Arrival, seed: int) -> Iterator[float]:
    """Yield the places of the arrivals on an axis where one arrives per unit."""
    if arrival == "constant":
        yield from map(float, count())
        return
    drawn = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    place = 0.0
    while True:
        place += drawn.expovariate(1.0)
        yield place


def _instant_s(place: float, rate: float, ramp_s: float) -> float:
    """Return when `place` arrivals are due: the inverse of their cumulative number.

    During the ramp that is `rate * t**2 / (2 * ramp_s)`; afterwards it grows by `rate` a second.
    """
    in_ramp = rate * ramp_s / 2
    if place < in_ramp:
        return math.sqrt(2 * ramp_s * place / rate)
    return ramp_s + (place - in_ramp) / rate


def window_at(elapsed_s: float, window: int, ramp_s: float) -> int:
    """Return how many exchanges of a closed model may be in flight: from 1 to `window`, linearly over the ramp."""
    if elapsed_s >= ramp_s:
        return window
    return max(1, math.ceil(window * elapsed_s / ramp_s))
