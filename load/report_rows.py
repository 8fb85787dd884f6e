"""The rows of `series.csv`: the latency of each second of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct

from load.arrivals import SECOND_NS
from load.histogram import Latencies

_ENOUGH = 100
"""Exchanges of a second, so that its p99 is more than its slowest one."""


class SecondRow(Struct, frozen=True, kw_only=True):
    """The exchanges that began in one second."""

    second: int
    exchanges: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


def by_second(series: Sequence[tuple[int, int]]) -> Iterator[SecondRow]:
    """Yield a row for each second in which exchanges began; `series` has intended instants and latencies (ns)."""
    begins_ns = min((intended for intended, _ in series), default=0)
    for second, group in groupby(sorted(series), lambda each: (each[0] - begins_ns) // SECOND_NS):
        found = Latencies(latency for _, latency in group)
        each = found.percentiles()
        yield SecondRow(
            second=second, exchanges=found.count, p50_ms=each.p50, p90_ms=each.p90, p99_ms=each.p99, max_ms=each.max
        )


def worst_second_ms(series: Sequence[tuple[int, int]]) -> float:
    """Return the highest p99 of a second (ms); seconds with few exchanges count only if there are no others."""
    rows = list(by_second(series))
    enough = [row.p99_ms for row in rows if row.exchanges >= _ENOUGH]
    return max(enough or [row.p99_ms for row in rows], default=0.0)
