"""Who has signed what in the simulated world: the truth that every acceptance is compared with.

Signing and verifying dear keys would be most of a world's time, and the core never sees a key. So most worlds use a
cheap stand-in: a keyed hash in the signature's place, known to be good because the world has made it itself. Whatever
the world has not made is judged by the real keyring and its real keys.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b, sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from endpoints.keys.signer import Signer
from protocol.errors import RemoteProtocolError
from protocol.wire import envelope
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.keyring import Keyring
from protocol.wire.policy import EnrolledKey
from protocol.wire.refusals import VERIFIED


class Signatures:
    """Every frame that a party's key has signed, and its payload."""

    def __init__(self, parties: tuple[str, str], *, real: bool) -> None:
        self.parties = parties
        self.real = real
        # frame -> party, payload type, payload
        self.made: dict[bytes, tuple[str, str, bytes]] = {}
        # party, payload type, payload, signature
        self._signed: set[tuple[str, str, bytes, bytes]] = set()

    def add(self, party: str, payload_type: str, payload: bytes, frame: bytes) -> None:
        """Note that the key of `party` has signed `payload`."""
        self.made[frame] = (party, payload_type, payload)
        if self.real:
            signed = envelope.parse(frame).signatures
            self._signed.update((party, payload_type, payload, each.signature) for each in signed)

    def genuine(self, party: str, payload_type: str, frame: bytes) -> bool:
        """Tell whether `frame` bears a signature that `party` has made over its payload; unsigned hints may differ."""
        made = self.made.get(frame)
        if made is not None:
            return made[:2] == (party, payload_type)
        try:
            opened = envelope.parse(frame)
        except RemoteProtocolError:
            return False
        return opened.payload_type == payload_type and any(
            (party, payload_type, opened.payload, each.signature) in self._signed for each in opened.signatures
        )

    def signer(self, party: str) -> SimulatedSigner:
        """Return what signs for a party."""
        return SimulatedSigner(party, self)

    def keyring(self) -> SimulatedKeyring:
        """Return what judges frames for a link of the two parties."""
        return SimulatedKeyring(self)


class SimulatedSigner(Signer):
    """Signs for one party and remembers it."""

    def __init__(self, party: str, signatures: Signatures) -> None:
        key = _key(party)
        super().__init__({f"{party}-key": key})
        self._party = party
        self._secret = key.private_bytes_raw()
        self._signatures = signatures

    def seal(self, payload_type: str, payload: bytes) -> bytes:
        """Return the frame of `payload`."""
        if self._signatures.real:
            frame = super().seal(payload_type, payload)
        else:
            mark = blake2b(envelope.pae(payload_type, payload), key=self._secret).digest()
            frame = envelope.seal(payload_type, payload, [(self.enrolled[0].id, mark)])
        self._signatures.add(self._party, payload_type, payload, frame)
        return frame


class SimulatedKeyring(Keyring):
    """Judges frames: by the real keys, or by what the world knows to have been signed."""

    def __init__(self, signatures: Signatures) -> None:
        super().__init__(enrolled(signatures.parties), "ed25519")
        self._signatures = signatures

    def judge(self, channel: str, sender: str, frame: bytes) -> str:
        """Return the verdict on a frame."""
        if not self._signatures.real:
            made = self._signatures.made.get(frame)
            if made is not None and made[:2] == (sender, PAYLOAD_TYPES[channel]):
                return VERIFIED
        return super().judge(channel, sender, frame)


@cache
def enrolled(parties: tuple[str, str]) -> dict[str, tuple[EnrolledKey, ...]]:
    """Return the public keys of both parties, as a link file enrols them."""
    return {party: Signer({f"{party}-key": _key(party)}).enrolled for party in parties}


@cache
def _key(party: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(party.encode()).digest())
