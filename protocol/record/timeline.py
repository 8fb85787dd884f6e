"""Merges the journals of one link into one chronological account, and says what proves each row.

Each journal's rows keep their order. Between journals the recorded times decide, but nothing is received before it was
sent, and no receipt arrives before it was signed. So clocks that differ do not turn cause and effect around.

A row is **signed** if a frame that another party signed, or that another journal holds, proves it. Its time remains a
claim of the journal that records it. Every other row is **alone**: only that journal records it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from msgspec import Struct, structs

from protocol.core.deadlines import SECOND
from protocol.core.watch_state import SlotState
from protocol.record.clock_difference import ClockDifference, clock_differences
from protocol.record.evidence import Evidence, SignedReceipt
from protocol.record.happenings import MESSAGE_STEPS, Happening
from protocol.record.ledger_entries import SERVICE, LedgerDraft
from protocol.record.line_proof import LineInterval, line_intervals
from protocol.record.reconcile import MessagePath, Reconciliation, reconcile, statuses_of
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import Identifier, Reference, Status, Utc

Proof = Literal["signed", "alone"]
PastSlotState = Literal["met", "late", "missed", "unknown", "open"]
"""`open`: its grace was not over, and no test had come."""
USES = ("alert", "acknowledgement", "refusal", "unknown")
"""Kinds of messages that are a use of the line beyond its tests, in the order in which they are counted."""
_STATES: dict[SlotState, PastSlotState] = {
    SlotState.AWAITED: "open",
    SlotState.MET: "met",
    SlotState.LATE: "late",
    SlotState.MISSED: "missed",
    SlotState.UNKNOWN: "unknown",
}
_NEVER: Utc = "9999-12-31T23:59:59.999Z"
_AFTER: dict[str, str] = {"received": "sent", "refused": "sent", "receipted": "receipt_sent"}
"""The step, in another journal, that comes before a step of the same message."""


class Row(Struct, frozen=True, kw_only=True):
    """One row: what one journal records, and what proves it."""

    journal: Identifier
    happening: Happening
    proof: Proof
    # whose signature proves it; empty if `alone`
    signed_by: Identifier = ""


class SlotRow(Struct, frozen=True, kw_only=True):
    """One slot that was due, as the journals know it in the end."""

    due: Utc
    state: PastSlotState
    # what each journal says, by side
    views: dict[Identifier, PastSlotState]
    # the test that met it or came late
    test: Reference | None = None
    # the officer, or `service`; None if the caller's journal is not there
    placed_by: str | None = None
    placed_at: Utc | None = None
    received_at: Utc | None = None
    receipted_at: Utc | None = None
    answered_by: str | None = None
    answered_at: Utc | None = None
    answer: Reference | None = None


class Account(Struct, frozen=True, kw_only=True):
    """The account of one interval.

    Attributes:
        link: whose it is.
        statuses: what the link was for, by epoch, as the journals say: exercise or actual.
        parties: the caller and the answering side.
        since, until: the interval.
        journals: the sides whose journals were merged.
        rows: everything in order.
        slots: the slots that were due, the earliest first.
        line: when the line was proven usable, not proven, or blind.
        clocks: the difference between both sides' clocks, for each stretch in which neither was set.
        messages: those of the interval, by reference, with texts and acts.
        drafts: those of each journal, by side and number.
        unscheduled: how many line tests were placed outside the schedule.
        uses: how many messages beyond the tests there were, by kind.
        comparison: what the journals agree and disagree about, over their whole length.
    """

    link: Identifier
    statuses: dict[int, Status]
    parties: tuple[Identifier, ...]
    since: Utc
    until: Utc
    journals: tuple[Identifier, ...]
    rows: tuple[Row, ...]
    slots: tuple[SlotRow, ...]
    line: tuple[LineInterval, ...]
    clocks: tuple[ClockDifference, ...]
    messages: dict[Reference, MessagePath]
    drafts: dict[tuple[Identifier, str], LedgerDraft]
    unscheduled: int
    uses: dict[str, int]
    comparison: Reconciliation

    @property
    def complete(self) -> bool:
        """Whether both sides' journals are there, from the beginning of the interval to its end."""
        reasons = {reason for each in self.line for _, reason in each.reasons}
        return {*self.parties} <= {*self.journals} and not reasons & {"not_begun", "ended"}

    @property
    def used(self) -> bool:
        """Whether the line was used beyond its tests."""
        return any(self.uses.values())

    def slots_in(self, state: PastSlotState) -> int:
        """Return how many slots have a state."""
        return sum(slot.state == state for slot in self.slots)

    def length_ms(self, state: str) -> Millis:
        """Return how long the line was in a state."""
        return sum(each.length_ms for each in self.line if each.state == state)


