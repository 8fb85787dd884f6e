"""Real keys for the small worlds in which keys change, or frames are forged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from endpoints.keys.signer import Signer
from endpoints.runtime.ports import FrameJudge, FrameSigner, judge_of_keys
from protocol.core.link_keys import Keys
from protocol.errors import RemoteProtocolError
from protocol.wire import envelope
from protocol.wire.policy import EnrolledKey
from scenario.exploration.small_world import ForeignFrame
from scenario.simulation.signatures import Signatures


def signer(*names: str) -> Signer:
    """Return a signer whose keys derive from their names."""
    return Signer({name: Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest()) for name in names})


class _RecordingSigner:
    """Signs for one party with real keys, and records the frames."""

    def __init__(self, party: str, keys: Signer, signatures: Signatures) -> None:
        self._party = party
        self._keys = keys
        self._signatures = signatures

    @property
    def enrolled(self) -> tuple[EnrolledKey, ...]:
        """The public keys."""
        return self._keys.enrolled

    def seal(self, payload_type: str, payload: bytes, accepted: Sequence[EnrolledKey] | None = None) -> bytes:
        """Return the frame of `payload`."""
        frame = self._keys.seal(payload_type, payload, accepted)
        self._signatures.add(self._party, payload_type, payload, frame)
        return frame


class WorldSignatures:
    """Who signs and who verifies in one small world.

    Attributes:
        made: the record of all signatures, with which every acceptance is compared.
    """

    def __init__(self, parties: tuple[str, str], signers: Mapping[str, Signer]) -> None:
        self.made = Signatures(parties, real=bool(signers))
        self._signers = signers

    def note(self, foreign: ForeignFrame) -> None:
        """Record a frame that its sender has signed beside its core."""
        with suppress(RemoteProtocolError):  # nobody has signed a frame that is malformed
            opened = envelope.parse(foreign.frame)
            if foreign.signed:
                self.made.add(foreign.sender, opened.payload_type, opened.payload, foreign.frame)

    def signer(self, party: str) -> FrameSigner:
        """Return the signer of a party."""
        real = self._signers.get(party)
        return self.made.signer(party) if real is None else _RecordingSigner(party, real, self.made)

    def judge(self, keys: Keys, suite: str) -> FrameJudge:
        """Return the judge of frames for these accepted keys."""
        if self._signers:
            return judge_of_keys({party: tuple(each) for party, each in keys.items()}, suite)
        return self.made.judge(keys, suite)
