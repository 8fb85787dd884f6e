"""Compares the journals of one link: both sides', the watch's with them, or any two of the three.

A side journals a message before sending it, and receipts a message only after journaling it. Every message that the
receiver has must therefore be in the sender's journal, and every message that the sender holds a receipt for must be in
the receiver's. The journals disagree about:

- a frame that another journal has received, verified, and that its signer's journal did not seal, payload for payload;
- a message whose digests differ, wherever they are from: applied or refused messages, receipts, checkpoints;
- a message that only the receiver has: the sender's journal has lost it, or ends earlier (stop both sides, or copy
  the sender's journal last);
- a message that only the sender has, although the receiver signed a receipt for it: the receiver's journal has lost it;
- times that cannot be: see `impossible_times`;
- an epoch that the sides opened under different terms.

A message that only the sender has and that was not receipted is **outstanding**, not a disagreement: it was in flight
when the journals ended, or its epoch ended first.

A journal that begins at a checkpoint does not contain earlier messages and frames. The digest of each stream in the
checkpoint covers the messages of its epoch, if another journal has the same digest. Messages of earlier epochs are not
compared. But no beginning excuses a message that a signed receipt covers, and journals of which no record was compared
with a record of another do not agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import UNSET, Struct

from protocol.core.acts import Act
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.record.evidence import CLOCK_TOLERANCE_MS, Evidence, HeldFrame, Sighting
from protocol.record.impossible_times import Impossible, impossible_times
from protocol.record.ledger_entries import LedgerEntry, State
from protocol.record.zone_data import ZoneDifference, zone_differences
from protocol.wire.instants import parsed
from protocol.wire.messages import Identifier, Reference, Status, Utc


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
    # when it was acknowledged or answered: by the receiver's journal, else by the sender's; not if a reply was promised
    acknowledged_at: Utc | None
    # the reason of its refusal, and who refused it: `service` or an officer
    refused: str | None
    refused_by: str | None
    # the alert that changed or cancelled it, and how
    changed_by: Reference | None
    change: str | None
    # its state by the receiver's journal, else by the sender's
    state: State
    # by its sender's clock
    at: Utc
    body: dict[str, Any]
    # what officers of either side did about it, oldest first
    acts: tuple[PathAct, ...]


class PathAct(Struct, frozen=True, kw_only=True):
    """One act about a message. `act.at` is by the journal of the side that acted, else by another one."""

    act: Act
    # when each journal recorded it, by side
    recorded_at: dict[Identifier, Utc]
    # what its message says
    body: dict[str, Any]


class Version(Struct, frozen=True):
    """One of several digests of a message, and the first record that has it."""

    digest: str
    seen: Sighting


class Reconciliation(Struct, frozen=True, kw_only=True):
    """The comparison of two or three journals.

    Attributes:
        agree: there is no disagreement, and what had to be compared was compared.
        messages: every message that a journal has, in order of sender, epoch and seq.
        compared: how many of them were compared, by their records or by a checkpoint's digest.
        by_checkpoint: how many of these by a checkpoint's digest alone.
        only_in: by side, the messages that its journal has and that another should have and lacks.
        outstanding: messages that only their sender's journal has, not receipted.
        differing: messages whose digests differ, with each version.
        missing_frames: verified frames that their signer's journal did not seal.
        impossible: times that cannot be.
        statuses: what the link was for, by epoch, as the journals say: exercise or actual.
        policies: epochs that were opened under different terms.
        zone_data: intervals in which the journals planned their slots with different time zone data; no disagreement,
            but a reason for one about slots.
    """

    agree: bool
    messages: tuple[MessagePath, ...]
    compared: int
    by_checkpoint: int
    only_in: dict[str, tuple[Reference, ...]]
    outstanding: tuple[Reference, ...]
    differing: dict[Reference, tuple[Version, ...]]
    missing_frames: tuple[HeldFrame, ...]
    impossible: tuple[Impossible, ...]
    policies: tuple[int, ...]
    statuses: dict[int, Status]
    zone_data: tuple[ZoneDifference, ...]

    @property
    def not_compared(self) -> int:
        """How many messages were not compared."""
        return len(self.messages) - self.compared


def reconcile(*journals: Evidence) -> Reconciliation:
    """Compare two or three journals. Raises LocalProtocolError unless they are of one link, one of each side."""
    _check(journals)
    comparison = _Comparison(journals)
    comparison.run()
    by_side = {each.side: each for each in journals}
    unsealed = [frame for each in journals for frame in each.held if _unsealed(frame, by_side.get(frame.signer))]
    # each frame once, though several journals have received it
    missing = tuple({(frame.signer, frame.channel, frame.digest): frame for frame in reversed(unsealed)}.values())[::-1]
    differing, policies = _differing(journals), _policies(journals)
    impossible = tuple(impossible_times(journals))
    found = bool(any(comparison.only_in.values()) or differing or missing or impossible or policies)
    messages = tuple(comparison.paths)
    partial = any(each.beginning for each in journals)
    nothing = partial and bool(messages) and not comparison.direct and not _frames_compared(journals)
    return Reconciliation(
        agree=not (found or nothing),
        messages=messages,
        compared=comparison.direct + comparison.by_checkpoint,
        by_checkpoint=comparison.by_checkpoint,
        only_in={side: tuple(references) for side, references in comparison.only_in.items()},
        outstanding=tuple(comparison.outstanding),
        differing=differing,
        missing_frames=missing,
        impossible=impossible,
        policies=policies,
        statuses=statuses_of(journals),
        zone_data=zone_differences({each.side: each.zone_data for each in journals}),
    )


class _Comparison:
    """Compares the messages of the journals one by one."""

    def __init__(self, journals: Sequence[Evidence]) -> None:
        self.paths: list[MessagePath] = []
        self.only_in: dict[str, list[Reference]] = {each.side: [] for each in journals}
        self.outstanding: list[Reference] = []
        self.direct = 0
        self.by_checkpoint = 0
        self._journals = journals
        self._sides = {each.side: each for each in journals}
        self._parties = _parties(journals)
        self._receipted = _receipted(journals)
        # for each journal that begins at a checkpoint: how much of each stream the others confirm
        self._confirmed = {each.side: _confirmed(each, journals) for each in journals if each.beginning}

    def run(self) -> None:
        known = {reference for each in self._journals for reference in each.ledger.entries}
        for reference in sorted(known, key=_order):
            self._compare(reference)
        for reference, sides in self._beyond(known).items():
            for side in sides:
                self.only_in[side].append(reference)

    def _compare(self, reference: Reference) -> None:
        holders = [each for each in self._journals if reference in each.ledger.entries]
        sender = self._sides.get(reference.sender)
        receiver = self._sides.get(self._receiver_of(reference))
        sent = sender.ledger.entries.get(reference) if sender else None
        received = receiver.ledger.entries.get(reference) if receiver else None
        # the watch's, where the receiver has none
        other = next((each.ledger.entries[reference] for each in holders if each is not sender), None)
        self.paths.append(_path(reference, sent, received or other, _acts(reference, self._journals)))
        confirmed = any(self._is_confirmed(each, reference) for each in self._journals if each not in holders)
        if len(holders) > 1:
            self.direct += 1
        elif confirmed:
            self.by_checkpoint += 1
        receipted = self._is_receipted(reference) or (sent is not None and sent.receipted_at is not None)
        if sender and sent is None and not self._is_confirmed(sender, reference):
            if receipted or not sender.covers(reference):
                self._only_in(reference, holders)
        elif receiver and received is None and not self._is_confirmed(receiver, reference):
            if receipted:
                self._only_in(reference, holders)
            elif sent is not None and not receiver.covers(reference):
                self.outstanding.append(reference)

    def _only_in(self, reference: Reference, holders: Iterable[Evidence]) -> None:
        for holder in holders:
            self.only_in[holder.side].append(reference)

    def _receiver_of(self, reference: Reference) -> str:
        return next((party for party in self._parties if party != reference.sender), "")

    def _is_confirmed(self, journal: Evidence, reference: Reference) -> bool:
        """Return whether the checkpoint that a journal begins with has the digest that another journal has."""
        if journal.beginning is None or reference.epoch != journal.beginning.epoch:
            return False
        return reference.seq <= self._confirmed[journal.side].get(reference.sender, 0)

    def _is_receipted(self, reference: Reference) -> bool:
        return reference.seq <= self._receipted.get((reference.sender, reference.epoch), (0, ""))[0]

    def _beyond(self, known: set[Reference]) -> dict[Reference, list[str]]:
        """Return receipted messages that no journal has, by the journals with the receipts; the last of each stream."""
        found: dict[Reference, list[str]] = {}
        for (party, epoch), (upto, journal) in self._receipted.items():
            reference, sender = Reference(party, epoch, upto), self._sides.get(party)
            if upto and reference not in known and sender is not None and not sender.covers(reference):
                found.setdefault(reference, []).append(journal)
        return found


def _check(journals: Sequence[Evidence]) -> None:
    one = journals[0].ledger
    for other in (each.ledger for each in journals[1:]):
        if one.link != other.link:
            raise LocalProtocolError(
                "wrong_link",
                phrase(
                    "the journals are of two links, {link} and {other}; give the journals of one link",
                    link=one.link,
                    other=other.link,
                ),
            )
    sides = [each.side for each in journals]
    for side in sides:
        if sides.count(side) > 1:
            raise LocalProtocolError(
                "wrong_side", phrase("two journals are of {side}; give one of each side", side=side)
            )
    parties = _parties(journals)
    strangers = {reference.sender for each in journals for reference in each.ledger.entries} - set(parties)
    if strangers or len(set(sides) - set(parties)) > 1:
        who = ", ".join(sorted(strangers)) or "neither"
        raise LocalProtocolError(
            "wrong_side",
            phrase(
                "the journals of {sides} hold messages of {who}; give the journals of the link's two "
                "sides, and of its watch",
                sides=", ".join(sides),
                who=who,
            ),
        )


def _parties(journals: Iterable[Evidence]) -> tuple[str, ...]:
    """Return the link's two parties; none if no journal has terms."""
    return next((each.ledger.parties for each in journals if each.ledger.parties), ())


