"""Checks how a journal came to its keys, officers and epochs, as far as the journal alone shows it.

Keys: SPEC F5.4, F5.5. Officers: P1.5. Confirmed link files: E1.8. Restored journals: E2.3.

Records of rules 1 and 2, which knew neither changed keys nor a roster of officers, are not judged. The watch has a
roster since rules 4. Link files are confirmed, and restorations recorded, since rules 5.
"""

from __future__ import annotations

from protocol.core.alarms import AlarmCode
from protocol.core.core import acting
from protocol.core.event import Event
from protocol.core.events import (
    AlarmAcknowledged,
    BatchClosed,
    DeadlineReached,
    FrameReceived,
    NotificationDone,
    Started,
)
from protocol.core.link_keys import LinkKeys
from protocol.core.start_events import BEFORE_STARTED, EpochOpened, JournalRestored, KeysEnrolled, LinkConfirmed
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.record.journal import OWN_ENTRIES, Checkpoint, Record
from protocol.record.spans import Span
from protocol.record.terms_history import TermsHistory
from protocol.wire.messages import Digest

SINCE_RULES = 3
WATCH_SINCE_RULES = 4
CONFIRMED_SINCE_RULES = 5
_NO_ENROLMENT: frozenset[type[Event]] = frozenset({BatchClosed, FrameReceived, NotificationDone, DeadlineReached})
"""The most frequent events: no officer acts, and they enrol, confirm and restore nothing."""


