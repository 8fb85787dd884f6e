"""Facts about journals that figures are divided by: signatures, and how full a segment is."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from endpoints.clocks.clock import SystemClock
from endpoints.journal.reader import JournalReader
from endpoints.journal.segments import segments
from endpoints.journal.writer import SEGMENT_BYTES
from load.arrivals import SECOND_NS
from protocol.record.audit import Audit

_MESSAGE = bytes(1_213)
_VERIFIED = 5_000


def signatures_in(journal: Path) -> int:
    """Return how many signatures an audit of a journal verifies."""
    audit = Audit()
    for record in JournalReader(str(journal)).whole_records():
        audit.take(record)
    return audit.signatures


def verifications_per_s() -> float:
    """Return how many Ed25519 signatures OpenSSL verifies in a second, on one core."""
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key(), key.sign(_MESSAGE)
    begins_ns = SystemClock().precise_ns()
    for _ in range(_VERIFIED):
        public.verify(signature, _MESSAGE)
    return _VERIFIED * SECOND_NS / (SystemClock().precise_ns() - begins_ns)


def last_segment_share(journal: Path) -> float:
    """Return how full the last segment of a journal is, from 0 to 1, without the zeros that are written ahead."""
    return len(segments(journal)[-1].read_bytes().rstrip(b"\0")) / SEGMENT_BYTES
