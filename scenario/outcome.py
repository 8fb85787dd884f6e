"""Derives the outcome of a scenario from both sides' journals: slots, alerts, alarms, lost and doubled messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from protocol.core.effects import Apply
from protocol.core.events import EpochOpened
from protocol.record.journal import Record
from protocol.record.ledger import Ledger, LedgerEntry
from protocol.record.reconcile import Reconciliation
from protocol.wire.instants import Millis, parsed
from protocol.wire.policy import Policy
from scenario.expect import Outcome, Raised, SlotState


class Account:
    """Collects what the outcome needs from one side's journal, record by record.

    Attributes:
        ledger: the side's messages and alarms.
        applied: how often each message of the peer was applied, by epoch and seq; more than once is an error.
    """

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.applied: Counter[tuple[int, int]] = Counter()
        self._epoch = 0

    def take(self, record: Record) -> None:
        """Take the next record."""
        self.ledger.take(record)
        if isinstance(record.entry, EpochOpened):
            self._epoch = record.entry.terms.epoch
        for effect in record.effects:
            if isinstance(effect, Apply):
                self.applied[self._epoch, effect.message.seq] += 1

    @classmethod
    def of(cls, records: Iterable[Record]) -> Account:
        """Return the account of a whole journal."""
        account = cls()
        for record in records:
            account.take(record)
        return account


def outcome(
    policy: Policy, slots: Sequence[Millis], caller: Account, answering: Account, reconciled: Reconciliation
) -> Outcome:
    """Return the outcome that the journals of both sides show. `slots` are the slots within the scenario."""
    accounts = (caller, answering)
    alerts = [
        Raised(entry.reference.sender, parsed(entry.at))
        for account in accounts
        for entry in account.ledger.entries.values()
        if entry.own and entry.kind == "alert"
    ]
    lost = len(reconciled.outstanding) + sum(map(len, reconciled.only_in.values()))
    return Outcome(
        slots={slot: _slot(policy, slot, caller.ledger, answering.ledger) for slot in slots},
        alerts=tuple(sorted(alerts, key=lambda alert: alert.at)),
        alarms=frozenset(str(alarm.code) for account in accounts for alarm in account.ledger.alarms),
        lost=lost,
        applied_twice=sum(times - 1 for account in accounts for times in account.applied.values()),
        journals_agree=reconciled.agree,
    )


def _slot(policy: Policy, slot: Millis, caller: Ledger, answering: Ledger) -> SlotState:
    """Return the state of a slot.

    The answering side's journal shows when the line test came, the caller's journal when its answer came.
    """
    found: SlotState = "missed"
    for sent in caller.entries.values():
        if not (sent.own and sent.kind == "heartbeat" and _names(sent, slot)):
            continue
        received = answering.entries.get(sent.reference)
        if received is None or received.received_at is None:
            continue
        if sent.acknowledged_at is None or sent.receipted_at is None:
            found = "unanswered"
        elif parsed(received.received_at) > slot + policy.grace_s * 1_000:
            return "late"
        elif parsed(sent.acknowledged_at) <= parsed(sent.receipted_at) + policy.answer_within_s * 1_000:
            return "answered_in_time"
        else:
            found = "unanswered"
    return found


def _names(sent: LedgerEntry, slot: Millis) -> bool:
    named = sent.body.get("slot")
    return isinstance(named, str) and parsed(named) == slot
