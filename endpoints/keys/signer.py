"""Holds private keys, and signs frames and journal heads with them (SPEC F1).

A keys folder holds one private key or several of an algorithm, in `<key id>.pem` (PKCS #8, not encrypted: Ed25519 or
ML-DSA-65) or `<key id>.raw` (the 32 bytes of an Ed25519 seed). Only their owner may read these files.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from broker.atomic_files import replace
from endpoints.errors import UserError, os_reason
from endpoints.keys.private_files import FILE_MODE, OF_THE_INSTALLATION, read_bytes, require_private
from protocol.phrases import phrase
from protocol.wire import envelope
from protocol.wire.envelope import SUITE_ALGORITHMS
from protocol.wire.messages import FRAME_MAX_BYTES, Identifier
from protocol.wire.policy import EnrolledKey

PRIVATE = (".pem", ".raw")
"""The endings of private keys' files."""
_KEY_FILE_MAX_BYTES = 16_384
_SEED_BYTES = 32
_WHAT = phrase("private key")

PrivateKey = Ed25519PrivateKey | MLDSA65PrivateKey


class Signer:
    """One side's private keys for one link. Each of them that is accepted signs, at least one of each algorithm.

    Attributes:
        enrolled: their public keys, as the link file enrols them.
    """

    def __init__(self, keys: Mapping[str, PrivateKey], suite: str = "ed25519") -> None:
        """Take the keys by id; a key that is there twice counts once. Raises UserError if the suite lacks one."""
        self._suite = suite
        self._keys: dict[str, tuple[str, PrivateKey]] = {}
        enrolled: list[EnrolledKey] = []
        for key_id, key in keys.items():
            public = enrolled_as(key_id, key)
            if public.public not in self._keys:
                self._keys[public.public] = key_id, key
                enrolled.append(public)
        self.enrolled = tuple(enrolled)
        algorithm = self.lacking(self.enrolled)
        if algorithm is not None:
            raise UserError(
                phrase(
                    "the suite {suite} needs one {algorithm} key; found none", suite=repr(suite), algorithm=algorithm
                )
            )

    @classmethod
    def load(cls, folder: Path, suite: str = "ed25519") -> Signer:
        """Return the signer of the keys in `folder`, for a link of `suite`.

        Raises UserError, which names the file, if a key of the suite is missing, other users can read a key, or a
        file is not a private key of a known algorithm.
        """
        keys: dict[str, PrivateKey] = {}
        for path in key_paths(folder, PRIVATE):
            key_id = path.stem
            if key_id in keys:
                raise UserError(
                    phrase(
                        "{path}: another key in this folder has the id {key_id}; remove one",
                        path=path,
                        key_id=repr(key_id),
                    )
                )
            keys[key_id] = read_key(path)
        try:
            return cls(keys, suite)
        except UserError as error:
            raise UserError(phrase("{folder}: {error}", folder=folder, error=error)) from None

    def only(self, enrolled: Sequence[EnrolledKey]) -> Signer:
        """Return the signer of those of the keys that are `enrolled`. Raises UserError if the suite lacks one."""
        named = {each.public for each in enrolled}
        return Signer({key_id: key for public, (key_id, key) in self._keys.items() if public in named}, self._suite)

    def lacking(self, accepted: Sequence[EnrolledKey]) -> str | None:
        """Return an algorithm of the suite of which no key here is `accepted`, None if the suite lacks none."""
        usable = {each.algorithm for each in accepted if each.public in self._keys}
        return next((algorithm for algorithm in SUITE_ALGORITHMS[self._suite] if algorithm not in usable), None)

    def seal(self, payload_type: str, payload: bytes, accepted: Sequence[EnrolledKey] | None = None) -> bytes:
        """Return the frame of `payload`: its DSSE envelope, signed by each key here of the suite that is accepted.

        Args:
            payload_type: the payload's type.
            payload: the bytes to sign.
            accepted: the public keys that count now, the preferred first; None for all.

        A second key of an algorithm does not sign where its signature would make the frame too large (SPEC F6.1): two
        of ML-DSA-65 do not fit beside the longest payloads. Raises ValueError if the suite lacks an accepted key: ask
        `lacking` before.
        """
        signed = envelope.pae(payload_type, payload)
        first: dict[str, tuple[str, PrivateKey]] = {}
        more: list[tuple[str, PrivateKey]] = []
        for each in self.enrolled if accepted is None else accepted:
            if each.algorithm not in SUITE_ALGORITHMS[self._suite] or each.public not in self._keys:
                continue
            key = self._keys[each.public]
            if first.setdefault(each.algorithm, key) is not key:
                more.append(key)
        if len(first) < len(SUITE_ALGORITHMS[self._suite]):
            raise ValueError("no accepted key of an algorithm of the suite")
        signatures = [(key_id, key.sign(signed)) for key_id, key in first.values()]
        frame = envelope.seal(payload_type, payload, signatures)
        for each_id, another in more:
            longer = [*signatures, (each_id, another.sign(signed))]
            sealed = envelope.seal(payload_type, payload, longer)
            if len(sealed) <= FRAME_MAX_BYTES:
                signatures, frame = longer, sealed
        return frame


