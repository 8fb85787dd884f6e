"""Verifies frames against the public keys enrolled for one link and epoch (SPEC F3, F5)."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from protocol.errors import EnrolmentError, RemoteProtocolError
from protocol.phrases import phrase
from protocol.wire import envelope
from protocol.wire.curve_points import weakness
from protocol.wire.envelope import KEYID_MAX, PAYLOAD_TYPES, SUITE_ALGORITHMS, Envelope
from protocol.wire.policy import EnrolledKey
from protocol.wire.refusals import VERIFIED, FrameRefusal

KEYS_MAX = 8
"""Maximum number of keys per party (SPEC F5.2): a frame's signatures are tried against all of them."""


class Keyring:
    """The enrolled keys of a link's parties, and the suite that its policy requires.

    Attributes:
        keys: the keys of each party, as they were given.
        suite: the suite.
    """

    def __init__(self, keys: Mapping[str, Sequence[EnrolledKey]], suite: str, *, complete: bool = True) -> None:
        """Take the keys.

        Args:
            keys: the keys of each party.
            suite: the suite.
            complete: whether every party must have what the suite requires, as in a link file. While keys wait for an
                officer, a party may lack some; no frame of it verifies then (SPEC F5.4).

        Raises EnrolmentError, with one line for the maintainer of the link file, for a key that may not be enrolled
        (unknown algorithm, bad encoding, low order, enrolled twice), and for a party that lacks a key (SPEC F5.1 to
        F5.3).
        """
        if suite not in SUITE_ALGORITHMS:
            raise EnrolmentError(
                phrase("suite {suite} is not one of {known}", suite=repr(suite), known=", ".join(SUITE_ALGORITHMS))
            )
        self.keys = {party: tuple(enrolled) for party, enrolled in keys.items()}
        self.suite = suite
        self._required = SUITE_ALGORITHMS[suite]
        self._parties: dict[str, tuple[_Key, ...]] = {}
        owners: dict[str, str] = {}
        for party, enrolled in keys.items():
            if len(enrolled) > KEYS_MAX:
                raise EnrolmentError(
                    phrase(
                        "{party} has {count} keys; at most {limit} may be enrolled",
                        party=party,
                        count=len(enrolled),
                        limit=KEYS_MAX,
                    )
                )
            if len({key.id for key in enrolled}) != len(enrolled):
                raise EnrolmentError(
                    phrase("{party} has two keys with the same id; give each key its own id", party=party)
                )
            for key in enrolled:
                name = phrase("key {key} of {party}", key=repr(key.id[:KEYID_MAX]), party=party)
                # SPEC F5.2
                if key.public in owners:
                    raise EnrolmentError(
                        phrase("{key} is the same as {other}; enrol each key once", key=name, other=owners[key.public])
                    )
                owners[key.public] = name
            self._parties[party] = tuple(_Key(party, key) for key in enrolled)
            # SPEC F5.3
            for algorithm in self._required if complete else ():
                if not any(key.algorithm == algorithm for key in self._parties[party]):
                    raise EnrolmentError(
                        phrase(
                            "{party} has no {algorithm} key, which the suite {suite} requires",
                            party=party,
                            algorithm=algorithm,
                            suite=repr(suite),
                        )
                    )

    def open(self, sender: str, payload_type: str, frame: bytes, *, any_length: bool = False) -> bytes:
        """Return the payload of `frame`, exactly the bytes that enrolled keys of `sender` signed (SPEC F3).

        Args:
            sender: the party that the topic names.
            payload_type: the payload type of the channel.
            frame: the bytes received.
            any_length: admit signatures of other lengths than the algorithms', as rules 1 and 2 did.

        Raises RemoteProtocolError, in the order of the checks: `too_large`, `malformed_envelope`,
        `wrong_payload_type`, `unknown_sender`, `bad_signature`.
        """
        opened = envelope.parse(frame)
        # SPEC F3.2
        if not any_length:
            envelope.check_lengths(opened)
        # SPEC F3.3
        if opened.payload_type != payload_type:
            raise RemoteProtocolError(FrameRefusal.WRONG_PAYLOAD_TYPE, f"{opened.payload_type[:100]!r}")
        # SPEC F3.4
        keys = self._parties.get(sender)
        if keys is None:
            detail = phrase("{sender} has no enrolled keys", sender=repr(sender[:60]))
            raise RemoteProtocolError(FrameRefusal.UNKNOWN_SENDER, detail)
        # SPEC F1.3, F3.5: the enrolment decides the algorithm; distinct enrolled keys are counted, not signatures
        verified = {key.algorithm for key in _signers(keys, opened)}
        missing = [algorithm for algorithm in self._required if algorithm not in verified]
        if missing:
            detail = phrase(
                "no good {algorithms} signature of {sender}", algorithms=" and no good ".join(missing), sender=sender
            )
            raise RemoteProtocolError(FrameRefusal.BAD_SIGNATURE, detail)
        return opened.payload

    def judge(self, channel: str, sender: str, frame: bytes, *, any_length: bool = False) -> str:
        """Return the verdict on a frame received on `channel` of `sender`: `verified` or the reason for refusal.

        `any_length` is that of `open`.
        """
        try:
            self.open(sender, PAYLOAD_TYPES[channel], frame, any_length=any_length)
        except RemoteProtocolError as refused:
            return str(refused.reason)
        return VERIFIED


