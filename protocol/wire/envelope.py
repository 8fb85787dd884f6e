"""Builds and parses the DSSE v1 envelope around a frame's payload (SPEC F1, F2, F3).

https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md

This module handles no keys: `protocol.wire.keyring` verifies, `endpoints.keys.signer` signs.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from protocol.errors import RemoteProtocolError
from protocol.phrases import phrase, worded
from protocol.wire import canonical
from protocol.wire.messages import FRAME_MAX_BYTES, MESSAGE_TYPE, RECEIPT_TYPE
from protocol.wire.refusals import FrameRefusal

SIGNATURES_MAX = 8
"""Maximum number of signatures in an envelope: no suite needs more, and each costs the receiver time."""
KEYID_MAX = 64
"""Maximum length of a key id, in characters; it bounds a frame's size beyond its payload."""
SUITE_ALGORITHMS: dict[str, tuple[str, ...]] = {
    "ed25519": ("ed25519",),
    "ed25519+ml-dsa-65": ("ed25519", "ml-dsa-65"),
}
"""The algorithms of each suite; a frame needs a valid signature of every one of them (SPEC F1.3)."""

SIGNATURE_BYTES: dict[str, int] = {"ed25519": 64, "ml-dsa-65": 3_309}
"""The exact length of each algorithm's signatures (SPEC F1.1)."""

Channel = Literal["message", "receipt"]
PAYLOAD_TYPES: dict[str, str] = {"message": MESSAGE_TYPE, "receipt": RECEIPT_TYPE}
"""The payload type of each channel (SPEC F2)."""


class _Signature(Struct, frozen=True, forbid_unknown_fields=True):
    keyid: Annotated[str, Meta(max_length=KEYID_MAX)]
    sig: bytes


class _Envelope(Struct, frozen=True, rename={"payload_type": "payloadType"}, forbid_unknown_fields=True):
    # SPEC F1.1; msgspec writes bytes in base64
    payload_type: str
    payload: bytes
    signatures: Annotated[tuple[_Signature, ...], Meta(min_length=1, max_length=SIGNATURES_MAX)]


_DECODER = msgspec.json.Decoder(_Envelope)


class _TextSignature(Struct, frozen=True, forbid_unknown_fields=True):
    keyid: Annotated[str, Meta(max_length=KEYID_MAX)]
    sig: str


class _TextEnvelope(Struct, frozen=True, rename={"payload_type": "payloadType"}, forbid_unknown_fields=True):
    """An envelope whose base64 is not decoded: for the reason why one is refused."""

    payload_type: str
    payload: str
    signatures: Annotated[tuple[_TextSignature, ...], Meta(min_length=1, max_length=SIGNATURES_MAX)]


class Signature(Struct, frozen=True):
    """A signature as carried in a frame."""

    # only a hint: it never decides which key or algorithm verifies (SPEC F3.5)
    keyid: str
    signature: bytes


class Envelope(Struct, frozen=True):
    """A parsed envelope whose signatures are **not verified**."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed, DSSE's pre-authentication encoding; lengths are in bytes (SPEC F1.2)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload_type: str, payload: bytes, signatures: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the frame of `payload` with its signatures: pairs of key id and signature over `pae(...)`."""
    # base64, our key ids and payload types are admitted
    return canonical.encode_again(
        _Envelope(payload_type, payload, tuple(_Signature(keyid, signature) for keyid, signature in signatures))
    )


@lru_cache(maxsize=64)  # each frame is parsed for its verdict and again for its content; a resent one more often
def parse(frame: bytes) -> Envelope:
    """Return the envelope in `frame` without verifying its signatures (SPEC F3.1, F3.2).

    Raises RemoteProtocolError: `too_large`, `malformed_envelope`. Accepts signatures of any length, since journals of
    rules 1 and 2 contain such frames; `check_lengths` refuses them.
    """
    # SPEC F3.1, F6.1
    if len(frame) > FRAME_MAX_BYTES:
        raise RemoteProtocolError(FrameRefusal.TOO_LARGE, phrase("more than {limit} bytes", limit=FRAME_MAX_BYTES))
    # SPEC F3.2
    return _read(frame) or _read_as_text(frame)


def _read(frame: bytes) -> Envelope | None:
    """Return the envelope in `frame`, None if it may be malformed: then `_read_as_text` says why.

    What is encoded again to the same bytes was canonical base64. Only the other texts are looked at.
    """
    try:
        read = _DECODER.decode(frame)
        if canonical.encode_again(read) != frame:
            return None
        _require_admitted((read.payload_type, *(each.keyid for each in read.signatures)))
    except (ValueError, RecursionError):
        return None
    return Envelope(read.payload_type, read.payload, tuple(Signature(each.keyid, each.sig) for each in read.signatures))


@lru_cache(maxsize=64)  # the same key signs one frame after another
def _require_admitted(texts: tuple[str, ...]) -> None:
    """Raise CanonicalError unless all of the texts are admitted."""
    canonical.encode(texts)


def _read_as_text(frame: bytes) -> Envelope:
    """Return the envelope in `frame`. Raises RemoteProtocolError(malformed_envelope)."""
    try:
        read = msgspec.convert(canonical.decode(frame), _TextEnvelope)
        return Envelope(
            read.payload_type,
            _unbase64(read.payload),
            tuple(Signature(each.keyid, _unbase64(each.sig)) for each in read.signatures),
        )
    except ValueError as error:
        raise RemoteProtocolError(FrameRefusal.MALFORMED_ENVELOPE, worded(error)) from error


def check_lengths(envelope: Envelope) -> None:
    """Raise RemoteProtocolError(malformed_envelope) for a signature that has the length of no algorithm (SPEC F1.1)."""
    for each in envelope.signatures:
        if len(each.signature) not in SIGNATURE_BYTES.values():
            detail = phrase(
                "a signature of {size} bytes; an Ed25519 one has 64, an ML-DSA-65 one 3309", size=len(each.signature)
            )
            raise RemoteProtocolError(FrameRefusal.MALFORMED_ENVELOPE, detail)


def _unbase64(text: str) -> bytes:
    """Return the bytes that standard, padded base64 encodes. Raises ValueError unless they re-encode identically."""
    try:
        data = b64decode(text, validate=True)
    except Base64Error as error:
        raise ValueError(phrase("not base64: {error}", error=error)) from error
    if b64encode(data).decode() != text:
        raise ValueError(phrase("base64 that does not re-encode identically"))
    return data
