"""Checks how a journal came to its keys, and whether the officers who act in it were enrolled (SPEC F5.4, F5.5, P1.5).

Records of rules 1 and 2, which knew neither changed keys nor a roster of officers, are not judged. The watch has a
roster since rules 4.
"""

from __future__ import annotations

from protocol.core.alarms import AlarmCode
from protocol.core.core import acting
from protocol.core.event import Event
from protocol.core.events import AlarmAcknowledged, Started
from protocol.core.link_keys import LinkKeys
from protocol.core.start_events import BEFORE_STARTED, EpochOpened, KeysEnrolled
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.record.journal import Checkpoint, Record
from protocol.record.terms_history import TermsHistory

SINCE_RULES = 3
WATCH_SINCE_RULES = 4


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

    def objection(self, record: Record, before: TermsHistory) -> str:
        """Return what is wrong with `record` after what is `before` it, or an empty string."""
        self.rules = int(record.rules or self.rules)
        entry = record.entry
        if isinstance(entry, Checkpoint):
            self._complete = True
        elif self._n and record.n != self._n + 1:
            self._complete, self._starting = False, 0
        self._n = record.n
        wrong = [self._start(record), self._keys(entry, before), self._act(record, entry, before)]
        if wrong[1]:
            # one finding is enough for one enrolment
            self._starting = 0
        self._opened = isinstance(entry, EpochOpened) or (self._opened and isinstance(entry, BEFORE_STARTED))
        return "; ".join(each for each in wrong if each) if self._complete and self.rules >= SINCE_RULES else ""

    def _start(self, record: Record) -> str:
        """Return that the settings changed though no start followed (SPEC E1.6)."""
        if isinstance(record.entry, BEFORE_STARTED):
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
