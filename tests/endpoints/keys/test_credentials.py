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


def test_the_same_credential_hashes_differently_each_time_and_is_not_inside() -> None:
    assert credentials.hash_credential(CREDENTIAL) != HASHED
    assert CREDENTIAL not in HASHED


def test_generated_credentials_differ_and_are_long_enough() -> None:
    made = {credentials.generate() for _ in range(50)}

    assert len(made) == 50
    assert all(len(each) == 29 for each in made)


@pytest.mark.parametrize("short", ["", "short", "x" * 1_025])
def test_a_credential_too_short_or_too_long_is_not_hashed(short: str) -> None:
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
def test_a_hash_that_is_none_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match="hashed credential"):
        credentials.check_hash(damaged)


async def test_an_officer_proves_himself_and_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "WRONG_CREDENTIAL_DELAY_S", 0.05)
    watch = OfficerCredentials({"watch-1": HASHED})
    await watch.authenticate("watch-1", CREDENTIAL)

    for officer, credential in [("watch-1", "wrong-wrong"), ("watch-9", CREDENTIAL), ("", "")]:
        began = time.monotonic()
        with pytest.raises(LocalProtocolError, match="not an officer of this endpoint; officers: watch-1") as refused:
            await watch.authenticate(officer, credential)
        assert refused.value.code == "not_authorised"
        assert time.monotonic() - began >= 0.05


async def test_wrong_attempts_delay_themselves_and_no_one_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "WRONG_CREDENTIAL_DELAY_S", 30.0)
    watch = OfficerCredentials({"watch-1": HASHED})
    pranks = [asyncio.ensure_future(watch.authenticate("watch-1", "wrong-wrong")) for _ in range(5)]

    await asyncio.wait_for(watch.authenticate("watch-1", CREDENTIAL), 20)

    for prank in pranks:
        assert not prank.done()
        prank.cancel()


def test_a_credential_is_read_from_a_private_file_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "watch-1.credential"
    path.write_text(CREDENTIAL + "\n", encoding="utf-8")
    path.chmod(0o600)
    assert credentials.read_credential(path) == CREDENTIAL

    path.chmod(0o644)
    with pytest.raises(UserError, match=r"open to others \(mode 0644\); make it private: chmod 600"):
        credentials.read_credential(path)


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff\xfe", b"a\0b", b"x" * 2_000])
def test_a_credential_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "watch-1.credential"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(UserError, match=r"watch-1\.credential"):
        credentials.read_credential(path)
