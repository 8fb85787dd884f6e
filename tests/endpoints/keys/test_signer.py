import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from endpoints.errors import UserError
from endpoints.keys.signer import Signer, generate
from protocol.wire import envelope
from protocol.wire.keyring import Keyring
from protocol.wire.messages import FRAME_MAX_BYTES, MESSAGE_TYPE

HYBRID = "ed25519+ml-dsa-65"
SEED = bytes(range(32))


def refusal(folder: Path, suite: str = "ed25519") -> str:
    with pytest.raises(UserError) as refused:
        Signer.load(folder, suite)
    text = str(refused.value)
    assert "\n" not in text
    assert refused.value.exit_code == 2
    return text


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    path.write_bytes(data)
    path.chmod(mode)


def pem(encryption: KeySerializationEncryption | None = None) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize("suite", ["ed25519", HYBRID])
def test_generated_keys_sign(tmp_path: Path, suite: str) -> None:
    """SPEC F1.3"""
    enrolled = generate(tmp_path, suite)
    signer = Signer.load(tmp_path, suite)
    assert sorted(signer.enrolled, key=lambda key: key.id) == sorted(enrolled, key=lambda key: key.id)
    frame = signer.seal(MESSAGE_TYPE, b"{}")
    assert Keyring({"eucom": enrolled}, suite).open("eucom", MESSAGE_TYPE, frame) == b"{}"
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_has_the_id_of_its_file(tmp_path: Path) -> None:
    write(tmp_path / "first.pem", pem())
    (tmp_path / "README").write_text("not a key")
    assert [key.id for key in Signer.load(tmp_path).enrolled] == ["first"]


def test_a_raw_seed_and_its_pem_are_the_same_key(tmp_path: Path) -> None:
    write(tmp_path / "k.raw", SEED)
    raw = Signer.load(tmp_path)
    (tmp_path / "k.raw").unlink()
    write(tmp_path / "k.pem", pem())
    assert raw.enrolled == Signer.load(tmp_path).enrolled
    assert raw.seal(MESSAGE_TYPE, b"{}") == Signer.load(tmp_path).seal(MESSAGE_TYPE, b"{}")


def test_only_the_algorithms_of_the_suite_sign(tmp_path: Path) -> None:
    generate(tmp_path, HYBRID)
    plain, hybrid = Signer.load(tmp_path), Signer.load(tmp_path, HYBRID)
    assert plain.enrolled == hybrid.enrolled
    assert len(plain.seal(MESSAGE_TYPE, b"{}")) < 300
    assert len(hybrid.seal(MESSAGE_TYPE, b"{}")) > 4_000


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622, 0o601])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "k.pem"
    write(path, pem(), mode)
    text = refusal(tmp_path)
    assert str(path) in text
    assert f"chmod 600 {path}" in text


UNUSABLE = {
    "empty": b"",
    "text": b"hello\n",
    "binary": bytes(range(256)),
    "huge": b"x" * 20_000,
    "public": Ed25519PrivateKey.from_private_bytes(SEED)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "encrypted": pem(BestAvailableEncryption(b"secret")),
    "another algorithm": generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ),
}


@pytest.mark.parametrize("data", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_file_without_a_private_key_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "k.pem"
    write(path, data)
    assert str(path) in refusal(tmp_path)


def test_a_seed_of_another_length_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "k.raw", SEED[:-1])
    assert "31 bytes long" in refusal(tmp_path)


def test_a_folder_instead_of_a_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k.pem").mkdir(mode=0o700)
    assert str(tmp_path / "k.pem") in refusal(tmp_path)


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "found none" in refusal(tmp_path)
    assert "missing" in refusal(tmp_path / "missing")
    write(tmp_path / "file", b"")
    assert "file" in refusal(tmp_path / "file")


def signed_with(frame: bytes) -> list[str]:
    return [each.keyid for each in envelope.parse(frame).signatures]


@pytest.mark.parametrize("suite", ["ed25519", HYBRID])
def test_each_accepted_key_signs_and_no_other(tmp_path: Path, suite: str) -> None:
    """SPEC F5.6"""
    old, new, prepared = (generate(tmp_path, suite) for _ in range(3))
    signer = Signer.load(tmp_path, suite)
    elsewhere = generate(tmp_path.parent, suite)
    for accepted in (old, (*old, *new), (*new, *old), (*new, *elsewhere)):
        frame = signer.seal(MESSAGE_TYPE, b"{}", accepted)
        assert set(signed_with(frame)) == {key.id for key in accepted if key not in elsewhere}
        assert Keyring({"eucom": accepted}, suite).open("eucom", MESSAGE_TYPE, frame) == b"{}"
    assert sorted(signed_with(signer.seal(MESSAGE_TYPE, b"{}"))) == sorted(key.id for key in (*old, *new, *prepared))


def test_a_key_of_another_algorithm_than_the_suites_does_not_sign(tmp_path: Path) -> None:
    """SPEC F5.3"""
    enrolled = generate(tmp_path, HYBRID)
    frame = Signer.load(tmp_path).seal(MESSAGE_TYPE, b"{}", enrolled)
    assert signed_with(frame) == [key.id for key in enrolled if key.algorithm == "ed25519"]


def test_a_second_key_does_not_sign_where_the_frame_would_be_too_large(tmp_path: Path) -> None:
    """SPEC F6.1: the first of each algorithm does, so that the longest payloads leave too."""
    old, new = generate(tmp_path, HYBRID), generate(tmp_path, HYBRID)
    frame = Signer.load(tmp_path, HYBRID).seal(MESSAGE_TYPE, b"x" * 45_000, (*old, *new))
    assert len(frame) <= FRAME_MAX_BYTES
    assert set(signed_with(frame)) == {key.id for key in (*old, *new) if key != new[1]}
    assert new[1].algorithm == "ml-dsa-65"


def test_a_key_that_is_there_twice_signs_once(tmp_path: Path) -> None:
    write(tmp_path / "copy.raw", SEED)
    write(tmp_path / "k.pem", pem())
    assert signed_with(Signer.load(tmp_path).seal(MESSAGE_TYPE, b"{}")) == ["copy"]


def test_only_the_enrolled_keys_are_kept(tmp_path: Path) -> None:
    old, new = generate(tmp_path), generate(tmp_path)
    signer = Signer.load(tmp_path)
    assert signer.only(new).enrolled == new
    assert (signer.lacking(old), signer.only(new).lacking(old)) == (None, "ed25519")
    with pytest.raises(UserError, match="needs one ed25519 key; found none"):
        signer.only(())


def test_a_folder_without_a_key_of_the_suite_is_refused(tmp_path: Path) -> None:
    generate(tmp_path)
    assert "needs one ml-dsa-65 key" in refusal(tmp_path, HYBRID)


def test_two_keys_with_one_id_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "k.pem", pem())
    write(tmp_path / "k.raw", SEED)
    assert "another key in this folder has the id 'k'" in refusal(tmp_path)


def test_a_key_id_with_other_characters_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "My Key.pem", pem())
    assert "<key id>.pem" in refusal(tmp_path)


def test_generation_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        generate(tmp_path / "missing")
