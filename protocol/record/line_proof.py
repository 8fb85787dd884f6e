"""Finds when the line was proven usable, not proven, or blind, from the journals of both sides.

- A **proof** is a round trip: a message, and the other side's signed receipt for it within 30 seconds (SPEC R1.1). It
  shows that both directions worked, between the sending and the arrival of the receipt.
- **Proven** is the time from one proof to the next, if no journal records anything in between that speaks against it: a
  lost connection, a message without a receipt for more than 30 seconds, or a critical alarm about the line.
- **Blind** is a time in which a side's service did not watch, or of which its journal says nothing.
- Everything else is **not proven**. That includes the time after the last proof.

Each time is by the clock of the journal that records it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from msgspec import Struct

from protocol.core.alarms import AlarmCode
from protocol.core.deadlines import SECOND
from protocol.record.evidence import CLOCK_TOLERANCE_MS, Evidence
from protocol.record.happenings import Happening
from protocol.record.ledger import Ledger
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Identifier, Utc

RECEIPT_WITHIN_MS: Millis = 30 * SECOND
"""How long a message may wait for its receipt on a line that works; `status` has the same limit."""
_NO_RECORD = 1 << 63
"""Stands for the record that would end what has not ended: it is behind every record of a journal."""
LineState = Literal["proven", "not_proven", "blind"]
Reason = Literal[
    "not_running",
    "suspended",
    "clock_set",
    "restored",
    "not_begun",
    "ended",
    "disconnected",
    "waiting",
    "heartbeat_missed",
    "heartbeat_unreceipted",
    "heartbeat_unanswered",
    "broker_unreachable",
    "equivocation",
    "fork",
    "journal_behind",
    "policy_mismatch",
    "journal_failure",
]
AGAINST = frozenset(
    {
        AlarmCode.HEARTBEAT_MISSED,
        AlarmCode.HEARTBEAT_UNRECEIPTED,
        AlarmCode.HEARTBEAT_UNANSWERED,
        AlarmCode.BROKER_UNREACHABLE,
        AlarmCode.EQUIVOCATION,
        AlarmCode.FORK,
        AlarmCode.JOURNAL_BEHIND,
        AlarmCode.POLICY_MISMATCH,
        AlarmCode.JOURNAL_FAILURE,
    }
)
"""Alarms that say that the line does not work."""


class LineInterval(Struct, frozen=True, kw_only=True):
    """A time in which the line was in one state. `reasons` are pairs of a side and what its journal records in it."""

    state: LineState
    since: Utc
    until: Utc
    reasons: tuple[tuple[Identifier, Reason], ...] = ()

    @property
    def length_ms(self) -> Millis:
        """How long it lasted."""
        return parsed(self.until) - parsed(self.since)


class _Span(NamedTuple):
    since: Millis
    until: Millis
    side: Identifier = ""
    reason: Reason = "disconnected"


def line_intervals(sides: Sequence[Evidence], since: Millis, until: Millis) -> tuple[LineInterval, ...]:
    """Return the states of the line from `since` to `until`, without gaps.

    Args:
        sides: the journals of the link's parties; the watch's proves nothing about them.
        since: the beginning, in milliseconds since 1970.
        until: the end.
    """
    ledgers = [each.ledger for each in sides]
    blind = [span for each in sides for span in _blind(each, since, until)]
    against = [span for each in ledgers for span in _against(each, until)]
    proven = [*_proven(ledgers, _Times([*blind, *against]))]
    edges = {since, until}
    for span in (*blind, *against, *proven):
        edges |= {each for each in (span.since, span.until) if since < each < until}
    instants = sorted(edges)
    found: list[LineInterval] = []
    blind_at, against_at, proven_at = _Times(blind), _Times(against), _Times(proven)
    for begins, ends in pairwise(instants):
        state, reasons = _judged(begins, ends, blind_at, against_at, proven_at)
        if found and found[-1].state == state:
            before = found.pop()
            both = tuple(dict.fromkeys((*before.reasons, *reasons)))
            found.append(LineInterval(state=state, since=before.since, until=written(ends), reasons=both))
        else:
            found.append(LineInterval(state=state, since=written(begins), until=written(ends), reasons=reasons))
    return tuple(found)


class _Times:
    """Spans of time, to find those that overlap another one."""

    def __init__(self, spans: Iterable[_Span]) -> None:
        self._spans = sorted(spans)
        self._begins = [span.since for span in self._spans]
        # the latest end of each span and those before it
        self._ends: list[Millis] = []
        for span in self._spans:
            self._ends.append(max(span.until, self._ends[-1] if self._ends else span.until))

    def overlapping(self, since: Millis, until: Millis) -> Iterator[_Span]:
        """Yield the spans that have a part of the time from `since` to `until`."""
        first = bisect_right(self._ends, since)
        for span in self._spans[first : bisect_left(self._begins, until)]:
            if span.until > since:
                yield span


def _judged(
    begins: Millis, ends: Millis, blind: _Times, against: _Times, proven: _Times
) -> tuple[LineState, tuple[tuple[Identifier, Reason], ...]]:
    unseen = {(span.side, span.reason) for span in blind.overlapping(begins, ends)}
    if unseen:
        return "blind", tuple(sorted(unseen))
    if any(proven.overlapping(begins, ends)):
        return "proven", ()
    return "not_proven", tuple(sorted({(span.side, span.reason) for span in against.overlapping(begins, ends)}))


def _blind(journal: Evidence, since: Millis, until: Millis) -> Iterator[_Span]:
    """Yield when a side did not watch: before its journal begins, after it ends, and its absences."""
    ledger, side = journal.ledger, journal.side
    begins = parsed(journal.first.at) if journal.first else until
    if begins - since > CLOCK_TOLERANCE_MS:
        yield _Span(since, begins, side, "not_begun")
    falls = _falls(ledger)
    for each in ledger.happenings.listed:
        if each.what == "blind" and each.since is not None:
            cause: Reason = each.detail  # type: ignore[assignment]  # one of `BlindCause`
            # a clock that was wrongly ahead made it end too late: from where it was set back to, this side watched
            back = [fall.until for fall in falls if fall.record > each.record]
            yield _Span(parsed(each.since), min([parsed(each.at), *back]), side, cause)
    last = parsed(ledger.last_at or written(until))
    if until - last > CLOCK_TOLERANCE_MS:
        yield _Span(last, until, side, "ended")


class _Fall(NamedTuple):
    """A record before which the clock went back from `since` to `until`."""

    record: int
    since: Millis
    until: Millis


def _falls(ledger: Ledger) -> list[_Fall]:
    """Return where a side's clock was set back, while its service ran or between two runs."""
    found: list[_Fall] = []
    latest: Millis = 0
    for each in ledger.happenings.listed:
        at = parsed(each.at)
        before = parsed(each.since) if each.what == "clock_set" and each.since else latest
        if before > at:
            found.append(_Fall(each.record, before, at))
        latest = at
    return found


