"""Checks the journals of both sides after a test: intact, replayed identically, reconciled, no message doubled.

It uses the link's own tools (verification, audit, replay, reconciliation) and one independent check: each side must
have applied exactly what the other side queued, each message once and in order.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from endpoints.journal.reader import JournalReader
from protocol.core.effects import Apply, Queue
from protocol.record.audit import Audit
from protocol.record.evidence import Evidence
from protocol.record.journal import Record
from protocol.record.reconcile import MessagePath, reconcile
from protocol.record.replay import Replay
from protocol.wire.digests import message_digest
from protocol.wire.messages import Reference

SHOWN_MAX = 10


class SideVerdict:
    """Reads one side's journal; `broken` lists what is wrong with that journal alone."""

    def __init__(self, folder: Path) -> None:
        self.evidence = Evidence()
        self.ledger = self.evidence.ledger
        self.replay = Replay()
        self.broken: list[str] = []
        self.events: dict[str, int] = {}
        self.queued: list[tuple[int, str]] = []
        """Seq and digest of each message that this side queued, in order."""
        self.applied: list[tuple[int, str]] = []
        """Seq and digest of each message of the peer that this side applied, in order."""
        self.texts: list[tuple[str, str]] = []
        """Reference and English text of each alert of this side."""
        self.acknowledged: list[str] = []
        """The alert that each acknowledgement of this side refers to."""
        reader, audit = JournalReader(str(folder)), Audit()
        for record in reader.records():
            self._take(record)
            if wrong := audit.take(record):
                self.broken.append(f"{folder}: record {record.n}: {wrong}")
        self.records = reader.verification.records
        self.signatures = audit.signatures
        self.side = self.ledger.side
        self.broken += [f"{folder}: record {each.record}: {each.reason}" for each in reader.verification.problems]
        if (divergence := self.replay.divergence) is not None:
            self.broken.append(f"{folder}: replay differs at record {divergence.record}: {divergence.reason}")

    def _take(self, record: Record) -> None:
        self.evidence.take(record)
        self.replay.take(record)
        kind = type(record.entry).__name__
        self.events[kind] = self.events.get(kind, 0) + 1
        for effect in record.effects:
            if isinstance(effect, Queue):
                self.queued.append((effect.message.seq, message_digest(effect.message)))
                body = effect.message.body
                if body["type"] == "alert":
                    reference = Reference(record.side, self.ledger.epoch, effect.message.seq)
                    self.texts.append((str(reference), body["text"]["en"]))
                elif body["type"] == "acknowledgement":
                    self.acknowledged.append(str(body["of"]))
            elif isinstance(effect, Apply):
                self.applied.append((effect.message.seq, message_digest(effect.message)))


class Verdict:
    """Checks both sides together; `broken` has one line for each guarantee that was violated."""

    def __init__(self, one: SideVerdict, other: SideVerdict) -> None:
        self.sides = first, second = [one, other]
        found = reconcile(first.evidence, second.evidence)
        self.ways: dict[str, MessagePath] = {str(way.reference): way for way in found.messages}
        self.lost = [str(each) for each in found.outstanding]
        self.lost += [str(each) for references in found.only_in.values() for each in references]
        self.doubled = [*_doubled(first, second), *_doubled(second, first)]
        self.out_of_order = [*_out_of_order(first), *_out_of_order(second)]
        self.broken = [*first.broken, *second.broken]
        self.broken += _shown("lost", self.lost)
        self.broken += _shown("differs in the two journals", [*found.differing])
        self.broken += _shown("frame that its signer did not seal", found.missing_frames)
        self.broken += _shown("impossible time", found.impossible)
        self.broken += _shown("epoch agreed differently", found.policies)
        self.broken += _shown("doubled", self.doubled)
        self.broken += _shown("out of order", self.out_of_order)
        for sender, receiver in ((first, second), (second, first)):
            if sender.queued != receiver.applied:
                self.broken.append(f"{receiver.side} did not apply exactly what {sender.side} queued")

    @classmethod
    def of(cls, *folders: Path) -> Self:
        """Return the verdict on the journals of both sides."""
        return cls(*(SideVerdict(folder) for folder in folders))

    def kept(self, reference: str, text: str) -> Iterator[str]:
        """Yield each way in which an accepted alert, with this reference and text, did not complete its path."""
        way = self.ways.get(reference)
        if way is None:
            yield f"{reference}: the request was answered, but the alert is in neither journal"
            return
        for step in ("sent_at", "received_at", "receipted_at", "acknowledged_at"):
            if getattr(way, step) is None:
                yield f"{reference}: not {step.removesuffix('_at')}"
        if way.refused:
            yield f"{reference}: refused as {way.refused}"
        sender = next(each for each in self.sides if each.side == way.reference.sender)
        said = sender.ledger.entries[way.reference].body["text"]["en"]
        if said != text:
            yield f"{reference}: its text is {said!r}, but {text!r} was requested"


def _doubled(sender: SideVerdict, receiver: SideVerdict) -> Iterator[str]:
    """Yield messages applied twice, and requests that led to two messages.

    Tests request each alert text and each acknowledgement once.
    """
    for what, items in (
        (f"applied by {receiver.side}", [seq for seq, _ in receiver.applied]),
        (f"queued by {sender.side}", [seq for seq, _ in sender.queued]),
        (f"alert of {sender.side}", [text for _, text in sender.texts]),
        (f"acknowledged by {sender.side}", sender.acknowledged),
    ):
        seen: set[Any] = set()
        for item in items:
            if item in seen:
                yield f"{what}: {item}"
            seen.add(item)


def _out_of_order(side: SideVerdict) -> Iterator[str]:
    for what, numbered in (("queued", side.queued), ("applied", side.applied)):
        for place, (seq, _) in enumerate(numbered, 1):
            if seq != place:
                yield f"{side.side} {what} {seq} as number {place}"
                break


def _shown(what: str, items: Any) -> list[str]:
    shown = [f"{what}: {each}" for each in items[:SHOWN_MAX]]
    return [*shown, f"{what}: {len(items) - SHOWN_MAX} more"] if len(items) > SHOWN_MAX else shown
