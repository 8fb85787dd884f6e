"""Finds times in journals that no honest journal can have, and names the two records that contradict each other.

- A message that a side received after the time of its own signed receipt for it: both times are of that side's clock.
- A stream in which a message is earlier than its predecessor, by more than the skew limit, although the journal of its
  author does not record that the clock was set back in between.
- A record that is earlier than the one before, although no clock step and no start of the service explains it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Literal

from msgspec import Struct

from protocol.record.evidence import CLOCK_TOLERANCE_MS, Evidence, Sighting, SignedReceipt
from protocol.wire.instants import parsed
from protocol.wire.messages import Identifier, Reference

ImpossibleKind = Literal["received_after_receipt", "stream_goes_back", "clock_goes_back"]


class Impossible(Struct, frozen=True, kw_only=True):
    """Two records whose times contradict each other.

    Attributes:
        kind: which rule they break.
        side: whose clock it is.
        message: the message that it is about, None for `clock_goes_back`.
        one, other: the records, in the order in which their times should stand.
    """

    kind: ImpossibleKind
    side: Identifier
    message: Reference | None
    one: Sighting
    other: Sighting


def impossible_times(journals: Sequence[Evidence]) -> Iterator[Impossible]:
    """Yield what is impossible in each journal, given the receipts that all of them have."""
    for journal in journals:
        own = [receipt for receipt in journal.receipts if receipt.signer == journal.side]
        # what the journal itself sealed is in `own`, at the record where it was sealed
        elsewhere = [
            frame.receipt
            for each in journals
            for frame in each.held
            if frame.receipt and frame.signer == journal.side and (frame.channel, frame.digest) not in journal.sealed
        ]
        yield from _received_after_receipt(journal, _Receipts(own), _Receipts(elsewhere))
        yield from _stream_goes_back(journal)
        for one, other in journal.falls:
            yield Impossible(kind="clock_goes_back", side=journal.side, message=None, one=one, other=other)


class _Receipts:
    """Receipts of one side, to find the earliest that covers a message: by record, or by the time that they claim."""

    def __init__(self, receipts: Iterable[SignedReceipt]) -> None:
        streams: dict[tuple[str, int], list[SignedReceipt]] = {}
        for receipt in receipts:
            streams.setdefault((receipt.party, receipt.epoch), []).append(receipt)
        self._earliest: dict[tuple[str, int], tuple[list[int], list[SignedReceipt]]] = {}
        for key, stream in streams.items():
            stream.sort(key=lambda receipt: (receipt.upto, -receipt.at), reverse=True)
            # of each receipt and all that cover more
            earliest = [*accumulate(stream, _earlier)]
            self._earliest[key] = [receipt.upto for receipt in reversed(stream)], earliest[::-1]

    def covering(self, message: Reference) -> SignedReceipt | None:
        """Return the receipt with the earliest time that covers a message."""
        uptos, earliest = self._earliest.get((message.sender, message.epoch), ([], []))
        place = bisect_left(uptos, message.seq)
        return earliest[place] if place < len(earliest) else None


def _earlier(one: SignedReceipt, other: SignedReceipt) -> SignedReceipt:
    return min(one, other, key=lambda receipt: receipt.at)


def _received_after_receipt(journal: Evidence, own: _Receipts, elsewhere: _Receipts) -> Iterator[Impossible]:
    for reference, applied in journal.applied.items():
        for receipt in (own.covering(reference), elsewhere.covering(reference)):
            if receipt is None:
                continue
            seen, back = receipt.seen, parsed(applied.at) - receipt.at
            if seen.journal == journal.side:
                back -= journal.stepped_back(applied.record, seen.record)
            if back <= CLOCK_TOLERANCE_MS:
                continue
            yield Impossible(
                kind="received_after_receipt", side=journal.side, message=reference, one=applied, other=seen
            )


def _stream_goes_back(journal: Evidence) -> Iterator[Impossible]:
    limit = journal.ledger.skew_limit_ms
    entries = journal.ledger.entries
    for reference, place in journal.queued.items():
        earlier = Reference(reference.sender, reference.epoch, reference.seq - 1)
        before = journal.queued.get(earlier)
        if before is None:
            continue
        back = parsed(entries[earlier].at) - parsed(entries[reference].at)
        if back - journal.stepped_back(before.record, place.record) > limit:
            yield Impossible(kind="stream_goes_back", side=journal.side, message=reference, one=before, other=place)