def _order(reference: Reference) -> tuple[str, int, int]:
    return reference.sender, reference.epoch, reference.seq


def _receipted(journals: Sequence[Evidence]) -> dict[tuple[str, int], tuple[int, str]]:
    """Return how far each stream was receipted by a signed receipt, and a journal that has it."""
    found: dict[tuple[str, int], tuple[int, str]] = {}
    for each in journals:
        for receipt in each.receipts:
            key = receipt.party, receipt.epoch
            found[key] = max(found.get(key, (0, "")), (receipt.upto, each.side))
    return found


def _confirmed(journal: Evidence, journals: Sequence[Evidence]) -> dict[str, int]:
    """Return, for each party, the last message of the checkpoint whose digest another journal has too."""
    assert journal.beginning is not None
    found = {}
    for party, (upto, head) in journal.beginning.streams.items():
        reference = Reference(party, journal.beginning.epoch, upto)
        if any(head in other.versions.get(reference, ()) for other in journals if other is not journal):
            found[party] = upto
    return found


def _differing(journals: Sequence[Evidence]) -> dict[Reference, tuple[Version, ...]]:
    """Return the messages with several digests in all journals together."""
    together: dict[Reference, dict[str, Sighting]] = {}
    for each in journals:
        for reference, entry in each.ledger.entries.items():
            place = (each.queued if entry.own else each.applied)[reference]
            together.setdefault(reference, {}).setdefault(entry.digest, place)
        for reference, versions in each.versions.items():
            for digest, seen in versions.items():
                together.setdefault(reference, {}).setdefault(digest, seen)
    return {
        reference: tuple(Version(digest, seen) for digest, seen in together[reference].items())
        for reference in sorted(together, key=_order)
        if len(together[reference]) > 1
    }


