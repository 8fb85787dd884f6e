"""Counts what became of the alerts of a run, from both journals: sent, received, lost, doubled, reordered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from endpoints.journal.reader import JournalReader
from load.alerts import number_in
from load.stack import LoadedLink
from protocol.core.effects import Apply, Queue, Settle
from protocol.record.journal import Record


class Integrity(Struct, frozen=True, kw_only=True):
    """What the journals say about the alerts of a run.

    Attributes:
        sent: recorded by the sender.
        received: recorded by the receiver, each counted once.
        lost: receipted at the sender, which sends them no more, and not recorded by the receiver.
        doubled: recorded by the receiver more than once.
        reordered: recorded by the receiver after a later one.
        refused: recorded by the receiver as refused.
        unreceipted: sent, and without a receipt at the sender, whose outbox keeps them.
    """

    sent: int = 0
    received: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    refused: int = 0
    unreceipted: int = 0

    @property
    def whole(self) -> bool:
        """Whether every alert was received once, in order, and receipted."""
        return not (self.lost or self.doubled or self.reordered or self.refused or self.unreceipted)

    def plus(self, other: Integrity) -> Integrity:
        """Return the sums of both."""
        return Integrity(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


def integrity(links: Iterable[LoadedLink], run: str) -> Integrity:
    """Return what the journals of all links say about the alerts of `run`. Raises UserError if one can't be read."""
    found = Integrity()
    for link in links:
        sender, receiver = link.journals
        found = found.plus(compared(sent_in(_records(sender), run), received_in(_records(receiver), run)))
    return found


def _records(journal: Path) -> Iterator[Record]:
    # verified on the way, as a replay reads it
    return JournalReader(str(journal)).whole_records()


class Sent(Struct):
    """The alerts of a run in the sender's journal: the numbers of their messages, and the last receipt."""

    seqs: list[int]
    receipted: int


def sent_in(records: Iterable[Record], run: str) -> Sent:
    """Return the alerts of `run` that these records of their sender queued."""
    found = Sent([], 0)
    for record in records:
        for effect in record.effects:
            if isinstance(effect, Queue) and _is_of(effect.message.body, run):
                found.seqs.append(effect.message.seq)
            elif isinstance(effect, Settle):
                found.receipted = max(found.receipted, effect.upto)
    return found


def received_in(records: Iterable[Record], run: str) -> list[tuple[int, bool]]:
    """Return the number of each alert of `run` that these records of the receiver applied, and whether it was refused.

    In the order of the records.
    """
    return [
        (effect.message.seq, bool(effect.refused))
        for record in records
        for effect in record.effects
        if isinstance(effect, Apply) and _is_of(effect.message.body, run)
    ]


def compared(sent: Sent, received: list[tuple[int, bool]]) -> Integrity:
    """Return the counts."""
    times = Counter(seq for seq, _ in received)
    highest, reordered = 0, 0
    for seq, _ in received:
        reordered += seq < highest
        highest = max(highest, seq)
    return Integrity(
        sent=len(sent.seqs),
        received=len(times),
        lost=sum(1 for seq in sent.seqs if seq <= sent.receipted and seq not in times),
        doubled=sum(1 for count in times.values() if count > 1),
        reordered=reordered,
        refused=sum(1 for _, refused in received if refused),
        unreceipted=sum(1 for seq in sent.seqs if seq > sent.receipted),
    )


def _is_of(body: dict[str, Any], run: str) -> bool:
    texts = body.get("text")
    if body.get("type") != "alert" or not isinstance(texts, dict):
        return False
    return any(isinstance(text, str) and number_in(text, run) is not None for text in texts.values())