class _Moment(NamedTuple):
    """When something began or ended, and the record in which it did."""

    at: Millis
    record: int


def _spans(falls: Iterable[_Fall], begin: _Moment, end: _Moment) -> Iterator[tuple[Millis, Millis]]:
    """Yield the times from `begin` to `end` by a clock that may have been set back in between."""
    since = begin.at
    for fall in falls:
        if begin.record < fall.record <= end.record:
            yield since, max(since, fall.since)
            since = fall.until
    yield since, max(since, end.at)


def _against(ledger: Ledger, until: Millis) -> Iterator[_Span]:
    """Yield when a side's journal speaks against the line."""
    falls, never = _falls(ledger), _Moment(until, _NO_RECORD)
    for reason, begin, end in (*_lost(ledger), *_waiting(ledger), *_alarmed(ledger)):
        spans = [*_spans(falls, begin, end or never)]
        if reason != "waiting" or sum(last - first for first, last in spans) > RECEIPT_WITHIN_MS:
            yield from (_Span(*span, ledger.side, reason) for span in spans)


_Against = tuple[Reason, _Moment, _Moment | None]
"""What speaks against the line, when it began, and when it ended; None if it did not."""


def _lost(ledger: Ledger) -> Iterator[_Against]:
    """Yield when there was no connection to the broker.

    A start that is connected at once is a reload: it goes on over the connection that stands (SPEC E1.6).
    """
    lost: _Moment | None = None
    reloads = False
    for each in ledger.happenings.listed:
        if each.what in ("disconnected", "started"):
            reloads = lost is None and each.what == "started"
            lost = lost or _step(each)
        elif each.what == "connected" and lost is not None:
            if not (reloads and lost.at == parsed(each.at)):
                yield "disconnected", lost, _step(each)
            lost = None
    if lost is not None:
        yield "disconnected", lost, None


