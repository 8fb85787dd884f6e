"""The read model of the past: messages, drafts, alarms and slots of a journal, folded from its records.

Each step of a message carries the time at which this side recorded it: queued and sent (our messages),
received (the peer's), receipted (ours: the peer's receipt arrived; the peer's: our receipt left), acknowledged or
answered by an officer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET

from protocol.core.acts import Act, act_of
from protocol.core.alarms import Alarm
from protocol.core.deadlines import SECOND
from protocol.core.effects import (
    Apply,
    ClearAlarm,
    ExpireDraft,
    HoldDraft,
    Queue,
    RaiseAlarm,
    RejectFrame,
    Seal,
    Settle,
)
from protocol.core.events import (
    AlarmAcknowledged,
    FramesSuppressed,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerReleased,
)
from protocol.core.start_events import EpochOpened, OfficersEnrolled
from protocol.errors import RemoteProtocolError
from protocol.record.forgeries import forgery_named
from protocol.record.happenings import Happenings, MessageStep
from protocol.record.journal import Checkpoint, Record
from protocol.record.ledger_entries import SERVICE, LedgerDraft, LedgerEntry
from protocol.record.past_slots import PastSlots
from protocol.record.terms_history import TermsHistory
from protocol.wire.digests import message_digest, policy_digest
from protocol.wire.instants import Millis, written
from protocol.wire.messages import (
    Alert,
    Heartbeat,
    HeartbeatAnswer,
    Identifier,
    Message,
    Reference,
    Refusal,
    Status,
    Utc,
)
from protocol.wire.payloads import read_body
from protocol.wire.policy import Policy


class Ledger:
    """The history of one journal, folded record by record.

    Attributes:
        link, side: of the journal; empty before its first record.
        partial: the journal begins at a checkpoint, so that earlier messages are missing.
        entries: every message by its reference, in the order in which this side recorded them.
        drafts: every alert that was held for a second officer, by the draft's number.
        alarms: every alarm in its last state, in the order raised; an alarm raised again is listed again.
        frames_refused: the number of refused frames by reason, those that the journal only counts included.
        policies: the digest of the terms, by epoch.
        statuses: what the link was for, by epoch: exercise or actual.
        officers: the officers who may act, each with the time of their enrolment; None if the journal begins later.
        happenings: everything that the records say, in their order, for a timeline.
        slots: the slots of the schedule, and the tests that met them.
        last_at: the time of the last record.
    """

    def __init__(self) -> None:
        self.link = ""
        self.side = ""
        self.partial = False
        self.entries: dict[Reference, LedgerEntry] = {}
        self.drafts: dict[int, LedgerDraft] = {}
        self.frames_refused: Counter[str] = Counter()
        self.alarms: list[Alarm] = []
        self.policies: dict[int, str] = {}
        self.statuses: dict[int, Status] = {}
        self.officers: dict[Identifier, Utc | None] = {}
        self.happenings = Happenings()
        self.slots = PastSlots()
        self.last_at: Utc | None = None
        self._terms = TermsHistory()
        # the alert that each change has changed
        self._changed: dict[Reference, Reference] = {}
        self._standing: dict[tuple[str, str], int] = {}
        # in this epoch: the last message of ours that the peer has receipted, the last of the peer's that we have
        self._settled = 0
        self._claimed = 0

    def take(self, record: Record) -> list[LedgerEntry]:
        """Fold `record`; return the messages that it added or changed.

        Raises JournalError for terms or effects that no link could have written, such as terms without a digest.
        """
        with forgery_named(record):
            return self._take(record)

    def _take(self, record: Record) -> list[LedgerEntry]:
        if not self.link:
            self.link, self.side = record.link, record.side
            self.partial = isinstance(record.entry, Checkpoint)
        entry, now = record.entry, written(record.entry.at)
        self.last_at = now
        if isinstance(entry, EpochOpened):
            self._end_epoch()
        self._take_settings(record, now)
        listed = len(self.happenings.listed)
        self.happenings.take(record)
        absences = [each for each in self.happenings.listed[listed:] if each.what == "blind"]
        self.slots.take(record, self.policy, absences)
        if isinstance(entry, AlarmAcknowledged):
            self._change_alarm(entry.code, entry.subject, acknowledged_by=entry.officer, acknowledged_at=now)
        elif isinstance(entry, FramesSuppressed):
            self.frames_refused[entry.reason] += entry.count
        elif isinstance(entry, OfficerReleased | OfficerCancelled):
            self._decide_draft(record, entry, now)
        changed: list[LedgerEntry] = []
        for effect in record.effects:
            match effect:
                case Queue():
                    changed += self._add(record, self.side, effect.message, now)
                case Apply():
                    changed += self._add(record, effect.sender, effect.message, now, refused=effect.refused or None)
                case Seal():
                    changed += self._sealed(record, effect, now)
                case Settle():
                    changed += self._receipted(record, self.side, range(self._settled + 1, effect.upto + 1), now)
                    self._settled = max(self._settled, effect.upto)
                case RaiseAlarm():
                    self._raise_alarm(effect.alarm)
                case ClearAlarm():
                    self._change_alarm(effect.code, effect.subject, cleared_at=now)
                case RejectFrame():
                    self.frames_refused[effect.reason] += 1
                case HoldDraft() if isinstance(entry, OfficerRaisedAlert):
                    status = entry.status or ("test" if self.policy is None else self.policy.status)
                    raised = msgspec.structs.replace(entry, status=status)
                    self.drafts[effect.draft] = LedgerDraft(draft=effect.draft, raised=raised, held_at=now)
                case HoldDraft() if effect.draft in self.drafts:
                    self.drafts[effect.draft].end = None
                case ExpireDraft() if effect.draft in self.drafts:
                    self.drafts[effect.draft].end = Act(act="expired", at=now, party=self.side)
                case _:
                    pass
            self.happenings.effect(record, effect)
        return changed

    def _take_settings(self, record: Record, now: Utc) -> None:
        """Follow the terms, and the officers with the time of their enrolment."""
        entry = record.entry
        if self._terms.take(record) and (terms := self._terms.terms) is not None:
            self.policies[terms.epoch] = policy_digest(terms)
            self.statuses[terms.epoch] = terms.policy.status
        if isinstance(entry, OfficersEnrolled | Checkpoint):
            since = now if isinstance(entry, OfficersEnrolled) else None
            self.officers = {name: self.officers.get(name, since) for name in self._terms.officers or ()}

    @property
    def epoch(self) -> int:
        """The epoch of the last record, 0 before the first `EpochOpened`."""
        return self._terms.terms.epoch if self._terms.terms else 0

    @property
    def parties(self) -> tuple[Identifier, ...]:
        """The caller and the answering side, none before the first `EpochOpened`."""
        terms = self._terms.terms
        return () if terms is None else (terms.caller, terms.answering)

    @property
    def policy(self) -> Policy | None:
        """The policy of the current epoch, None before the first `EpochOpened`."""
        return None if self._terms.terms is None else self._terms.terms.policy

    @property
    def skew_limit_ms(self) -> Millis:
        """The skew limit of the current epoch's policy, 0 before the first `EpochOpened`."""
        return 0 if self.policy is None else self.policy.skew_limit_s * SECOND

    def _add(
        self, record: Record, sender: str, message: Message, now: Utc, *, refused: str | None = None
    ) -> list[LedgerEntry]:
        """Add a message; record on an earlier one that this one acknowledges, answers, refuses or changes it."""
        kind = message.body.get("type")
        own = sender == self.side
        reference = Reference(sender, self.epoch, message.seq)
        before = self.entries.get(reference)
        entry = LedgerEntry(
            reference=reference,
            own=own,
            kind=kind if isinstance(kind, str) else "unknown",
            body=message.body,
            digest=message_digest(message),
            at=message.at,
            applied=0 if own else 1 + (before.applied if before else 0),
            queued_at=now if own else None,
            received_at=None if own else now,
            refused=refused,
            refused_by=SERVICE if refused else None,
        )
        self.entries[reference] = entry
        step: MessageStep = "queued" if own else "refused" if refused else "received"
        self.happenings.step(record, step, reference, refused or "")
        slot = message.body.get("slot")
        if entry.kind == "heartbeat" and not refused and isinstance(slot, str) and self.policy is not None:
            self.slots.called(now, reference, slot, self.policy)
        return [*([] if refused else self._settle_about(entry, now)), entry]

    def _settle_about(self, entry: LedgerEntry, now: Utc) -> list[LedgerEntry]:
        """Record what a message does to the one that it refers to; return the entries that it changed."""
        try:
            body = read_body(entry.body)
        except RemoteProtocolError:
            return []
        done = None if isinstance(body, Heartbeat) else act_of(body, now, entry.reference)
        about = None if done is None else self.entries.get(done[0])
        if done is None or about is None:
            return []
        if isinstance(body, HeartbeatAnswer) and list(body.read_back) != about.body.get("challenge"):
            return [about]
        about.acts.append(done[1])
        if isinstance(body, Refusal):
            about.refused, about.refused_by = body.reason, body.officer or SERVICE
            return [*(self._undo_change(about) if body.by == "service" else ()), about]
        if isinstance(body, Alert):
            self._change(entry, body, about)
        return [about]

    def _change(self, entry: LedgerEntry, alert: Alert, about: LedgerEntry) -> None:
        """Record the first change of an alert on it; another one has no effect (SPEC B3.3)."""
        if alert.change is not UNSET and about.kind == "alert" and about.changed_by is None:
            about.changed_by, about.change = entry.reference, alert.change.kind
            self._changed[entry.reference] = about.reference

    def _undo_change(self, refused: LedgerEntry) -> list[LedgerEntry]:
        """Restore the alert that a change names, since the other side's service has refused the change (SPEC W2.3)."""
        about = self.entries.get(self._changed.pop(refused.reference, refused.reference))
        if about is None or about.changed_by != refused.reference:
            return []
        about.changed_by = about.change = None
        return [about]

    def _sealed(self, record: Record, seal: Seal, now: Utc) -> list[LedgerEntry]:
        """Record the departure of our messages, and of our receipt for the peer's."""
        changed = []
        if seal.first and seal.last:
            for seq in range(seal.first, seal.last + 1):
                entry = self.entries.get(Reference(self.side, self.epoch, seq))
                if entry is not None and entry.sent_at is None:
                    entry.sent_at = now
                    changed.append(entry)
                    self.happenings.step(record, "sent", entry.reference)
        if seal.upto and self._terms.terms is not None:
            terms = self._terms.terms
            peer = terms.answering if self.side == terms.caller else terms.caller
            changed += self._receipted(record, peer, range(self._claimed + 1, seal.upto + 1), now)
            self._claimed = max(self._claimed, seal.upto)
        return changed

    def _receipted(self, record: Record, sender: str, seqs: Iterable[int], now: Utc) -> list[LedgerEntry]:
        changed = []
        for seq in seqs:
            entry = self.entries.get(Reference(sender, self.epoch, seq))
            if entry is not None and entry.receipted_at is None:
                entry.receipted_at = now
                changed.append(entry)
                self.happenings.step(record, "receipted" if entry.own else "receipt_sent", entry.reference)
        return changed

    def _end_epoch(self) -> None:
        """Mark as undelivered what the peer has not receipted: it is not sent again (SPEC E2)."""
        for entry in self.entries.values():
            if entry.own and entry.receipted_at is None:
                entry.undelivered = True
        self._settled = self._claimed = 0

    def _decide_draft(self, record: Record, event: OfficerReleased | OfficerCancelled, now: Utc) -> None:
        """Record the release or the discarding of a draft, unless it was held before this journal begins."""
        draft = None if event.draft is UNSET else self.drafts.get(event.draft)
        if draft is None:
            return
        sent = [
            Reference(self.side, self.epoch, each.message.seq) for each in record.effects if isinstance(each, Queue)
        ]
        draft.end = Act(
            act="released" if isinstance(event, OfficerReleased) else "discarded",
            at=now,
            party=self.side,
            officer=event.officer,
            reference=sent[0] if sent else UNSET,
        )

    def _raise_alarm(self, alarm: Alarm) -> None:
        """Add an alarm, or bring the detail of a standing one up to date (SPEC W4.3)."""
        place = self._standing.get((alarm.code, alarm.subject))
        if place is not None and self.alarms[place].active:
            self.alarms[place] = alarm
            return
        self._standing[alarm.code, alarm.subject] = len(self.alarms)
        self.alarms.append(alarm)

    def _change_alarm(self, code: str, subject: str, **changes: Any) -> None:
        place = self._standing.get((code, subject))
        if place is not None:
            self.alarms[place] = msgspec.structs.replace(self.alarms[place], **changes)


def ledger_of(records: Iterable[Record]) -> Ledger:
    """Return the ledger of the records of a whole journal."""
    ledger = Ledger()
    for record in records:
        ledger.take(record)
    return ledger