def _unsealed(frame: HeldFrame, signer: Evidence | None) -> bool:
    """Return whether the journal of its signer should have sealed a frame and did not."""
    if signer is None or (frame.channel, frame.digest) in signer.sealed:
        return False
    if signer.beginning is None or frame.unreadable:
        return True
    receipt = frame.receipt
    began = parsed(signer.beginning.at)
    before = receipt is None or (signer.covers(receipt.last) and receipt.at <= began + CLOCK_TOLERANCE_MS)
    return not (before and all(signer.covers(reference) for reference in frame.messages))


def _frames_compared(journals: Sequence[Evidence]) -> bool:
    """Return whether a record of one journal has a frame that a record of its signer's journal sealed."""
    for signer in journals:
        begins = signer.beginning.record if signer.beginning else 0
        for each in journals:
            for frame in each.held:
                sealed = signer.sealed.get((frame.channel, frame.digest))
                if frame.signer == signer.side and sealed is not None and sealed.record != begins:
                    return True
    return False


def statuses_of(journals: Sequence[Evidence]) -> dict[int, Status]:
    """Return what the link was for in each epoch; where journals contradict each other, `actual` counts."""
    found: dict[int, Status] = {}
    for each in journals:
        for epoch, status in each.ledger.statuses.items():
            if found.get(epoch) != "actual":
                found[epoch] = status
    return dict(sorted(found.items()))


