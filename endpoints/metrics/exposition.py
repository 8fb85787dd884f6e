"""Writes samples in the text format of Prometheus, by prometheus-client, and joins the texts of many links.

A family's samples have to stand together, under one heading. So each link is written by itself, which takes less than a
millisecond and may be kept while nothing changes, and the texts are joined family by family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from msgspec import Struct
from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from endpoints.metrics.counters import Distribution
from endpoints.metrics.families import PREFIX, Family
from endpoints.metrics.link_samples import Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HEADING = b"# HELP "

Written = dict[str, tuple[bytes, bytes]]
"""The heading and the sample lines of each family, by its name."""


class _Families(Struct, frozen=True):
    """What prometheus-client takes as a registry: it collects these families."""

    metrics: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return self.metrics


def written(samples: Iterable[tuple[Family, Sequence[Sample]]], link: str = "") -> Written:
    """Return the samples as text, by family. `link` is the value of their first label, empty for those without it."""
    first = (link,) if link else ()
    metrics = tuple(_metric(family, first, values) for family, values in samples)
    return dict(_parts(generate_latest(_Families(metrics))))


def of_the_system() -> Written:
    """Return what the system says about this process: CPU time, memory, descriptors."""
    registry = CollectorRegistry()
    ProcessCollector(namespace=PREFIX.rstrip("_"), registry=registry)
    return dict(_parts(generate_latest(registry)))


def joined(texts: Sequence[Written]) -> Iterator[bytes]:
    """Yield the text of each family: its heading, and the lines of all `texts` that have it, in their order."""
    names: dict[str, bytes] = {}
    for text in texts:
        for name, (heading, _) in text.items():
            names.setdefault(name, heading)
    for name, heading in names.items():
        yield heading + b"".join(text[name][1] for text in texts if name in text)


def _metric(family: Family, first: tuple[str, ...], samples: Sequence[Sample]) -> Metric:
    metric: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
    match family.type:
        case "counter":
            metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
        case "gauge":
            metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
        case "histogram":
            metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in samples:
        values = (*first, *labels)
        if isinstance(value, Distribution):
            assert isinstance(metric, HistogramMetricFamily), family.name
            bounds = (*(str(each) for each in family.buckets), "+Inf")
            metric.add_metric(values, list(zip(bounds, accumulate(value.counts), strict=True)), value.sum_s)
        else:
            assert not isinstance(metric, HistogramMetricFamily), family.name
            metric.add_metric(values, value)
    return metric


def _parts(text: bytes) -> Iterator[tuple[str, tuple[bytes, bytes]]]:
    """Yield the name, the heading of two lines, and the sample lines of each family in a text."""
    for part in text.split(_HEADING)[1:]:
        of_help, of_type, lines = part.split(b"\n", 2)
        name = of_help.partition(b" ")[0].decode()
        yield name, (_HEADING + of_help + b"\n" + of_type + b"\n", lines)
