"""What was said and what was wrong, as one side's journal tells it: a ledger of messages and of alarms.

A message's way has steps, each with the time at which this side saw it: queued and sent (ours), received (the peer's),
receipted (ours: the peer's receipt came; the peer's: our receipt left), acknowledged or answered by an officer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from protocol.core.alarms import Alarm
from protocol.core.effects import Apply, ClearAlarm, Queue, RaiseAlarm, Seal, Settle
from protocol.core.events import AlarmAcknowledged, EpochOpened
from protocol.record.journal import Checkpoint, Record
from protocol.record.terms_history import TermsHistory
from protocol.wire.digests import message_digest, policy_digest
from protocol.wire.instants import written
from protocol.wire.messages import Message, Reference, Utc

State = Literal["queued", "sent", "received", "receipted", "acknowledged", "refused", "undelivered"]
SERVICE = "service"
"""Who acted, where no officer did."""


class LedgerEntry(Struct, kw_only=True):
    """One message. Times are in their written form, None for a step that this journal does not know."""

    reference: Reference
    # this side sent it; else it was received
    own: bool
    # `alert`, `heartbeat`, ...; `unknown` for a body that names none
    kind: str
    body: dict[str, Any]
    # its place in the sender's hash chain
    digest: str
    # by the sender's clock
    at: Utc
    queued_at: Utc | None = None
    sent_at: Utc | None = None
    received_at: Utc | None = None
    receipted_at: Utc | None = None
    # an alert's acknowledgement, or the right answer to a line test
    acknowledged_at: Utc | None = None
    acknowledged_by: str | None = None
    # understood, acting or will_reply; the last one given
    decision: str | None = None
    # why it was refused, and by whom: `service` or an officer
    refused: str | None = None
    refused_by: str | None = None
    # its epoch ended before the peer receipted it
    undelivered: bool = False

    @property
    def state(self) -> State:
        """How far it has come."""
        if self.refused:
            return "refused"
        if self.acknowledged_at:
            return "acknowledged"
        if not self.own:
            return "received"
        if self.receipted_at:
            return "receipted"
        if self.undelivered:
            return "undelivered"
        return "sent" if self.sent_at else "queued"


class Ledger:
    """The messages and alarms of one journal, record by record.

    Attributes:
        link, side: whose journal it is, empty before its first record.
        partial: it begins at a checkpoint: earlier messages are unknown to it.
        entries: every message by its reference, in the order in which this side came to know of them.
        alarms: every alarm as it stands, by code and subject; one that was raised anew stands anew.
        policies: the digest of what was agreed, by epoch.
        last_at: the time of the last record.
    """

    def __init__(self) -> None:
        self.link = ""
        self.side = ""
        self.partial = False
        self.entries: dict[Reference, LedgerEntry] = {}
        self.alarms: list[Alarm] = []
        self.policies: dict[int, str] = {}
        self.last_at: Utc | None = None
        self._terms = TermsHistory()
        self._standing: dict[tuple[str, str], int] = {}
        # in this epoch: own messages receipted up to here, the peer's up to there
        self._settled = 0
        self._claimed = 0

    def take(self, record: Record) -> list[LedgerEntry]:
        """Go on to `record`; return the messages that it added or changed."""
        if not self.link:
            self.link, self.side = record.link, record.side
            self.partial = isinstance(record.entry, Checkpoint)
        entry, now = record.entry, written(record.entry.at)
        self.last_at = now
        if isinstance(entry, EpochOpened):
            self._end_epoch()
        if self._terms.take(record) and (terms := self._terms.terms) is not None:
            self.policies[terms.epoch] = policy_digest(terms)
        if isinstance(entry, AlarmAcknowledged):
            self._change_alarm(entry.code, entry.subject, acknowledged_by=entry.officer, acknowledged_at=now)
        changed: list[LedgerEntry] = []
        for effect in record.effects:
            match effect:
                case Queue():
                    changed += self._add(self.side, effect.message, now)
                case Apply():
                    changed += self._add(effect.sender, effect.message, now, refused=effect.refused or None)
                case Seal():
                    changed += self._sealed(effect, now)
                case Settle():
                    changed += self._receipted(self.side, range(self._settled + 1, effect.upto + 1), now)
                    self._settled = max(self._settled, effect.upto)
                case RaiseAlarm():
                    self._standing[effect.alarm.code, effect.alarm.subject] = len(self.alarms)
                    self.alarms.append(effect.alarm)
                case ClearAlarm():
                    self._change_alarm(effect.code, effect.subject, cleared_at=now)
                case _:
                    pass
        return changed

    @property
    def epoch(self) -> int:
        """The present epoch, 0 as long as nothing says it."""
        return self._terms.terms.epoch if self._terms.terms else 0

    def _add(self, sender: str, message: Message, now: Utc, *, refused: str | None = None) -> list[LedgerEntry]:
        """Add a message, and note what it says of another one."""
        kind = message.body.get("type")
        own = sender == self.side
        entry = LedgerEntry(
            reference=Reference(sender, self.epoch, message.seq),
            own=own,
            kind=kind if isinstance(kind, str) else "unknown",
            body=message.body,
            digest=message_digest(message),
            at=message.at,
            queued_at=now if own else None,
            received_at=None if own else now,
            refused=refused,
            refused_by=SERVICE if refused else None,
        )
        self.entries[entry.reference] = entry
        about = None if refused else self._said_of(entry, now)
        return [entry] if about is None else [about, entry]

    def _said_of(self, entry: LedgerEntry, now: Utc) -> LedgerEntry | None:
        """Note an acknowledgement, an answer or a refusal on the message that it is of; return that message."""
        if entry.kind not in {"acknowledgement", "heartbeat_answer", "refusal"}:
            return None
        body = entry.body
        about = self.entries.get(msgspec.convert(body["of"], Reference))
        if about is None:
            return None
        if entry.kind == "refusal":
            about.refused, about.refused_by = body["reason"], body.get("officer", SERVICE)
        elif entry.kind == "acknowledgement" or body["read_back"] == about.body.get("challenge"):
            about.acknowledged_at = about.acknowledged_at or now
            about.acknowledged_by = about.acknowledged_by or body.get("officer", SERVICE)
            about.decision = body.get("decision")
        return about

    def _sealed(self, seal: Seal, now: Utc) -> list[LedgerEntry]:
        """Note that own messages left, and with them or alone our receipt for the peer's."""
        changed = []
        if seal.first and seal.last:
            for seq in range(seal.first, seal.last + 1):
                entry = self.entries.get(Reference(self.side, self.epoch, seq))
                if entry is not None and entry.sent_at is None:
                    entry.sent_at = now
                    changed.append(entry)
        if seal.upto and self._terms.terms is not None:
            terms = self._terms.terms
            peer = terms.answering if self.side == terms.caller else terms.caller
            changed += self._receipted(peer, range(self._claimed + 1, seal.upto + 1), now)
            self._claimed = max(self._claimed, seal.upto)
        return changed

    def _receipted(self, sender: str, seqs: Iterable[int], now: Utc) -> list[LedgerEntry]:
        changed = []
        for seq in seqs:
            entry = self.entries.get(Reference(sender, self.epoch, seq))
            if entry is not None and entry.receipted_at is None:
                entry.receipted_at = now
                changed.append(entry)
        return changed

    def _end_epoch(self) -> None:
        """What was not receipted in an epoch that ends is not sent again (SPEC E2)."""
        for entry in self.entries.values():
            if entry.own and entry.receipted_at is None:
                entry.undelivered = True
        self._settled = self._claimed = 0

    def _change_alarm(self, code: str, subject: str, **changes: Any) -> None:
        place = self._standing.get((code, subject))
        if place is not None:
            self.alarms[place] = msgspec.structs.replace(self.alarms[place], **changes)


def ledger_of(records: Iterable[Record]) -> Ledger:
    """Return the ledger of a whole journal."""
    ledger = Ledger()
    for record in records:
        ledger.take(record)
    return ledger
