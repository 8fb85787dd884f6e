"""Lays the journals of both sides together, message by message.

A side writes a message into its journal before it leaves, and a receipt only after the received message is on disk. So
whatever the receiver has, the sender must have, and whatever the sender holds a receipt for, the receiver must have.
What counts as disagreement:

- a message that both have and whose hashes differ: somebody said two things under one number, or changed one;
- a message that only the receiver has: the sender's journal has lost it, or ended earlier (stop both sides, or copy
  the sender's journal last);
- a message that only the sender has, although it holds the peer's receipt for it: the receiver's journal has lost it;
- an epoch that the two sides opened under different terms.

A message that only the sender has and that is not receipted is no disagreement: it is **outstanding**, in flight when
the journals ended or left over from an epoch that ended, and is listed as such. Where a journal begins at a checkpoint,
messages before it are not compared.
"""

from __future__ import annotations

from msgspec import Struct

from protocol.errors import LocalProtocolError
from protocol.record.ledger import Ledger, LedgerEntry
from protocol.wire.messages import Reference, Utc


class MessagePath(Struct, frozen=True, kw_only=True):
    """One message's way: times in their written form, each by the clock of the side where it happened."""

    reference: Reference
    kind: str
    # the sender's: when it first left
    sent_at: Utc | None
    # the receiver's: when it was applied
    received_at: Utc | None
    # the sender's: when the receipt for it came
    receipted_at: Utc | None
    # of the side whose officer acknowledged or answered, else when the sender learned of it
    acknowledged_at: Utc | None
    refused: str | None


class Reconciliation(Struct, frozen=True, kw_only=True):
    """Both journals, laid together.

    Attributes:
        agree: nothing counts as a disagreement.
        messages: every message that either side knows, in order of sender, epoch and seq.
        only_in: by side, the messages that this side's journal has and the other's lacks, and should not lack.
        outstanding: messages that only their sender knows, not receipted.
        differing: messages of which the two journals hold different bytes.
        policies: epochs that were opened under different terms.
    """

    agree: bool
    messages: tuple[MessagePath, ...]
    only_in: dict[str, tuple[Reference, ...]]
    outstanding: tuple[Reference, ...]
    differing: tuple[Reference, ...]
    policies: tuple[int, ...]


def reconcile(one: Ledger, other: Ledger) -> Reconciliation:
    """Lay two sides' journals of one link together.

    Raises LocalProtocolError if they are not the two sides of one link.
    """
    if one.link != other.link:
        raise LocalProtocolError("wrong_link", f"journals of two links: {one.link} and {other.link}")
    if one.side == other.side:
        raise LocalProtocolError("wrong_side", f"both journals are of {one.side}; the other side's is needed")
    sides = {one.side: one, other.side: other}
    strangers = {reference.sender for ledger in sides.values() for reference in ledger.entries} - set(sides)
    if strangers:
        raise LocalProtocolError(
            "wrong_side", f"journals of {one.side} and {other.side}, but messages of {', '.join(sorted(strangers))}"
        )
    only_in: dict[str, list[Reference]] = {one.side: [], other.side: []}
    outstanding: list[Reference] = []
    differing: list[Reference] = []
    ways: list[MessagePath] = []
    for reference in sorted(one.entries.keys() | other.entries.keys(), key=_order):
        sender = sides[reference.sender]
        receiver = other if sender is one else one
        sent, received = sender.entries.get(reference), receiver.entries.get(reference)
        ways.append(_way(reference, sent, received))
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
        messages=tuple(ways),
        only_in={side: tuple(references) for side, references in only_in.items()},
        outstanding=tuple(outstanding),
        differing=tuple(differing),
        policies=policies,
    )


def _order(reference: Reference) -> tuple[str, int, int]:
    return reference.sender, reference.epoch, reference.seq


def _begins_after(ledger: Ledger, reference: Reference) -> bool:
    """Tell whether `ledger` begins at a checkpoint behind this message."""
    if not ledger.partial:
        return False
    return all(_order(reference) < _order(known) for known in ledger.entries if known.sender == reference.sender)


def _way(reference: Reference, sent: LedgerEntry | None, received: LedgerEntry | None) -> MessagePath:
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
