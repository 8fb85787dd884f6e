"""Latency histograms (HdrHistogram): merged over repeats and links, never averaged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from msgspec import Struct

LOWEST_NS = 1_000
HIGHEST_NS = 600 * 1_000_000_000
"""Ten minutes: longer than any exchange may take."""
DIGITS = 3
MILLISECOND_NS = 1_000_000
_QUANTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}
_TICKS_PER_HALF = 5


class Percentiles(Struct, frozen=True, kw_only=True):
    """The percentiles of a histogram, in milliseconds; `p999` is the 99.9th."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class Latencies:
    """A histogram of latencies."""

    def __init__(self, latencies_ns: Iterable[int] = ()) -> None:
        from hdrh.histogram import HdrHistogram

        self._histogram: Any = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
        for each in latencies_ns:
            self.record(each)

    @classmethod
    def merged(cls, parts: Iterable[Latencies]) -> Self:
        """Return the histogram of all values of `parts`."""
        whole = cls()
        for part in parts:
            whole.add(part)
        return whole

    def add(self, other: Latencies) -> None:
        """Add all values of `other`."""
        self._histogram.add(other._histogram)

    def record(self, latency_ns: int) -> None:
        """Add a value; one out of range counts as the limit."""
        self._histogram.record_value(min(max(latency_ns, LOWEST_NS), HIGHEST_NS))

    @property
    def count(self) -> int:
        """The number of values."""
        return int(self._histogram.get_total_count())

    def ms(self, percentile: float) -> float:
        """Return the value at a percentile (0 to 100), in milliseconds; 0 if there are no values."""
        return float(self._histogram.get_value_at_percentile(percentile)) / MILLISECOND_NS if self.count else 0.0

    @property
    def mean_ms(self) -> float:
        """The mean, in milliseconds; 0 if there are no values."""
        return float(self._histogram.get_mean_value()) / MILLISECOND_NS if self.count else 0.0

    def percentiles(self) -> Percentiles:
        """Return the percentiles of the report."""
        return Percentiles(
            **{name: _rounded(self.ms(percentile)) for name, percentile in _QUANTILES.items()},
            max=_rounded(self.ms(100.0)),
        )

    def spectrum(self) -> list[tuple[float, float]]:
        """Return pairs of quantile (0 to 1) and milliseconds, denser towards 1, for a percentile plot."""
        if not self.count:
            return []
        return [
            (each.percentile_level_iterated_to / 100, each.value_iterated_to / MILLISECOND_NS)
            for each in self._histogram.get_percentile_iterator(_TICKS_PER_HALF)
        ]

    def write_hgrm(self, path: Path) -> None:
        """Write the percentile distribution as HdrHistogram's own tools do, in milliseconds. Raises OSError."""
        with path.open("wb") as out:
            self._histogram.output_percentile_distribution(out, MILLISECOND_NS, _TICKS_PER_HALF)


def _rounded(ms: float) -> float:
    return float(f"{ms:.4g}")
