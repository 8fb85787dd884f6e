import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.wire.curve_points import weakness

# the eight points of low order, and all their non-canonical encodings, from
# https://eprint.iacr.org/2020/1244, table 1 (the lists of C2SP and Wycheproof agree)
LOW_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
]
NOT_CANONICAL = [
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize("public", LOW_ORDER)
def test_points_of_low_order_are_weak(public: str) -> None:
    """SPEC F5.1"""
    assert weakness(bytes.fromhex(public)) == "is a point of low order"


@pytest.mark.parametrize("public", NOT_CANONICAL)
def test_non_canonical_encodings_are_refused(public: str) -> None:
    """SPEC F5.1"""
    assert "not canonically encoded" in str(weakness(bytes.fromhex(public)))


def test_bytes_that_are_not_a_point_are_refused() -> None:
    """SPEC F5.1"""
    assert "not a point" in str(weakness(b"\2" + b"\0" * 31))


def test_a_point_with_a_component_of_low_order_is_refused() -> None:
    """SPEC F5.1: the base point plus the point of order 2 is (-x, -y) of a point of prime order."""
    public = Ed25519PrivateKey.from_private_bytes(b"\7" * 32).public_key().public_bytes_raw()
    encoded = int.from_bytes(public, "little")
    y, sign = encoded & ((1 << 255) - 1), encoded >> 255
    mixed = (2**255 - 19 - y) | ((1 - sign) << 255)
    assert weakness(mixed.to_bytes(32, "little")) == "has a component of low order"


@pytest.mark.parametrize("public", [b"", b"\1" * 31, b"\1" * 33])
def test_keys_of_the_wrong_length_are_refused(public: bytes) -> None:
    assert "bytes long" in str(weakness(public))


def test_generated_keys_are_accepted() -> None:
    for seed in range(40):
        key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        assert weakness(key.public_key().public_bytes_raw()) is None