class _Key:
    """An enrolled public key that verifies signatures. Raises EnrolmentError if it may not be enrolled."""

    def __init__(self, party: str, enrolled: EnrolledKey) -> None:
        name = phrase("key {key} of {party}", key=repr(enrolled.id[:KEYID_MAX]), party=party)
        if not 0 < len(enrolled.id) <= KEYID_MAX:
            raise EnrolmentError(
                phrase(
                    "{key} has an id of {count} characters; 1 to {limit} are allowed",
                    key=name,
                    count=len(enrolled.id),
                    limit=KEYID_MAX,
                )
            )
        try:
            public = b64decode(enrolled.public, validate=True)
        except ValueError as error:
            raise EnrolmentError(phrase("{key} is not base64: {error}", key=name, error=error)) from error
        if b64encode(public).decode() != enrolled.public:
            raise EnrolmentError(phrase("{key} is not standard, padded base64", key=name))
        self.id = enrolled.id
        self.algorithm = enrolled.algorithm
        if enrolled.algorithm == "ed25519":
            # SPEC F5.1
            if wrong := weakness(public):
                raise EnrolmentError(
                    phrase("{key} {wrong}; enrol a key made by `deconflict enrol`", key=name, wrong=wrong)
                )
            self._verify = Ed25519PublicKey.from_public_bytes(public).verify
        elif enrolled.algorithm == "ml-dsa-65":
            self._verify = _mldsa(name, public).verify
        else:
            raise EnrolmentError(
                phrase(
                    "{key} has the unknown algorithm {algorithm}; use 'ed25519' or 'ml-dsa-65'",
                    key=name,
                    algorithm=repr(enrolled.algorithm),
                )
            )

    def signed(self, signature: bytes, data: bytes) -> bool:
        """Return whether `signature` is this key's valid signature over `data`."""
        try:
            self._verify(signature, data)
        except InvalidSignature:
            return False
        return True


def _mldsa(name: str, public: bytes) -> MLDSA65PublicKey:
    try:
        return MLDSA65PublicKey.from_public_bytes(public)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EnrolmentError(phrase("{key} is not usable as ML-DSA-65: {error}", key=name, error=error)) from error


def _signers(keys: tuple[_Key, ...], opened: Envelope) -> Iterator[_Key]:
    """Yield each key of `keys` that signed the envelope. The keyid only decides which key is tried first."""
    data = envelope.pae(opened.payload_type, opened.payload)
    unused = list(keys)
    for each in opened.signatures:
        unused.sort(key=lambda key: key.id != each.keyid)
        for key in unused:
            if key.signed(each.signature, data):
                unused.remove(key)
                yield key
                break
