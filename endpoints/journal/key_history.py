"""Reads from a journal which keys a link has, and since when they are accepted (SPEC F5.4, F5.5)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from endpoints.config.owned_keys import WATCH, owned
from endpoints.errors import UserError, os_reason
from endpoints.journal.last_segment import last_segment
from endpoints.journal.reader import JournalReader
from protocol.core.link_keys import LinkKeys
from protocol.phrases import phrase
from protocol.record.journal import Checkpoint, Record
from protocol.record.terms_history import TermsHistory
from protocol.wire.instants import Millis
from protocol.wire.policy import EnrolledKey, Terms


class KeyHistory:
    """The keys of a link after the records taken.

    Attributes:
        since: when each accepted key was accepted first, by its owner and itself; None if that was before the
            journal's first record.
    """

    def __init__(self) -> None:
        self.since: dict[tuple[str, EnrolledKey], Millis | None] = {}
        self._history = TermsHistory()

    @property
    def terms(self) -> Terms | None:
        """The terms of the current epoch, None before the first."""
        return self._history.terms

    @property
    def keys(self) -> LinkKeys:
        """The keys that people have agreed to, and a change that waits."""
        return self._history.keys

    def take(self, record: Record) -> None:
        """Take the next record."""
        unknown = isinstance(record.entry, Checkpoint) and self._history.terms is None
        if self._history.take(record):
            at = None if unknown else record.entry.at
            self.since = {each: self.since.get(each, at) for each in self.accepted()}

    def accepted(self) -> set[tuple[str, EnrolledKey]]:
        """Return the keys that count now, each with its owner: those agreed to that the link file still has."""
        keys = self.keys
        watch = keys.watch if keys.pending is None else tuple(key for key in keys.watch if key in keys.pending.watch)
        return {(party, key) for party, each in keys.accepted.items() for key in each} | {(WATCH, key) for key in watch}

    def agreed(self) -> set[tuple[str, EnrolledKey]]:
        """Return the keys that people have agreed to, each with its owner."""
        return owned(self.keys.agreed, self.keys.watch)

    def read(self) -> set[tuple[str, EnrolledKey]]:
        """Return the keys of the link file that the service has read last, each with its owner."""
        pending = self.keys.pending
        return self.agreed() if pending is None else owned(pending.keys, pending.watch)


def key_history(journal: Path, link: str, side: str, *, whole: bool) -> KeyHistory:
    """Return the keys of a link by its journal; of an empty one, those of no link.

    Args:
        journal: the journal's folder.
        link: the link.
        side: whose journal it is.
        whole: read all of it, for `since`; otherwise only the last segment, whose checkpoint holds the keys.

    Raises UserError if the journal can't be read or is damaged.
    """
    history = KeyHistory()
    try:
        records: Iterable[Record] = last_segment(journal, link, side)
    except OSError as error:
        raise UserError(phrase("{file}: can't be read: {reason}", file=journal, reason=os_reason(error))) from None
    if records and whole:
        records = JournalReader(str(journal)).whole_records()
    for record in records:
        history.take(record)
    return history
