"""Remembers credentials that were proven a short while ago, so that an officer who goes on acting skips scrypt.

What is kept is a keyed digest under a random key of this process, never the credential.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import NamedTuple

from protocol.wire.instants import Millis

UNUSED_MAX_MS: Millis = 600_000
"""After this time without use a credential is forgotten, and proven anew."""
OFFICERS_MAX = 256
"""Officers whose credential is kept; the one who acted least recently is forgotten first."""
_KEY_BYTES = _DIGEST_BYTES = 32


class _Proven(NamedTuple):
    digest: bytes
    used_at: Millis


class ProvenCredentials:
    """The proven credentials of one process: one for each officer, none that was wrong."""

    def __init__(self, real_ms: Callable[[], Millis]) -> None:
        """Keep nothing yet. `real_ms` reads the machine's monotonic clock."""
        self._real_ms = real_ms
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._of_nobody = secrets.token_bytes(_DIGEST_BYTES)
        # bounded: OFFICERS_MAX, the least recently used first
        self._officers: dict[str, _Proven] = {}

    def __len__(self) -> int:
        return len(self._officers)

    def holds(self, officer: str, hashed: str, credential: str) -> bool:
        """Return whether this credential was proven for `officer` and their roster entry `hashed`; a hit is a use.

        It does the same work for an officer of whom nothing is kept, and compares in constant time.
        """
        self.forget_unused()
        kept = self._officers.get(officer)
        digest = self._digest(officer, hashed, credential)
        same = hmac.compare_digest(digest, self._of_nobody if kept is None else kept.digest)
        if same:
            self._keep(officer, digest)
        return same

    def keep(self, officer: str, hashed: str, credential: str) -> None:
        """Remember a credential that scrypt has just proven, in place of another of this officer."""
        self._keep(officer, self._digest(officer, hashed, credential))
        if len(self._officers) > OFFICERS_MAX:
            del self._officers[next(iter(self._officers))]

    def forget_unused(self) -> None:
        """Forget what was not used for `UNUSED_MAX_MS`."""
        now = self._real_ms()
        while self._officers:
            oldest = next(iter(self._officers))
            if now - self._officers[oldest].used_at < UNUSED_MAX_MS:
                return
            del self._officers[oldest]

    def forget_all(self) -> None:
        """Forget everything: the roster may be another one."""
        self._officers.clear()

    def _keep(self, officer: str, digest: bytes) -> None:
        self._officers.pop(officer, None)
        self._officers[officer] = _Proven(digest, self._real_ms())

    def _digest(self, officer: str, hashed: str, credential: str) -> bytes:
        """Return the keyed digest; neither an enrolled officer's id nor their hash contains a NUL."""
        message = f"{officer}\0{hashed}\0{credential}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, message, "sha256")
