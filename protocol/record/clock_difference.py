"""Bounds the difference between both sides' clocks, from messages and signed receipts that crossed the line.

Nothing arrives before it was sent. So a message that eucom sent at `s` by its clock and ndmc received at `r` by its own
proves that ndmc's clock was at most `r - s` ahead. The other direction gives the least. A signed receipt states its
signer's time, so one side's journal alone gives both bounds. Between clocks that were not set, every exchange counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from msgspec import Struct, structs

from protocol.record.evidence import Evidence, SignedReceipt
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Identifier, Reference, Utc


class Exchange(Struct, frozen=True, kw_only=True):
    """One crossing of the line, and the bound that it gives."""

    # by how many milliseconds `other` is ahead of `one`, at most or at least
    bound_ms: Millis
    # the last message that was carried or receipted
    message: Reference
    # when it arrived, by the clock of the side where it arrived
    at: Utc
    receipt: bool


class ClockDifference(Struct, kw_only=True):
    """By how much the clock of `other` was ahead of that of `one`, while neither was set."""

    one: Identifier
    other: Identifier
    least: Exchange | None = None
    most: Exchange | None = None
    # how many messages and receipts it rests on
    exchanges: int = 0

    @property
    def changed_by_ms(self) -> Millis:
        """By how much the difference changed at least, 0 if one difference explains every exchange."""
        if self.least is None or self.most is None:
            return 0
        return max(0, self.least.bound_ms - self.most.bound_ms)


def clock_differences(one: Identifier, other: Identifier, journals: Sequence[Evidence]) -> list[ClockDifference]:
    """Return the difference between two parties' clocks for each stretch in which neither records that it was set.

    Args:
        one: the party whose clock counts as zero.
        other: the other party.
        journals: those that are there; without any of the two parties there is no bound.
    """
    found: dict[tuple[int, int], ClockDifference] = {}
    sides = {each.side: _Side(each) for each in journals}
    for sender, receiver, sign in ((one, other, 1), (other, one, -1)):
        for ours, theirs, exchange in _crossings(sender, receiver, sides):
            key = (ours, theirs) if sign > 0 else (theirs, ours)
            known = found.setdefault(key, ClockDifference(one=one, other=other))
            known.exchanges += 1
            # the receiver is at most this far ahead of the sender
            if sign > 0:
                known.most = exchange if known.most is None else min(known.most, exchange, key=_bound)
            else:
                least = structs.replace(exchange, bound_ms=-exchange.bound_ms)
                known.least = least if known.least is None else max(known.least, least, key=_bound)
    return [found[key] for key in sorted(found)]


def _bound(exchange: Exchange) -> Millis:
    return exchange.bound_ms


class _Side:
    """One party's journal, to find when its clock was set, and the record of each receipt that it signed."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        listed = evidence.ledger.happenings.listed
        self._sets = [each.record for each in listed if each.what == "clock_set"]
        self._sent = {each.subject: each.record for each in listed if each.what == "sent"}
        self._signed = {
            (each.party, each.epoch, each.upto, each.at): each.seen.record
            for each in evidence.receipts
            if each.signer == evidence.side
        }

    def stretch(self, record: int) -> int:
        """Return how often the clock was set before a record."""
        return bisect_right(self._sets, record)

    def sent(self, message: Reference) -> int:
        """Return the stretch in which a message left, which may have waited while the clock was set."""
        return self.stretch(self._sent[str(message)])

    def signed(self, receipt: SignedReceipt) -> int:
        """Return the stretch in which this side signed a receipt; the first if its journal lacks it."""
        return self.stretch(self._signed.get((receipt.party, receipt.epoch, receipt.upto, receipt.at), 0))


def _crossings(
    sender: Identifier, receiver: Identifier, sides: dict[str, _Side]
) -> Iterator[tuple[int, int, Exchange]]:
    """Yield what crossed from `sender` to `receiver`: the stretch of each clock, and how far ahead the receiver is."""
    here, there = sides.get(sender), sides.get(receiver)
    if there is not None:
        yield from _messages(here, there)
        yield from _receipts_received(sender, here, there)
    if here is not None:
        yield from _receipts_returned(receiver, here, there)


def _messages(here: _Side | None, there: _Side) -> Iterator[tuple[int, int, Exchange]]:
    """Yield the messages that the receiver's journal has: sent by the sender's journal, else as signed."""
    for reference, place in there.evidence.applied.items():
        sent, stretch = there.evidence.ledger.entries[reference].at, 0
        if here is not None:
            entry = here.evidence.ledger.entries.get(reference)
            if entry is None or entry.sent_at is None:
                continue
            sent, stretch = entry.sent_at, here.sent(reference)
        bound = parsed(place.at) - parsed(sent)
        exchange = Exchange(bound_ms=bound, message=reference, at=place.at, receipt=False)
        yield stretch, there.stretch(place.record), exchange


def _receipts_received(sender: Identifier, here: _Side | None, there: _Side) -> Iterator[tuple[int, int, Exchange]]:
    """Yield the receipts of the sender that the receiver's journal has: each left at the time that it states."""
    for receipt in there.evidence.receipts:
        if receipt.signer != sender:
            continue
        bound = parsed(receipt.seen.at) - receipt.at
        exchange = Exchange(bound_ms=bound, message=receipt.last, at=receipt.seen.at, receipt=True)
        yield (0 if here is None else here.signed(receipt)), there.stretch(receipt.seen.record), exchange


def _receipts_returned(receiver: Identifier, here: _Side, there: _Side | None) -> Iterator[tuple[int, int, Exchange]]:
    """Yield the receiver's receipts for the sender's messages: signed after their last message had been sent."""
    for receipt in here.evidence.receipts:
        entry = here.evidence.ledger.entries.get(receipt.last)
        if receipt.signer != receiver or entry is None or entry.sent_at is None:
            continue
        stretch = here.sent(receipt.last)
        bound = receipt.at - parsed(entry.sent_at)
        exchange = Exchange(bound_ms=bound, message=receipt.last, at=receipt.seen.at, receipt=True)
        yield stretch, (0 if there is None else there.signed(receipt)), exchange
