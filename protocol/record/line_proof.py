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
from protocol.record.ledger import Ledger
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Identifier, Utc

RECEIPT_WITHIN_MS: Millis = 30 * SECOND
"""How long a message may wait for its receipt on a line that works; `status` has the same limit."""
LineState = Literal["proven", "not_proven", "blind"]
Reason = Literal[
    "not_running",
    "suspended",
    "clock_set",
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
    listed = ledger.happenings.listed
    begins = parsed(journal.first.at) if journal.first else until
    if begins - since > CLOCK_TOLERANCE_MS:
        yield _Span(since, begins, side, "not_begun")
    for each in listed:
        if each.what == "blind" and each.since is not None:
            cause: Reason = each.detail  # type: ignore[assignment]  # one of `BlindCause`
            yield _Span(parsed(each.since), parsed(each.at), side, cause)
    last = parsed(ledger.last_at or written(until))
    if until - last > CLOCK_TOLERANCE_MS:
        yield _Span(last, until, side, "ended")


def _against(ledger: Ledger, until: Millis) -> Iterator[_Span]:
    """Yield when a side's journal speaks against the line."""
    lost: Millis | None = None
    for each in ledger.happenings.listed:
        if each.what in ("disconnected", "started"):
            lost = parsed(each.at) if lost is None else lost
        elif each.what == "connected" and lost is not None:
            yield _Span(lost, parsed(each.at), ledger.side, "disconnected")
            lost = None
    if lost is not None:
        yield _Span(lost, max(until, lost), ledger.side, "disconnected")
    for entry in ledger.entries.values():
        if not entry.own or entry.queued_at is None:
            continue
        queued = parsed(entry.queued_at)
        settled = max(until, queued) if entry.receipted_at is None else parsed(entry.receipted_at)
        if settled - queued > RECEIPT_WITHIN_MS:
            yield _Span(queued, settled, ledger.side, "waiting")
    for alarm in ledger.alarms:
        if alarm.code in AGAINST:
            raised = parsed(alarm.raised_at)
            cleared = parsed(alarm.cleared_at) if alarm.cleared_at else until
            yield _Span(raised, max(raised, cleared), ledger.side, alarm.code.value)  # type: ignore[arg-type]  # in Reason


def _proven(ledgers: Iterable[Ledger], against: _Times) -> Iterator[_Span]:
    """Yield the times from one proof to the next that nothing speaks against."""
    trips = sorted(
        (parsed(entry.sent_at), parsed(entry.receipted_at))
        for ledger in ledgers
        for entry in ledger.entries.values()
        if entry.own and entry.sent_at and entry.receipted_at
    )
    begun: tuple[Millis, Millis] | None = None
    for sent, receipted in trips:
        if not 0 <= receipted - sent <= RECEIPT_WITHIN_MS:
            continue
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