def _policies(journals: Sequence[Evidence]) -> tuple[int, ...]:
    known: dict[int, set[str]] = {}
    for each in journals:
        for epoch, digest in each.ledger.policies.items():
            known.setdefault(epoch, set()).add(digest)
    return tuple(sorted(epoch for epoch, digests in known.items() if len(digests) > 1))


def _path(
    reference: Reference, sent: LedgerEntry | None, received: LedgerEntry | None, acts: tuple[PathAct, ...]
) -> MessagePath:
    known = received or sent
    assert known is not None
    both = [entry for entry in (received, sent) if entry is not None]
    times = [entry.acknowledged_at for entry in both if entry.acknowledged_at]
    refusals = [(entry.refused, entry.refused_by) for entry in both if entry.refused]
    changes = [(entry.changed_by, entry.change) for entry in both if entry.changed_by]
    refused, refused_by = refusals[0] if refusals else (None, None)
    changed_by, change = changes[0] if changes else (None, None)
    return MessagePath(
        reference=reference,
        kind=(sent or known).kind,
        sent_at=sent.sent_at if sent else None,
        received_at=received.received_at if received else None,
        receipted_at=sent.receipted_at if sent else None,
        acknowledged_at=times[0] if times else None,
        refused=refused,
        refused_by=refused_by,
        changed_by=changed_by,
        change=change,
        state=known.state,
        at=(sent or known).at,
        body=(sent or known).body,
        acts=acts,
    )


def _acts(reference: Reference, journals: Sequence[Evidence]) -> tuple[PathAct, ...]:
    """Return the acts on a message in all journals, each once: as the side that acted recorded it, if it is there."""
    found: dict[Reference, PathAct] = {}
    for each in journals:
        entry = each.ledger.entries.get(reference)
        for act in entry.acts if entry else ():
            assert act.reference is not UNSET
            known, message = found.get(act.reference), each.ledger.entries.get(act.reference)
            recorded_at = {**(known.recorded_at if known else {}), each.side: act.at}
            first = act if known is None or each.side == act.party else known.act
            body = message.body if message else {}
            found[act.reference] = PathAct(act=first, recorded_at=recorded_at, body=body)
    return tuple(sorted(found.values(), key=lambda shown: shown.act.at))
