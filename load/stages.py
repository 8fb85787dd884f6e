"""Splits exchanges into stages, from what both measured endpoints have timed.

The stages follow each other, so they add up to the latency:

    request       intended instant -> the sender signs     the request, its wait in the queue, the core
    sign          the sender's signature
    append        signed -> its flush begins               encoding and chaining the records
    flush         the sender's records reach the disk
    one way       flushed -> arrived                       publish, broker, delivery
    verify        arrived -> verified                      its wait in the queue too
    core          verified -> the receiver signs           the core, its records
    receipt       the receiver signs, appends and flushes
    receipt back  flushed there -> arrived here
    settle        arrived here -> on disk                  verify, core, append, flush

`broker` runs beside them: from the publish to the broker's PUBACK.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec import Struct

from load.channel import Applied, BrokerTook, Receipted, Row, Sealed
from load.histogram import Latencies, Percentiles

STAGES = (
    "request",
    "sign",
    "append",
    "flush",
    "one_way",
    "verify",
    "core",
    "receipt",
    "receipt_back",
    "settle",
)
BROKER = "broker"


class MeasuredExchange(Struct, frozen=True):
    """One measured exchange: its link, the number of its message, its intended instant."""

    link: str
    seq: int
    intended_ns: int


class StageTimes:
    """A histogram for each stage."""

    def __init__(self) -> None:
        self.by_stage = {name: Latencies() for name in (*STAGES, BROKER)}

    def take(self, exchanges: Iterable[MeasuredExchange], sent: Iterable[Row], received: Iterable[Row]) -> None:
        """Add exchanges, from the rows of the sender and of the receiver; those without all rows are left out."""
        times = _RowTimes(sent, received)
        for exchange in exchanges:
            durations = times.durations_ns(exchange)
            for name, duration_ns in durations.items():
                self.by_stage[name].record(duration_ns)

    def document(self) -> dict[str, Stage]:
        """Return the percentiles and the mean of each stage; nothing if no exchange was timed."""
        if not self.by_stage[STAGES[0]].count:
            return {}
        return {name: Stage(mean=round(each.mean_ms, 4), ms=each.percentiles()) for name, each in self.by_stage.items()}


class Stage(Struct, frozen=True, kw_only=True):
    """One stage, in milliseconds. The means of all stages but `broker` add up to the mean latency."""

    mean: float
    ms: Percentiles


class _RowTimes:
    """The rows by link and number."""

    def __init__(self, sent: Iterable[Row], received: Iterable[Row]) -> None:
        sent, received = list(sent), list(received)
        self._sealed = _by_seq(row for row in sent if isinstance(row, Sealed))
        self._took = _by_seq(row for row in sent if isinstance(row, BrokerTook))
        self._applied = _by_seq(row for row in received if isinstance(row, Applied))
        self._receipted: dict[tuple[str, int], Receipted] = {}
        last: dict[str, int] = {}
        for row in sent:
            if isinstance(row, Receipted):
                begin = last.get(row.link, max(0, row.upto - _SPAN_MAX))
                for seq in range(begin + 1, row.upto + 1):
                    self._receipted[row.link, seq] = row
                last[row.link] = row.upto

    def durations_ns(self, exchange: MeasuredExchange) -> Mapping[str, int]:
        key = (exchange.link, exchange.seq)
        sealed, applied, receipted = self._sealed.get(key), self._applied.get(key), self._receipted.get(key)
        if sealed is None or applied is None or receipted is None:
            return {}
        instants = (
            exchange.intended_ns,
            sealed.sign_begins_ns,
            sealed.sign_ends_ns,
            sealed.flush_begins_ns,
            sealed.flush_ends_ns,
            applied.arrived_ns,
            applied.verify_ends_ns,
            applied.sign_begins_ns,
            applied.flush_ends_ns,
            receipted.arrived_ns,
            receipted.flush_ends_ns,
        )
        durations = {
            name: ends_ns - begins_ns
            for name, begins_ns, ends_ns in zip(STAGES, instants[:-1], instants[1:], strict=True)
        }
        took = self._took.get(key)
        return durations if took is None else {**durations, BROKER: took.accepted_ns - took.published_ns}


_SPAN_MAX = 16_384
"""The first receipt of a slice covers messages of earlier slices too."""

RowT = TypeVar("RowT", Sealed, BrokerTook, Applied)


def _by_seq(rows: Iterable[RowT]) -> dict[tuple[str, int], RowT]:
    return {(row.link, seq): row for row in rows for seq in range(row.first, row.last + 1)}