def _waiting(ledger: Ledger) -> Iterator[_Against]:
    """Yield for each message of this side how long it waited for its receipt, or until its epoch ended (SPEC E2)."""
    queued: dict[str, _Moment] = {}
    for each in ledger.happenings.listed:
        if each.what == "queued":
            queued[each.subject] = _step(each)
        elif each.what == "receipted" and (begin := queued.pop(each.subject, None)):
            yield "waiting", begin, _step(each)
        elif each.what == "epoch_opened":
            yield from (("waiting", begin, _step(each)) for begin in queued.values())
            queued.clear()
    yield from (("waiting", begin, None) for begin in queued.values())


def _alarmed(ledger: Ledger) -> Iterator[_Against]:
    """Yield how long each alarm about the line stood, from the deadline that was missed."""
    raised: dict[str, _Moment] = {}
    for each in ledger.happenings.listed:
        if each.what == "alarm_raised" and each.since and each.subject.partition("/")[0] in AGAINST:
            raised.setdefault(each.subject, _Moment(parsed(each.since), each.record))
        elif each.what == "alarm_cleared" and (begin := raised.pop(each.subject, None)):
            yield _code(each.subject), begin, _step(each)
    yield from ((_code(subject), begin, None) for subject, begin in raised.items())


def _step(happening: Happening) -> _Moment:
    return _Moment(parsed(happening.at), happening.record)


def _code(subject: str) -> Reason:
    return subject.partition("/")[0]  # type: ignore[return-value]  # one of `AGAINST`


def _proven(ledgers: Iterable[Ledger], against: _Times) -> Iterator[_Span]:
    """Yield the times from one proof to the next that nothing speaks against."""
    begun: tuple[Millis, Millis] | None = None
    for sent, receipted in sorted(trip for ledger in ledgers for trip in _trips(ledger)):
        # a proof has a length, so that it can be seen
        ends = max(receipted, sent + 1)
        if begun is not None and not any(against.overlapping(begun[1], sent)):
            begun = begun[0], max(begun[1], ends)
            continue
        if begun is not None:
            yield _Span(*begun)
        begun = sent, ends
    if begun is not None:
        yield _Span(*begun)


def _trips(ledger: Ledger) -> Iterator[tuple[Millis, Millis]]:
    """Yield the round trips of this side's messages that prove the line: by a clock that was not set meanwhile."""
    sent: dict[str, Millis] = {}
    for each in ledger.happenings.listed:
        if each.what == "sent":
            sent[each.subject] = parsed(each.at)
        elif each.what in ("clock_set", "started"):
            sent.clear()
        elif each.what == "receipted":
            left, arrived = sent.pop(each.subject, None), parsed(each.at)
            if left is not None and 0 <= arrived - left <= RECEIPT_WITHIN_MS:
                yield left, arrived
