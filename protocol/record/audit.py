"""Verifies every signature in a journal: the peer's frames, our own frames and the signed heads.

The service gave a verdict on each of the peer's frames when it arrived. Each signed head covers all records before it.
Start-up verifies none of these again; an audit verifies all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET

from protocol.core.effects import Seal
from protocol.core.events import BatchClosed, FrameReceived
from protocol.errors import EnrolmentError, RemoteProtocolError
from protocol.record.journal import HEAD_TYPE, Checkpoint, Closed, Record, head_payload
from protocol.record.terms_history import TermsHistory
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.keyring import Keyring
from protocol.wire.policy import EnrolledKey


class Audit:
    """Verifies the signatures of one journal, record by record.

    Signatures are verified under the keys that the journal records as enrolled. A journal rewritten from end to end
    can record any keys. To detect that, give the keys of the link file as `trusted`: only heads signed by these count.

    Attributes:
        sealed_upto: the number of the last record covered by a valid signed head, 0 if there is none.
        signatures: number of frames and heads verified.
    """

    def __init__(self, trusted: Mapping[str, Sequence[EnrolledKey]] | None = None) -> None:
        self.sealed_upto = 0
        self.signatures = 0
        self._terms = TermsHistory()
        self._trusted = None if trusted is None else {party: tuple(keys) for party, keys in trusted.items()}
        self._ring: Keyring | None = None
        self._trusted_ring: Keyring | None = None

    def take(self, record: Record) -> str:
        """Return what is wrong with the signatures in `record`, or an empty string if nothing is."""
        if self._terms.take(record):
            self._ring = self._trusted_ring = None
        entry = record.entry
        try:
            if isinstance(entry, FrameReceived):
                return self._verdict(entry)
            if isinstance(entry, BatchClosed):
                return self._own_frames(record, entry)
            if isinstance(entry, Checkpoint | Closed) and entry.signed_head is not UNSET:
                return self._head(record, entry.signed_head.encode())
        except EnrolmentError as error:
            return f"the enrolled keys can't be used: {error}"
        return ""

    def finish(self) -> tuple[int, str] | None:
        """Return the number of the record and what is wrong if the journal's last keys are not the trusted ones."""
        if self._trusted is None or self._terms.keys == self._trusted:
            return None
        return self._terms.keys_record or 1, "the keys that it enrols are not those of the link file"

    def _verdict(self, event: FrameReceived) -> str:
        ring = self._keyring()
        if ring is None:
            return ""
        self.signatures += 1
        verdict = ring.judge(event.channel, event.sender, event.frame)
        return "" if verdict == event.verdict else f"the verdict says {event.verdict}, but the frame is {verdict}"

    def _own_frames(self, record: Record, event: BatchClosed) -> str:
        ring = self._keyring()
        if ring is None or not event.frames:
            return ""
        channels = {effect.index: effect.channel for effect in record.effects if isinstance(effect, Seal)}
        for index, frame in enumerate(event.frames):
            self.signatures += 1
            try:
                ring.open(record.side, PAYLOAD_TYPES[channels.get(index, "message")], frame)
            except RemoteProtocolError as error:
                return f"our own frame {index} does not verify: {error}"
        return ""

    def _head(self, record: Record, head: bytes) -> str:
        ring = self._keyring()
        if ring is None:
            return ""
        self.signatures += 1
        claim = head_payload(record.link, record.side, record.n - 1, record.prev)
        if self._trusted_ring is not None and _vouches(self._trusted_ring, record.side, head, claim):
            self.sealed_upto = record.n - 1
            return ""
        if not _vouches(ring, record.side, head, claim):
            return "its signed head does not vouch for the records before it"
        if self._trusted_ring is None:
            self.sealed_upto = record.n - 1
        return ""

    def _keyring(self) -> Keyring | None:
        """Return the keys in force, None before the journal has recorded any. Raises EnrolmentError."""
        history = self._terms
        if self._ring is None and history.terms is not None and history.keys:
            suite = history.terms.policy.suite
            self._ring = Keyring(history.keys, suite)
            if self._trusted is not None:
                self._trusted_ring = Keyring(self._trusted, suite)
        return self._ring


def _vouches(ring: Keyring, side: str, head: bytes, claim: bytes) -> bool:
    """Return whether `head` is signed by `side` and its payload is `claim`."""
    try:
        return ring.open(side, HEAD_TYPE, head) == claim
    except RemoteProtocolError:
        return False