def account(journals: Sequence[Evidence], since: Millis | None = None, until: Millis | None = None) -> Account:
    """Return the account of one to three journals of one link.

    Args:
        journals: one of each side, and of the watch.
        since: the beginning in milliseconds since 1970; by default that of the first journal.
        until: the end; by default that of the last journal. Without a limit there is a row for every record that says
            something, also for those by a clock that was set wrong.

    Raises LocalProtocolError as `reconcile` does.
    """
    journals = sorted(journals, key=place)
    comparison = reconcile(*journals)
    first = [parsed(each.first.at) for each in journals if each.first]
    last = [parsed(each.end.at) for each in journals if each.end]
    begins = min(first, default=0) if since is None else since
    ends = max(max(last, default=0) if until is None else until, begins)
    parties = next((each.ledger.parties for each in journals if each.ledger.parties), ())
    sides = [each for each in journals if each.side in parties]
    rows = _Merge(journals, parties, since, until).rows()
    named = {row.happening.subject for row in rows if row.happening.what in MESSAGE_STEPS}
    messages = {path.reference: path for path in comparison.messages if str(path.reference) in named}
    tests = [path for path in messages.values() if path.kind == "heartbeat"]
    return Account(
        link=journals[0].ledger.link,
        statuses=statuses_of(journals),
        parties=parties,
        since=written(begins),
        until=written(ends),
        journals=tuple(each.side for each in journals),
        rows=tuple(rows),
        slots=tuple(_slots(journals, parties, begins, ends)),
        line=line_intervals(sides, begins, ends),
        clocks=tuple(clock_differences(*parties, journals)) if len(parties) == 2 else (),  # noqa: PLR2004 - both sides
        messages=messages,
        drafts={
            (each.side, f"draft/{number}"): draft for each in journals for number, draft in each.ledger.drafts.items()
        },
        unscheduled=sum("slot" not in path.body for path in tests),
        uses=_uses(messages.values()),
        comparison=comparison,
    )


def place(journal: Evidence) -> int:
    """Return the place of a journal in an account: the caller's first, then the answering side's, then the watch's."""
    return (*journal.ledger.parties, journal.side).index(journal.side)


def _uses(messages: Iterable[MessagePath]) -> dict[str, int]:
    """Count the messages beyond the tests. A refusal by a service is no use, since nobody wrote it."""
    counted = dict.fromkeys(USES, 0)
    for path in messages:
        if path.kind in counted and not (path.kind == "refusal" and path.body.get("by") == "service"):
            counted[path.kind] += 1
    return counted


# --- rows ---------------------------------------------------------------------------------------------------------


class _Merge:
    """Merges the rows of the journals."""

    def __init__(
        self, journals: Sequence[Evidence], parties: Sequence[str], since: Millis | None, until: Millis | None
    ) -> None:
        self._journals = journals
        self._parties = parties
        first, last = "" if since is None else written(since), _NEVER if until is None else written(until)
        self._listed = {
            each.side: [row for row in each.ledger.happenings.listed if first <= row.at <= last] for each in journals
        }
        receipts = [each for journal in journals for each in journal.receipts if each.signer != journal.side]
        self._receipted = {each.side: _receipted(each, receipts) for each in journals}

    def rows(self) -> list[Row]:
        """Return all rows in order."""
        # where each step stands that another journal's row has to follow
        to_come: dict[tuple[str, str], Identifier] = {
            (row.what, row.subject): side
            for side, listed in self._listed.items()
            for row in listed
            if row.what in _AFTER.values()
        }
        next_of = dict.fromkeys(self._listed, 0)
        rows: list[Row] = []
        while heads := {
            side: listed[next_of[side]] for side, listed in self._listed.items() if next_of[side] < len(listed)
        }:
            # clocks that contradict each other could make all of them wait
            free = [side for side, head in heads.items() if not _waits(side, head, to_come)] or list(heads)
            side = min(free, key=lambda each: heads[each].at)
            head = heads[side]
            next_of[side] += 1
            to_come.pop((head.what, head.subject), None)
            rows.append(self._row(side, head))
        return rows

    def _row(self, side: Identifier, row: Happening) -> Row:
        signed_by = self._signer(side, row) if row.what in MESSAGE_STEPS else ""
        return Row(journal=side, happening=row, proof="signed" if signed_by else "alone", signed_by=signed_by)

    def _signer(self, side: Identifier, row: Happening) -> Identifier:
        """Return whose signature proves a step of a message; empty if only this journal records it."""
        reference = Reference.parse(row.subject)
        peer = next((party for party in self._parties if party != reference.sender), "")
        receipted = reference.seq <= self._receipted[side].get((peer, reference.sender, reference.epoch), 0)
        match row.what:
            case "queued" | "sent":
                if self._held_elsewhere(side, reference):
                    return reference.sender
                return peer if receipted else ""
            case "received" | "refused":
                # its frame is in this journal
                return peer if receipted and side == peer else reference.sender
            case "receipt_sent":
                return peer if receipted else ""
            case _:
                return peer

    def _held_elsewhere(self, side: Identifier, reference: Reference) -> bool:
        """Return whether another journal holds the same message, which its sender signed."""
        entries = {each.side: each.ledger.entries.get(reference) for each in self._journals}
        own = entries.pop(side)
        return own is not None and any(other and other.digest == own.digest for other in entries.values())


