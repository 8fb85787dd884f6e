"""What is read without a look at every character is what the rules of SPEC F4 admit, and nothing else."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from protocol.errors import RemoteProtocolError
from protocol.wire import canonical
from protocol.wire.envelope import KEYID_MAX, SIGNATURES_MAX, parse
from protocol.wire.messages import MESSAGE_TYPE, MessagePayload, ReceiptPayload
from tests.vectors.terms import message_frame, receipt_frame, stream

BODIES: list[dict[str, Any]] = [
    {"type": "alert", "text": {"ru": "Обстрел\nстанции", "en": 'a "quoted" \\ text'}},
    {"type": "x", "deep": [[[{"a": [1, -1, True, False, "", 2**53 - 1]}]]]},
]
MESSAGES = message_frame("eucom", stream("eucom", *BODIES))
RECEIPT = receipt_frame("ndmc", 3, "0" * 64)
PIECES = [
    b"null",
    b"1.0",
    b"1e3",
    b"-0",
    b" ",
    b'"',
    b"\\u0001",
    b"\\u00e9",
    b"\x7f",
    b"\xcc\x81",
    b"9" * 20,
    b"[" * 17,
]
"""What the rules do not admit, and what breaks a document."""


class AnySignature(Struct, forbid_unknown_fields=True):
    """A signature as SPEC F1.1 has it."""

    keyid: Annotated[str, Meta(max_length=KEYID_MAX)]
    sig: str


class AnyEnvelope(Struct, forbid_unknown_fields=True):
    """An envelope as SPEC F1.1 has it."""

    payloadType: str  # noqa: N815 - as on the wire
    payload: str
    signatures: Annotated[list[AnySignature], Meta(min_length=1, max_length=SIGNATURES_MAX)]


def payload_of(frame: bytes) -> bytes:
    return parse(frame).payload


@st.composite
def changed(draw: st.DrawFn, original: bytes) -> bytes:
    """Return bytes that differ from canonical ones in one place, or in none."""
    first = draw(st.integers(0, len(original)))
    last = draw(st.integers(first, min(len(original), first + 12)))
    between = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3), st.just(original[first:last])))
    return original[:first] + between + original[last:]


def slowly(data: bytes, kind: Any) -> Any:
    """Return what the plain value converts to, None if it is refused."""
    try:
        return msgspec.convert(canonical.decode(data), kind)
    except ValueError:
        return None


@settings(max_examples=400)
@given(changed(payload_of(MESSAGES)))
def test_a_payload_of_messages_is_read_as_its_plain_value_converts(data: bytes) -> None:
    """SPEC F4.6, F3.6"""
    assert canonical.decode_as(data, msgspec.json.Decoder(MessagePayload)) == slowly(data, MessagePayload)


@settings(max_examples=200)
@given(changed(payload_of(RECEIPT)))
def test_a_payload_of_a_receipt_is_read_as_its_plain_value_converts(data: bytes) -> None:
    """SPEC F4.6, F3.6"""
    assert canonical.decode_as(data, msgspec.json.Decoder(ReceiptPayload)) == slowly(data, ReceiptPayload)


@pytest.mark.parametrize("depth", [14, 15, 16, 17, 18, 500, 5_000])
def test_a_payload_is_not_deeper_than_admitted(depth: int) -> None:
    """SPEC F4.5"""
    nested = b"[" * depth + b"]" * depth
    data = payload_of(MESSAGES).replace(b'"type":"x"', b'"type":"x","v":' + nested)
    assert canonical.decode_as(data, msgspec.json.Decoder(MessagePayload)) == slowly(data, MessagePayload)


def envelope_slowly(frame: bytes) -> tuple[str, bytes, list[tuple[str, bytes]]] | None:
    """Return the parts of an envelope as SPEC F1.1 and F4 say, None if it is refused."""
    read: AnyEnvelope | None = slowly(frame, AnyEnvelope)
    if read is None:
        return None
    texts = [read.payload, *(each.sig for each in read.signatures)]
    try:
        data = [b64decode(text, validate=True) for text in texts]
    except ValueError:
        return None
    if [b64encode(each).decode() for each in data] != texts:
        return None
    keyids = [each.keyid for each in read.signatures]
    return read.payloadType, data[0], list(zip(keyids, data[1:], strict=True))


def assert_read_alike(frame: bytes) -> None:
    expected = envelope_slowly(frame)
    if expected is None:
        with pytest.raises(RemoteProtocolError):
            parse(frame)
        return
    read = parse(frame)
    assert expected == (read.payload_type, read.payload, [(each.keyid, each.signature) for each in read.signatures])


@settings(max_examples=400)
@given(changed(MESSAGES))
def test_an_envelope_is_read_as_its_plain_value_converts(frame: bytes) -> None:
    """SPEC F3.2, F4"""
    assert_read_alike(frame)


@settings(max_examples=200)
@given(keyid=st.text(max_size=4), kind=st.text(max_size=4))
def test_the_texts_of_an_envelope_that_are_no_base64_are_looked_at(keyid: str, kind: str) -> None:
    """SPEC F4.4"""
    value = {"payload": "", "payloadType": kind, "signatures": [{"keyid": keyid, "sig": ""}]}
    try:
        frame = msgspec.json.Encoder(order="sorted").encode(value)
    except UnicodeEncodeError:
        return
    assert_read_alike(frame)


def test_a_refused_envelope_is_refused_for_what_its_plain_value_has() -> None:
    """The reason stands in journals."""
    frame = MESSAGES.replace(MESSAGE_TYPE.encode(), b"e\xcc\x81")
    with pytest.raises(RemoteProtocolError, match="normalization form C"):
        parse(frame)
