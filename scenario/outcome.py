"""Derives the outcome of a scenario from both ledgers: slots, alerts, alarms, messages lost or applied twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from protocol.record.ledger import Ledger
from protocol.record.ledger_entries import LedgerEntry
from protocol.record.reconcile import Reconciliation
from protocol.wire.instants import Millis, parsed
from protocol.wire.policy import Policy
from scenario.expect import Outcome, Raised, SlotState


def outcome(
    policy: Policy, slots: Sequence[Millis], caller: Ledger, answering: Ledger, reconciled: Reconciliation
) -> Outcome:
    """Return what the ledgers of both sides show. `slots` are those of the scenario."""
    entries = [*caller.entries.values(), *answering.entries.values()]
    alerts = [
        Raised(entry.reference.sender, parsed(entry.at)) for entry in entries if entry.own and entry.kind == "alert"
    ]
    lost = len(reconciled.outstanding) + sum(map(len, reconciled.only_in.values()))
    return Outcome(
        slots={slot: _slot(policy, slot, caller, answering) for slot in slots},
        alerts=tuple(sorted(alerts, key=lambda alert: alert.at)),
        messages=dict(Counter(entry.reference.sender for entry in entries if entry.own)),
        alarms=frozenset(str(alarm.code) for alarm in (*caller.alarms, *answering.alarms)),
        lost=lost,
        applied_twice=sum(max(0, entry.applied - 1) for entry in entries),
        journals_agree=reconciled.agree,
    )


def _slot(policy: Policy, slot: Millis, caller: Ledger, answering: Ledger) -> SlotState:
    """Return the state of a slot: the call's by the answering side's ledger, the answer's by the caller's."""
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
