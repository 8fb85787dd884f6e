from base64 import b64encode
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import EnrolmentError, RemoteProtocolError
from protocol.wire.envelope import pae, parse, seal
from protocol.wire.keyring import KEYS_MAX, Keyring
from protocol.wire.messages import FRAME_MAX_BYTES, MESSAGE_TYPE, RECEIPT_TYPE
from protocol.wire.policy import EnrolledKey

PAYLOAD = '{"text":"Проверка линии"}'.encode()
HYBRID = "ed25519+ml-dsa-65"

Private = Ed25519PrivateKey | MLDSA65PrivateKey


def ed25519(seed: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def mldsa(seed: int) -> MLDSA65PrivateKey:
    return MLDSA65PrivateKey.from_seed_bytes(bytes([seed]) * 32)


def enrolled(key_id: str, key: Private) -> EnrolledKey:
    return EnrolledKey(
        id=key_id,
        algorithm="ed25519" if isinstance(key, Ed25519PrivateKey) else "ml-dsa-65",
        public=b64encode(key.public_key().public_bytes_raw()).decode(),
    )


def keyring(parties: Mapping[str, Mapping[str, Private]], suite: str = "ed25519") -> Keyring:
    return Keyring(
        {party: tuple(enrolled(key_id, key) for key_id, key in keys.items()) for party, keys in parties.items()}, suite
    )


def signed(*signers: tuple[str, Private], payload_type: str = MESSAGE_TYPE, payload: bytes = PAYLOAD) -> bytes:
    return seal(payload_type, payload, [(keyid, key.sign(pae(payload_type, payload))) for keyid, key in signers])


def reason(ring: Keyring, frame: bytes, sender: str = "eucom", payload_type: str = MESSAGE_TYPE) -> str:
    with pytest.raises(RemoteProtocolError) as refused:
        ring.open(sender, payload_type, frame)
    return refused.value.reason


EUCOM, NDMC, STRANGER = ed25519(1), ed25519(2), ed25519(3)
PLAIN = keyring({"eucom": {"e1": EUCOM}, "ndmc": {"n1": NDMC}})
GOOD = signed(("e1", EUCOM))


# --- opening ------------------------------------------------------------------------------------------------------


def test_open_returns_what_the_enrolled_key_signed() -> None:
    """SPEC F1.3, F3.5"""
    assert PLAIN.open("eucom", MESSAGE_TYPE, GOOD) == PAYLOAD
    assert PLAIN.judge("message", "eucom", GOOD) == "verified"


def test_the_topic_names_the_sender() -> None:
    """SPEC F3.4: a valid signature of the other party does not count for the party that the topic names."""
    assert reason(PLAIN, GOOD, "ndmc") == "bad_signature"
    assert reason(PLAIN, GOOD, "watch") == "unknown_sender"
    assert PLAIN.judge("message", "ndmc", GOOD) == "bad_signature"


def test_the_payload_type_belongs_to_the_channel() -> None:
    """SPEC F2, F3.3"""
    assert reason(PLAIN, GOOD, payload_type=RECEIPT_TYPE) == "wrong_payload_type"
    assert PLAIN.judge("receipt", "eucom", GOOD) == "wrong_payload_type"
    assert reason(PLAIN, signed(("e1", EUCOM), payload_type="application/json")) == "wrong_payload_type"


def test_the_payload_type_is_signed() -> None:
    """SPEC F1.2: a payload signed as one type does not open as the other."""
    receipt = seal(RECEIPT_TYPE, PAYLOAD, [("e1", EUCOM.sign(pae(MESSAGE_TYPE, PAYLOAD)))])
    assert reason(PLAIN, receipt, payload_type=RECEIPT_TYPE) == "bad_signature"


def test_checks_run_in_the_specified_order() -> None:
    """SPEC F3.1 to F3.5: of several faults, the first check that fails gives the reason."""
    oversized = signed(("x", STRANGER), payload_type="t", payload=b"x" * FRAME_MAX_BYTES)
    assert reason(PLAIN, oversized, "nobody") == "too_large"
    assert reason(PLAIN, signed(("x", STRANGER), payload_type="t") + b" ", "nobody") == "malformed_envelope"
    assert reason(PLAIN, signed(("x", STRANGER), payload_type="t"), "nobody") == "wrong_payload_type"
    assert reason(PLAIN, signed(("x", STRANGER)), "nobody") == "unknown_sender"
    assert reason(PLAIN, signed(("x", STRANGER))) == "bad_signature"


@pytest.mark.parametrize("keyid", ["", "n1", "e1", "nobody", 'a"\\b'])
def test_keyid_is_only_a_hint(keyid: str) -> None:
    """SPEC F3.5: a keyid neither makes an unknown key valid nor an enrolled key invalid."""
    assert PLAIN.open("eucom", MESSAGE_TYPE, signed((keyid, EUCOM))) == PAYLOAD
    assert reason(PLAIN, signed((keyid, STRANGER))) == "bad_signature"


def test_unknown_signatures_beside_a_good_one_are_ignored() -> None:
    """SPEC F3.5"""
    assert PLAIN.open("eucom", MESSAGE_TYPE, signed(("x", STRANGER), ("y", NDMC), ("e1", EUCOM))) == PAYLOAD


@pytest.mark.parametrize("signature", [b"", b"x", b"\0" * 63, b"\0" * 65, b"\0" * 3308, b"\0" * 3310])
def test_a_signature_has_the_length_of_an_algorithm(signature: bytes) -> None:
    """SPEC F1.1, F3.2: beside a good one too."""
    frame = seal(MESSAGE_TYPE, PAYLOAD, [("e1", EUCOM.sign(pae(MESSAGE_TYPE, PAYLOAD))), ("e1", signature)])
    assert reason(PLAIN, frame) == "malformed_envelope"
    # journals of rules 1 and 2 hold such frames
    assert PLAIN.open("eucom", MESSAGE_TYPE, frame, any_length=True) == PAYLOAD
    assert PLAIN.judge("message", "eucom", frame, any_length=True) == "verified"


@pytest.mark.parametrize("signature", [b"\0" * 64, b"\xff" * 64, b"\0" * 3309])
def test_malformed_signatures_are_refused(signature: bytes) -> None:
    assert reason(PLAIN, seal(MESSAGE_TYPE, PAYLOAD, [("e1", signature)])) == "bad_signature"
    hybrid = keyring({"eucom": {"e1": EUCOM, "e2": mldsa(1)}}, HYBRID)
    assert reason(hybrid, seal(MESSAGE_TYPE, PAYLOAD, [("e2", signature)])) == "bad_signature"


def test_either_of_two_enrolled_keys_suffices() -> None:
    """SPEC F3.5: while a key is being replaced, both are enrolled."""
    ring = keyring({"eucom": {"old": EUCOM, "new": STRANGER}, "ndmc": {"n1": NDMC}})
    assert ring.judge("message", "eucom", signed(("old", EUCOM))) == "verified"
    assert ring.judge("message", "eucom", signed(("new", STRANGER))) == "verified"


@given(st.integers(0, len(GOOD) * 8 - 1))
def test_a_flipped_bit_changes_nothing_or_is_refused(bit: int) -> None:
    """SPEC F3.5"""
    flipped = bytearray(GOOD)
    flipped[bit // 8] ^= 1 << bit % 8
    try:
        payload = PLAIN.open("eucom", MESSAGE_TYPE, bytes(flipped))
    except RemoteProtocolError:
        return
    assert payload == PAYLOAD
    assert parse(bytes(flipped)).signatures[0].keyid != "e1"


@given(st.binary(max_size=200), st.sampled_from(["eucom", "ndmc", "", "/"]))
def test_judge_gives_a_verdict_on_any_bytes(frame: bytes, sender: str) -> None:
    assert PLAIN.judge("message", sender, frame) == "malformed_envelope"


# --- the suite of two algorithms ----------------------------------------------------------------------------------


def test_both_algorithms_are_required() -> None:
    """SPEC F1.3"""
    ring = keyring({"eucom": {"e1": EUCOM, "e2": mldsa(1)}, "ndmc": {"n1": NDMC, "n2": mldsa(2)}}, HYBRID)
    assert ring.open("eucom", MESSAGE_TYPE, signed(("e1", EUCOM), ("e2", mldsa(1)))) == PAYLOAD
    assert ring.open("eucom", MESSAGE_TYPE, signed(("", mldsa(1)), ("", EUCOM))) == PAYLOAD
    for incomplete in ([("e1", EUCOM)], [("e2", mldsa(1))], [("e1", EUCOM), ("n2", mldsa(2))], [("e1", EUCOM)] * 2):
        assert reason(ring, signed(*incomplete)) == "bad_signature"


def test_two_keys_of_one_algorithm_are_not_two_algorithms() -> None:
    """SPEC F3.5"""
    ring = keyring({"eucom": {"e1": EUCOM, "e3": STRANGER, "e2": mldsa(1)}}, HYBRID)
    assert reason(ring, signed(("e1", EUCOM), ("e3", STRANGER))) == "bad_signature"


def test_a_spare_key_of_another_algorithm_is_not_required() -> None:
    ring = keyring({"eucom": {"e1": EUCOM, "e2": mldsa(1)}})
    assert ring.judge("message", "eucom", signed(("e1", EUCOM))) == "verified"
    assert ring.judge("message", "eucom", signed(("e2", mldsa(1)))) == "bad_signature"


# --- enrolment ----------------------------------------------------------------------------------------------------

IDENTITY_POINT = b64encode(b"\1" + b"\0" * 31).decode()


def refusal(*keys: EnrolledKey, suite: str = "ed25519") -> str:
    with pytest.raises(EnrolmentError) as refused:
        Keyring({"eucom": keys}, suite)
    text = str(refused.value)
    assert "\n" not in text
    return text


def test_weak_keys_are_refused_by_name() -> None:
    """SPEC F5.1"""
    text = refusal(EnrolledKey("e1", "ed25519", IDENTITY_POINT))
    assert text == "key 'e1' of eucom is a point of low order; enrol a key made by `deconflict enrol`"


def test_the_identity_point_verifies_one_signature_for_any_message() -> None:
    """SPEC F5.1: under this key, one forged signature is valid for every message."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    weak = Ed25519PublicKey.from_public_bytes(b"\1" + b"\0" * 31)
    for message in range(8):
        weak.verify(b"\1" + b"\0" * 63, bytes([message]))


@pytest.mark.parametrize(
    "public", ["", "AAAA", "not base64!", IDENTITY_POINT.rstrip("="), IDENTITY_POINT[:-2] + "B=", "\n", "é"]
)
def test_ill_encoded_keys_are_refused(public: str) -> None:
    """SPEC F5.1"""
    assert "key 'e1' of eucom" in refusal(EnrolledKey("e1", "ed25519", public))
    assert "key 'e1' of eucom" in refusal(EnrolledKey("e1", "ml-dsa-65", public))


def test_a_key_may_be_enrolled_only_once() -> None:
    """SPEC F5.2: neither twice for one party nor for both parties."""
    assert "is the same as key 'e1' of eucom" in refusal(enrolled("e1", EUCOM), enrolled("e2", EUCOM))
    with pytest.raises(EnrolmentError, match="key 'n1' of ndmc is the same as key 'e1' of eucom"):
        keyring({"eucom": {"e1": EUCOM}, "ndmc": {"n1": EUCOM}})


def test_key_ids_are_unique_within_a_party() -> None:
    """SPEC F5.2"""
    assert "two keys with the same id" in refusal(enrolled("e1", EUCOM), enrolled("e1", STRANGER))
    assert keyring({"eucom": {"1": EUCOM}, "ndmc": {"1": NDMC}}).judge("message", "eucom", GOOD) == "verified"


def test_a_party_without_the_keys_of_its_suite_is_refused() -> None:
    """SPEC F5.3"""
    assert refusal() == "eucom has no ed25519 key, which the suite 'ed25519' requires"
    assert "no ml-dsa-65 key" in refusal(enrolled("e1", EUCOM), suite=HYBRID)
    assert "no ed25519 key" in refusal(enrolled("e2", mldsa(1)), suite=HYBRID)


def test_enrolment_bounds_the_number_of_keys_and_the_length_of_ids() -> None:
    """SPEC F5.2"""
    too_many = tuple(enrolled(f"e{seed}", ed25519(seed)) for seed in range(KEYS_MAX + 1))
    assert "at most 8" in refusal(*too_many)
    assert Keyring({"eucom": too_many[:-1]}, "ed25519").judge("message", "eucom", GOOD) == "verified"
    assert "an id of 0 characters; 1 to 64 are allowed" in refusal(enrolled("", EUCOM))
    assert "an id of 65 characters; 1 to 64 are allowed" in refusal(enrolled("k" * 65, EUCOM))
    assert "rsa" in refusal(enrolled("e1", EUCOM), suite="rsa")


def test_an_unknown_algorithm_is_refused() -> None:
    key = EnrolledKey("e1", "rsa", enrolled("e1", EUCOM).public)  # type: ignore[arg-type]
    assert "unknown algorithm 'rsa'" in refusal(key)
