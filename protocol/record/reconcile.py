"""Compares the ledgers of both sides, message by message.

A side journals a message before sending it, and receipts a message only after journaling it. Every message that the
receiver has must therefore be in the sender's journal, and every message that the sender holds a receipt for must be in
the receiver's. The sides disagree about:

- a message whose digests differ: its sender signed two messages under one number, or a journal was changed;
- a message that only the receiver has: the sender's journal has lost it, or ends earlier (stop both sides, or copy
  the sender's journal last);
- a message that only the sender has, although it holds the peer's receipt: the receiver's journal has lost it;
- an epoch that the two sides opened under different terms.

A message that only the sender has and that was not receipted is **outstanding**, not a disagreement: it was in flight
when the journals ended, or its epoch ended first. If a journal begins at a checkpoint, earlier messages are not
compared.
"""

from __future__ import annotations

from msgspec import Struct

from protocol.errors import LocalProtocolError
from protocol.record.ledger import Ledger, LedgerEntry
from protocol.wire.messages import Reference, Utc


class MessagePath(Struct, frozen=True, kw_only=True):
    """The path of one message: each time by the clock of the side that recorded it."""

    reference: Reference
    kind: str
    # when it first left the sender
    sent_at: Utc | None
    # when the receiver applied it
    received_at: Utc | None
    # when the sender recorded the receipt
    receipted_at: Utc | None
    # when it was acknowledged or answered: by the receiver's journal, else by the sender's
    acknowledged_at: Utc | None
    refused: str | None


class Reconciliation(Struct, frozen=True, kw_only=True):
    """The comparison of both journals.

    Attributes:
        agree: there is no disagreement.
        messages: every message that either journal has, in order of sender, epoch and seq.
        only_in: by side, the messages that its journal has and that the other's should have and lacks.
        outstanding: messages that only their sender's journal has, not receipted.
        differing: messages whose digests differ.
        policies: epochs that were opened under different terms.
    """

    agree: bool
    messages: tuple[MessagePath, ...]
    only_in: dict[str, tuple[Reference, ...]]
    outstanding: tuple[Reference, ...]
    differing: tuple[Reference, ...]
    policies: tuple[int, ...]


def reconcile(one: Ledger, other: Ledger) -> Reconciliation:
    """Compare the ledgers of the two sides of one link. Raises LocalProtocolError if they are of anything else."""
    if one.link != other.link:
        raise LocalProtocolError(
            "wrong_link",
            f"the journals are of two links, {one.link} and {other.link}; give both sides' journals of one link",
        )
    if one.side == other.side:
        raise LocalProtocolError("wrong_side", f"both journals are of {one.side}; give one of each side")
    sides = {one.side: one, other.side: other}
    strangers = {reference.sender for ledger in sides.values() for reference in ledger.entries} - set(sides)
    if strangers:
        raise LocalProtocolError(
            "wrong_side",
            f"the journals of {one.side} and {other.side} hold messages of {', '.join(sorted(strangers))}; "
            "give the journals of the link's two sides",
        )
    only_in: dict[str, list[Reference]] = {one.side: [], other.side: []}
    outstanding: list[Reference] = []
    differing: list[Reference] = []
    paths: list[MessagePath] = []
    for reference in sorted(one.entries.keys() | other.entries.keys(), key=_order):
        sender = sides[reference.sender]
        receiver = other if sender is one else one
        sent, received = sender.entries.get(reference), receiver.entries.get(reference)
        paths.append(_path(reference, sent, received))
        if sent is None:
            if not _begins_after(sender, reference):
                only_in[receiver.side].append(reference)
        elif received is None:
            if _begins_after(receiver, reference):
                continue
            if sent.receipted_at is None:
                outstanding.append(reference)
            else:
                only_in[sender.side].append(reference)
        elif sent.digest != received.digest:
            differing.append(reference)
    common = one.policies.keys() & other.policies.keys()
    policies = tuple(sorted(epoch for epoch in common if one.policies[epoch] != other.policies[epoch]))
    return Reconciliation(
        agree=not (any(only_in.values()) or differing or policies),
        messages=tuple(paths),
        only_in={side: tuple(references) for side, references in only_in.items()},
        outstanding=tuple(outstanding),
        differing=tuple(differing),
        policies=policies,
    )


def _order(reference: Reference) -> tuple[str, int, int]:
    return reference.sender, reference.epoch, reference.seq


def _begins_after(ledger: Ledger, reference: Reference) -> bool:
    """Return whether `ledger` begins at a checkpoint after this message."""
    if not ledger.partial:
        return False
    return all(_order(reference) < _order(known) for known in ledger.entries if known.sender == reference.sender)


def _path(reference: Reference, sent: LedgerEntry | None, received: LedgerEntry | None) -> MessagePath:
    known = sent or received
    assert known is not None
    times = [entry.acknowledged_at for entry in (received, sent) if entry and entry.acknowledged_at]
    reasons = [entry.refused for entry in (received, sent) if entry and entry.refused]
    return MessagePath(
        reference=reference,
        kind=known.kind,
        sent_at=sent.sent_at if sent else None,
        received_at=received.received_at if received else None,
        receipted_at=sent.receipted_at if sent else None,
        acknowledged_at=times[0] if times else None,
        refused=reasons[0] if reasons else None,
    )
