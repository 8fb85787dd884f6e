"""Writes the report of a run into a folder."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from endpoints.errors import UserError, os_reason
from load.arrivals import SECOND_NS
from load.histogram import Latencies
from load.session import RunOutcome
from load.summary import Summary
from protocol.phrases import phrase

SUMMARY = "summary.json"


def write_report(folder: Path, outcome: RunOutcome, summary: Summary) -> None:
    """Write the report of a run into `folder`, which is empty. Raises UserError if the folder can't take it."""
    try:
        content = msgspec.json.format(msgspec.json.encode(summary), indent=2)
        (folder / SUMMARY).write_bytes(content + b"\n")
        with (folder / "series.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(("second", "exchanges", "p50_ms", "p90_ms", "p99_ms", "max_ms"))
            rows.writerows(by_second(outcome.series))
        for name, repeats in outcome.repeats.items():
            if repeats:
                Latencies.merged(each.latencies for each in repeats).write_hgrm(folder / f"{name}.hgrm")
    except OSError as error:
        raise UserError(
            phrase("--report: {path}: can't be written: {reason}", path=folder, reason=os_reason(error)), exit_code=1
        ) from None


def by_second(series: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, float, float, float, float]]:
    """Yield for each second of a run in which exchanges began: how many, and percentiles of their latency (ms)."""
    begins_ns = min((intended for intended, _ in series), default=0)
    in_order = sorted(series)
    for second, group in groupby(in_order, lambda each: (each[0] - begins_ns) // SECOND_NS):
        found = Latencies(latency for _, latency in group)
        each = found.percentiles()
        yield second, found.count, each.p50, each.p90, each.p99, each.max
