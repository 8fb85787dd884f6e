from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from endpoints.errors import UserError
from endpoints.keys import credentials
from endpoints.keys.credentials import OfficerCredentials
from protocol.errors import LocalProtocolError

CREDENTIAL = "тихий-вечер-42"
HASHED = credentials.hash_credential(CREDENTIAL)


def test_only_the_right_credential_verifies() -> None:
    assert credentials.verify(CREDENTIAL, HASHED)
    assert not credentials.verify(CREDENTIAL + " ", HASHED)
    assert not credentials.verify("", HASHED)
    assert not credentials.verify("x" * 5_000, HASHED)
    assert not credentials.verify("\udcff", HASHED)


def test_a_hash_is_salted_and_does_not_contain_the_credential() -> None:
    assert credentials.hash_credential(CREDENTIAL) != HASHED
    assert CREDENTIAL not in HASHED


def test_generated_credentials_differ_and_are_long_enough() -> None:
    made = {credentials.generate() for _ in range(50)}

    assert len(made) == 50
    assert all(len(each) == 29 for each in made)


@pytest.mark.parametrize("short", ["", "short", "x" * 1_025])
def test_a_credential_of_wrong_length_is_not_hashed(short: str) -> None:
    with pytest.raises(ValueError, match="a credential has"):
        credentials.hash_credential(short)


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "password",
        HASHED[:-1],
        HASHED.replace("n=16384", "n=16385"),
        HASHED.replace("n=16384", "n=16777216"),
        HASHED.replace("n=16384", "n=2"),
        HASHED.replace("r=8", "r=0"),
    ],
    ids=["empty", "password", "cut", "odd n", "large n", "small n", "no r"],
)
def test_a_malformed_hash_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match="hashed credential"):
        credentials.check_hash(damaged)


async def test_only_an_officer_with_their_own_credential_is_authenticated() -> None:
    watch = OfficerCredentials({"watch-1": HASHED}, wrong_delay_s=0.05)
    await watch.authenticate("watch-1", CREDENTIAL)

    for officer, credential in [("watch-1", "wrong-wrong"), ("watch-9", CREDENTIAL), ("", "")]:
        began = time.monotonic()
        with pytest.raises(LocalProtocolError, match=r"not the credential of officer .*: watch-1") as refused:
            await watch.authenticate(officer, credential)
        assert refused.value.code == "not_authorised"
        assert time.monotonic() - began >= 0.05


async def test_a_wrong_attempt_delays_no_other_officer() -> None:
    watch = OfficerCredentials({"watch-1": HASHED}, wrong_delay_s=30)
    wrong = [asyncio.ensure_future(watch.authenticate("watch-1", "wrong-wrong")) for _ in range(5)]

    await asyncio.wait_for(watch.authenticate("watch-1", CREDENTIAL), 20)

    for attempt in wrong:
        assert not attempt.done()
        attempt.cancel()


def test_a_credential_is_read_from_a_private_file_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "watch-1.credential"
    path.write_text(CREDENTIAL + "\n", encoding="utf-8")
    path.chmod(0o600)
    assert credentials.read_credential(path) == CREDENTIAL

    path.chmod(0o644)
    with pytest.raises(UserError, match=r"open to others \(mode 0644\); make it private: chmod 600"):
        credentials.read_credential(path)


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff\xfe", b"a\0b", b"x" * 2_000])
def test_a_malformed_credential_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "watch-1.credential"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(UserError, match=r"watch-1\.credential"):
        credentials.read_credential(path)


def test_a_folder_is_not_taken_for_a_credential_file_that_is_open_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    with pytest.raises(UserError) as refused:
        credentials.read_credential(tmp_path)

    assert str(refused.value) == f"{tmp_path}: a folder; a credential file was expected"