def key_paths(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files of these kinds in a keys folder, in the order of their names, which are key ids.

    Raises UserError, which names the folder or the file.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in suffixes)
    except FileNotFoundError:
        raise UserError(
            phrase("{folder}: no such folder of private keys; {remedy}", folder=folder, remedy=OF_THE_INSTALLATION)
        ) from None
    except OSError as error:
        raise UserError(
            phrase(
                "{folder}: cannot be read as a folder of private keys: {reason}",
                folder=folder,
                reason=os_reason(error),
            )
        ) from None
    for path in paths:
        try:
            msgspec.convert(path.stem, Identifier)
        except msgspec.ValidationError:
            raise UserError(
                phrase("{path}: name the file <key id>.pem, with a key id of a-z, 0-9 and hyphens", path=path)
            ) from None
    return paths


def generate(folder: Path, suite: str = "ed25519") -> tuple[EnrolledKey, ...]:
    """Make a new private key for each algorithm of `suite` in `folder`; return the public keys. Raises UserError."""
    return tuple(make(folder, algorithm) for algorithm in SUITE_ALGORITHMS[suite])


def make(folder: Path, algorithm: str) -> EnrolledKey:
    """Make a new private key of `algorithm` in `folder`, whole and on disk, or none; return its public key.

    Its id, which names its file, is the algorithm and the first 8 digits of the public key's SHA-256.

    Raises UserError if the folder cannot be written, or this version of cryptography lacks the algorithm.
    """
    try:
        key = Ed25519PrivateKey.generate() if algorithm == "ed25519" else MLDSA65PrivateKey.generate()
    except UnsupportedAlgorithm as error:
        raise UserError(
            phrase("{algorithm} keys cannot be made here: {error}", algorithm=algorithm, error=error)
        ) from None
    key_id = f"{algorithm}-{sha256(key.public_key().public_bytes_raw()).hexdigest()[:8]}"
    path, data = folder / f"{key_id}.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        # a file that is cut short would keep the service from starting
        replace(path, data, FILE_MODE)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise UserError(phrase("{path}: cannot be written: {reason}", path=path, reason=os_reason(error))) from None
    return enrolled_as(key_id, key)


def read_key(path: Path) -> PrivateKey:
    """Return the private key in `path`. Raises UserError."""
    data = read_bytes(path, what=_WHAT, max_bytes=_KEY_FILE_MAX_BYTES)
    require_private(path, what=_WHAT)
    if path.suffix == ".raw":
        if len(data) != _SEED_BYTES:
            raise UserError(
                phrase(
                    "{path}: {count} bytes long; the raw seed of an Ed25519 key has {right} bytes",
                    path=path,
                    count=len(data),
                    right=_SEED_BYTES,
                )
            )
        return Ed25519PrivateKey.from_private_bytes(data)
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:
        raise UserError(phrase("{path}: an encrypted private key; remove its password", path=path)) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UserError(phrase("{path}: not a private key in PEM (PKCS #8)", path=path)) from None
    if not isinstance(key, Ed25519PrivateKey | MLDSA65PrivateKey):
        raise UserError(phrase("{path}: not an Ed25519 or ML-DSA-65 key; make one with `deconflict enrol`", path=path))
    return key


def enrolled_as(key_id: str, key: PrivateKey) -> EnrolledKey:
    """Return the public key of `key` as the link file enrols it."""
    return EnrolledKey(
        id=key_id,
        algorithm="ed25519" if isinstance(key, Ed25519PrivateKey) else "ml-dsa-65",
        public=b64encode(key.public_key().public_bytes_raw()).decode(),
    )
