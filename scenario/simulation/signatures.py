"""Records every signature of a simulated world, so that each acceptance can be compared with the truth.

Real signatures would take most of a world's time, and the core never sees a key. Most worlds therefore put a keyed hash
in the signature's place, and recognise the frames that they have made. All other frames go to the real keyring.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b, sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from endpoints.keys.signer import Signer
from protocol.core.link_keys import Keys
from protocol.errors import RemoteProtocolError
from protocol.wire import envelope
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.keyring import Keyring
from protocol.wire.policy import EnrolledKey
from protocol.wire.refusals import VERIFIED


class Signatures:
    """The frames that each party's key has signed."""

    def __init__(self, parties: tuple[str, str], *, real: bool) -> None:
        self.parties = parties
        self.real = real
        # frame -> party, payload type, payload
        self.made: dict[bytes, tuple[str, str, bytes]] = {}
        # party, payload type, payload, signature
        self._signed: set[tuple[str, str, bytes, bytes]] = set()

    def add(self, party: str, payload_type: str, payload: bytes, frame: bytes) -> None:
        """Record that the key of `party` has signed `payload`."""
        self.made[frame] = (party, payload_type, payload)
        if self.real:
            signed = envelope.parse(frame).signatures
            self._signed.update((party, payload_type, payload, each.signature) for each in signed)

    def genuine(self, party: str, payload_type: str, frame: bytes) -> bool:
        """Return whether `frame` bears a signature of `party` over its payload. Its unsigned key ids may differ."""
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
        """Return the signer of a party."""
        return SimulatedSigner(party, self)

    def judge(self, keys: Keys, suite: str) -> SimulatedJudge:
        """Return the judge of frames for a link with these accepted keys."""
        return SimulatedJudge(self, keys, suite)


class SimulatedSigner:
    """Signs for one party, and records the frames."""

    def __init__(self, party: str, signatures: Signatures) -> None:
        self._party = party
        self._signer = _signer(party)
        self._secret = _key(party).private_bytes_raw()
        self._signatures = signatures

    @property
    def enrolled(self) -> tuple[EnrolledKey, ...]:
        """The party's public key."""
        return self._signer.enrolled

    def seal(self, payload_type: str, payload: bytes, accepted: Sequence[EnrolledKey] | None = None) -> bytes:
        """Return the frame of `payload`."""
        if self._signatures.real:
            frame = self._signer.seal(payload_type, payload, accepted)
        else:
            mark = blake2b(envelope.pae(payload_type, payload), key=self._secret).digest()
            frame = envelope.seal(payload_type, payload, [(self._signer.enrolled[0].id, mark)])
        self._signatures.add(self._party, payload_type, payload, frame)
        return frame


class SimulatedJudge:
    """Judges frames by the recorded signatures, and by the real keys where there is no record."""

    def __init__(self, signatures: Signatures, keys: Keys, suite: str) -> None:
        self._keyring = _keyring(tuple(keys.items()), suite)
        self._enrolled = {party for party in signatures.parties if set(_signer(party).enrolled) & set(keys[party])}
        self._signatures = signatures

    def judge(self, channel: str, sender: str, frame: bytes) -> str:
        """Return the verdict on a frame."""
        if not self._signatures.real:
            made = self._signatures.made.get(frame)
            if made is not None and sender in self._enrolled and made[:2] == (sender, PAYLOAD_TYPES[channel]):
                return VERIFIED
        return self._keyring.judge(channel, sender, frame)


@cache
def enrolled(names: tuple[str, ...]) -> dict[str, tuple[EnrolledKey, ...]]:
    """Return the public keys of parties, or of the watch, as a link file enrols them."""
    return {name: _signer(name).enrolled for name in names}


@cache
def _keyring(keys: tuple[tuple[str, tuple[EnrolledKey, ...]], ...], suite: str) -> Keyring:
    return Keyring(dict(keys), suite, complete=False)


@cache
def _signer(party: str) -> Signer:
    return Signer({f"{party}-key": _key(party)})


@cache
def _key(party: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(party.encode()).digest())
