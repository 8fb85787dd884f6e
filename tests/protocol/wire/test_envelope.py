import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from protocol.errors import RemoteProtocolError
from protocol.wire.canonical import encode
from protocol.wire.envelope import KEYID_MAX, SIGNATURES_MAX, Signature, pae, parse, seal
from protocol.wire.messages import (
    FRAME_MAX_BYTES,
    MESSAGE_MAX_BYTES,
    MESSAGE_TYPE,
    RECEIPT_TYPE,
    Claim,
    Message,
    MessagePayload,
)

good_keyids = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=64)


def reason(frame: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as refused:
        parse(frame)
    return refused.value.reason


def test_pae_gives_the_example_of_the_dsse_specification() -> None:
    """SPEC F1.2"""
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_pae_counts_bytes() -> None:
    """SPEC F1.2: lengths are in bytes; two public implementations count characters instead."""
    assert pae("тип", "тест".encode()) == "DSSEv1 6 тип 8 тест".encode()


@given(st.binary(max_size=200), st.lists(st.tuples(good_keyids, st.binary(max_size=70)), min_size=1, max_size=8))
def test_a_sealed_frame_parses_to_what_was_sealed(payload: bytes, signatures: list[tuple[str, bytes]]) -> None:
    """SPEC F1.1"""
    parsed = parse(seal(MESSAGE_TYPE, payload, signatures))
    assert (parsed.payload_type, parsed.payload) == (MESSAGE_TYPE, payload)
    assert parsed.signatures == tuple(Signature(*each) for each in signatures)


def test_a_sealed_frame_has_exactly_these_bytes() -> None:
    """SPEC F1.1"""
    assert seal(RECEIPT_TYPE, b"{}", [("k", b"\xff\xff")]) == (
        b'{"payload":"e30=","payloadType":"application/vnd.deconfliction.receipt.v1+json",'
        b'"signatures":[{"keyid":"k","sig":"//8="}]}'
    )


def frame(payload: str = "e30=", sig: str = "//8=", *, keyid: str = "k", count: int = 1, more: str = "") -> bytes:
    signatures = ",".join([f'{{"keyid":"{keyid}","sig":"{sig}"}}'] * count)
    return f'{{"payload":"{payload}","payloadType":"t","signatures":[{signatures}]{more}}}'.encode()


MALFORMED = {
    "empty": b"",
    "not JSON": b"hello",
    "not an object": b"[]",
    "a BOM": b"\xef\xbb\xbf" + frame(),
    "white space": frame() + b"\n",
    "keys in another order": b'{"payloadType":"t","payload":"e30=","signatures":[{"keyid":"k","sig":"//8="}]}',
    "an extra key": frame(more=',"z":1'),
    "a key twice": frame(more=',"signatures":[]'),
    "no signature": frame(count=0),
    "too many signatures": frame(count=SIGNATURES_MAX + 1),
    "no keyid": b'{"payload":"e30=","payloadType":"t","signatures":[{"sig":"//8="}]}',
    "a long keyid": frame(keyid="k" * 65),
    "no payload": b'{"payloadType":"t","signatures":[{"keyid":"k","sig":"//8="}]}',
    "a number for a payload": frame().replace(b'"e30="', b"1"),
    "base64 without padding": frame("e30"),
    "base64 with too much padding": frame("e30=="),
    "base64 with stray bits": frame("e31="),
    "base64 for URLs": frame(sig="__8="),
    "base64 with a newline": frame("e3\\n0="),
    "base64 with white space": frame("e3 0="),
    "base64 beyond ASCII": frame("é30="),
    "base64 that continues after its padding": frame("e30=e30="),
    "too deep": b"[" * 60_000,
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_envelopes_are_refused(data: bytes) -> None:
    """SPEC F3.2"""
    assert reason(data) == "malformed_envelope"


def test_size_is_checked_first() -> None:
    """SPEC F3.1, F6.1"""
    at_the_limit = frame("A" * (FRAME_MAX_BYTES - len(frame(""))))
    assert len(at_the_limit) == FRAME_MAX_BYTES
    with pytest.raises(RemoteProtocolError, match="malformed_envelope"):
        parse(at_the_limit.replace(b'"A', b'"*'))
    assert reason(at_the_limit + b"x") == "too_large"
    assert reason(b"\0" * (FRAME_MAX_BYTES + 1)) == "too_large"


@given(st.binary(max_size=300))
def test_parse_raises_only_remote_protocol_errors(data: bytes) -> None:
    """SPEC F3.2"""
    with contextlib.suppress(RemoteProtocolError):
        parse(data)


@pytest.mark.parametrize("signature_sizes", [[64], [64, 3309]], ids=["ed25519", "ed25519+ml-dsa-65"])
def test_the_largest_message_fits_with_a_receipt_beside_it(signature_sizes: list[int]) -> None:
    """SPEC F6.2"""
    largest = 2**53 - 1
    at = "2022-11-29T16:00:00.000Z"
    message = Message(seq=largest, prev="0" * 64, at=at, body={"type": ""})
    padding = MESSAGE_MAX_BYTES - len(encode(message))
    payload = MessagePayload(
        link="l" * 32,
        epoch=largest,
        sender="s" * 32,
        recipient="r" * 32,
        policy="0" * 64,
        floor=largest,
        messages=(structs.replace(message, body={"type": "x" * padding}),),
        receipt=Claim(upto=largest, head="0" * 64, at=at),
    )
    assert len(encode(payload.messages[0])) == MESSAGE_MAX_BYTES
    frame = seal(MESSAGE_TYPE, encode(payload), [("k" * KEYID_MAX, b"\0" * size) for size in signature_sizes])
    assert len(frame) <= FRAME_MAX_BYTES