class Enrolments:
    """Checks the records of one journal, in order.

    After missing records nothing is judged before a checkpoint: they may have enrolled other keys and officers.

    Attributes:
        rules: the version of the rules of the last record, 0 before the first.
    """

    def __init__(self) -> None:
        self.rules = 0
        self._n = 0
        self._complete = True
        # the keys of a new epoch may follow
        self._opened = False
        # the first record of a start whose `Started` has not come yet, and its event; 0 if there is none
        self._starting = 0
        self._what = ""
        # the epoch of an actual link that this start has opened and not confirmed; 0 if there is none
        self._unconfirmed = 0
        # the epoch in which each confirmed link file was confirmed first
        self._confirmed: dict[Digest, int] = {}
        # whether this start says that the journal was restored, and has opened no epoch since
        self._restored = False
        # the last event and what the journal wrote about itself behind it: there the copy of a restoration ended
        self._ends: set[tuple[int, Digest]] = set()
        # the copies that restorations have named; a mark that could not be removed is recorded once more
        self._copies: set[tuple[int, Digest]] = set()

    def objection(self, record: Record, before: TermsHistory) -> str:
        """Return what is wrong with `record` after what is `before` it, or an empty string."""
        self.rules = int(record.rules or self.rules)
        entry = record.entry
        if isinstance(entry, Checkpoint):
            self._complete = True
        elif self._n and record.n != self._n + 1:
            self._complete, self._starting, self._unconfirmed, self._restored = False, 0, 0, False
        self._n = record.n
        if type(entry) in _NO_ENROLMENT and not self._starting:
            # nearly every record
            self._opened, self._ends = False, {(record.n, record.hash)}
            return ""
        wrong = [self._start(record), self._keys(entry, before), self._act(record, entry, before)]
        wrong += [self._confirmation(record, before), self._restoration(record, before)]
        if wrong[1]:
            # one finding is enough for one enrolment
            self._starting = 0
        self._opened = isinstance(entry, EpochOpened) or (self._opened and type(entry) in BEFORE_STARTED)
        return "; ".join(each for each in wrong if each) if self._complete and self.rules >= SINCE_RULES else ""

    def admits(self, span: Span, before: TermsHistory) -> bool:
        """Return whether the records of a span that comes next are without objection after what is `before` them."""
        if self._starting or not self._complete or span.first != self._n + 1:
            return False
        enrolled = before.officers or {}
        return self.rules < SINCE_RULES or span.officers <= enrolled.keys()

    def pass_over(self, span: Span) -> None:
        """Continue behind a span that is admitted."""
        self._n, self._opened, self._ends = span.last, False, {(span.last, span.head)}

    def _start(self, record: Record) -> str:
        """Return that the settings changed though no start followed (SPEC E1.6)."""
        if type(record.entry) in BEFORE_STARTED:
            if not self._starting:
                self._starting, self._what = record.n, type(record.entry).__name__
            return ""
        began, self._starting = self._starting, 0
        if not began or isinstance(record.entry, Started):
            return ""
        return phrase(
            "record {began}, {what}, is written only at a start, and no start follows it", began=began, what=self._what
        )

    def _keys(self, entry: Event, before: TermsHistory) -> str:
        known = before.keys
        if isinstance(entry, KeysEnrolled) and known != LinkKeys() and not self._opened:
            return phrase("it enrols keys without a new epoch: changed keys count once an officer has accepted them")
        if isinstance(entry, AlarmAcknowledged) and entry.code == AlarmCode.KEYS_CHANGED:
            try:
                known.acknowledged(entry.subject, entry.words)
            except LocalProtocolError:
                return phrase("it accepts changed keys with other words than those of the fingerprint")
        return ""

    def _confirmation(self, record: Record, before: TermsHistory) -> str:
        """Return that a start opened an epoch of an actual link unconfirmed, or confirmed another epoch's link file."""
        match record.entry:
            case EpochOpened(terms=terms):
                demanded = terms.policy.status == "actual" and record.side in {terms.caller, terms.answering}
                self._unconfirmed = terms.epoch if demanded and self.rules >= CONFIRMED_SINCE_RULES else 0
            case LinkConfirmed(digest=digest):
                self._unconfirmed = 0
                epoch = 0 if before.terms is None else before.terms.epoch
                # behind missing records it may be of a later epoch
                first = self._confirmed.setdefault(digest, epoch) if self._complete else epoch
                if first != epoch:
                    return phrase(
                        "it confirms the link file of epoch {first}, not one of epoch {epoch}", first=first, epoch=epoch
                    )
            case Started():
                epoch, self._unconfirmed = self._unconfirmed, 0
                if epoch:
                    return phrase(
                        "this start opened epoch {epoch} of an actual link, and no officer had confirmed its link file",
                        epoch=epoch,
                    )
            case _:
                pass
        return ""

    def _restoration(self, record: Record, before: TermsHistory) -> str:
        """Return that a restoration names another copy than the records before it, or that no new epoch follows it."""
        entry, wrong = record.entry, ""
        if isinstance(entry, JournalRestored):
            terms, copy = before.terms, (entry.records, entry.head)
            self._restored = terms is not None and record.side in {terms.caller, terms.answering}
            if copy not in self._ends and copy not in self._copies:
                wrong = phrase(
                    "it says that the journal was restored up to record {record}; the records before it say otherwise",
                    record=entry.records,
                )
            self._copies.add(copy)
        elif isinstance(entry, EpochOpened):
            self._restored = False
        elif isinstance(entry, Started) and self._restored:
            self._restored = False
            wrong = phrase("this start says that the journal was restored, and opened no new epoch")
        if type(entry) not in OWN_ENTRIES:
            self._ends.clear()
        self._ends.add((record.n, record.hash))
        return wrong

    def _act(self, record: Record, entry: Event, before: TermsHistory) -> str:
        officer = acting(entry)
        if officer is None:
            return ""
        if before.officers is not None:
            return (
                ""
                if officer in before.officers
                else phrase("officer {officer} acts, who is not enrolled", officer=officer)
            )
        terms = before.terms
        party = terms is None or record.side in {terms.caller, terms.answering}
        if not party and self.rules < WATCH_SINCE_RULES:
            return ""
        return phrase("officer {officer} acts, before any officer is enrolled", officer=officer)