def _receipted(journal: Evidence, receipts: Iterable[SignedReceipt]) -> dict[tuple[str, str, int], int]:
    """Return how far receipts name the messages that a journal has, by signer, sender and epoch.

    A sender that signs two versions of a message may hold a receipt for the other one (SPEC M5.2).
    """
    found: dict[tuple[str, str, int], int] = {}
    for receipt in receipts:
        entry = journal.ledger.entries.get(receipt.last)
        if entry is not None and entry.digest == receipt.head:
            key = receipt.signer, receipt.party, receipt.epoch
            found[key] = max(receipt.upto, found.get(key, 0))
    return found


def _waits(side: Identifier, row: Happening, to_come: dict[tuple[str, str], Identifier]) -> bool:
    """Return whether a row has to follow a row of another journal that is still to come."""
    before = _AFTER.get(row.what)
    return before is not None and to_come.get((before, row.subject), side) != side


# --- slots --------------------------------------------------------------------------------------------------------


def _slots(journals: Sequence[Evidence], parties: Sequence[str], since: Millis, until: Millis) -> Iterator[SlotRow]:
    """Yield the slots that were due: as the answering side judges them, else the caller, else the watch."""
    due = {instant for each in journals for instant in each.ledger.slots.slots if since <= parsed(instant) < until}
    by_side = {each.side: each for each in journals}
    queued = (row for each in journals for row in each.ledger.happenings.listed if row.what == "queued")
    placed_by = {row.subject: row.officer for row in queued}
    for instant in sorted(due):
        views = {each.side: _view(each, instant, until) for each in journals if instant in each.ledger.slots.slots}
        judges = [side for side in (*reversed(parties), *by_side) if side in views]
        judge = next((side for side in judges if _reaches(by_side[side], instant, views[side])), judges[0])
        tests = [each.ledger.slots.slots[instant].met_by for each in journals if instant in each.ledger.slots.slots]
        test = next((each for each in tests if each is not None), None)
        row = SlotRow(due=instant, state=views[judge], views=views)
        yield row if test is None else _tested(row, test, by_side, placed_by.get(str(test)))


def _reaches(journal: Evidence, instant: Utc, view: PastSlotState) -> bool:
    """Return whether a journal can judge a slot: it has judged it, or goes on after the slot's grace."""
    assert journal.end is not None
    return view in ("met", "late", "missed") or parsed(journal.end.at) > parsed(instant) + _grace_ms(journal, instant)


def _grace_ms(journal: Evidence, instant: Utc) -> Millis:
    policy = journal.ledger.policy
    return journal.ledger.slots.slots[instant].grace_ms or (0 if policy is None else policy.grace_s * SECOND)


def _view(journal: Evidence, instant: Utc, until: Millis) -> PastSlotState:
    """Return a slot's state by one journal. A caller does not know when a test arrived that was receipted later."""
    ledger = journal.ledger
    grace_ms = _grace_ms(journal, instant)
    state = ledger.slots.judged(instant, until, grace_ms)
    test = ledger.slots.slots[instant].met_by
    entry = None if test is None else ledger.entries.get(test)
    if entry is not None and entry.own:
        over = parsed(instant) + grace_ms
        return "met" if entry.receipted_at is not None and parsed(entry.receipted_at) < over else "unknown"
    return _STATES[state]


def _tested(row: SlotRow, test: Reference, journals: dict[Identifier, Evidence], placed_by: str | None) -> SlotRow:
    """Return the row of a slot with what the journals know of its test."""
    entries = {side: each.ledger.entries[test] for side, each in journals.items() if test in each.ledger.entries}
    sent = entries.get(test.sender)
    received = next((each for each in entries.values() if not each.own), None)
    answers = [each.replied for each in (received, sent) if each and each.replied]
    answer = answers[0] if answers else None
    return structs.replace(
        row,
        test=test,
        placed_by=placed_by,
        placed_at=sent.queued_at if sent else None,
        received_at=received.received_at if received else None,
        receipted_at=sent.receipted_at if sent else None,
        answered_by=(answer.officer or SERVICE) if answer else None,
        answered_at=answer.at if answer else None,
        answer=(answer.reference or None) if answer else None,
    )
