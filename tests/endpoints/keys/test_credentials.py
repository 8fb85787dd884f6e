from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from endpoints.clocks.clock import SystemClock
from endpoints.errors import UserError
from endpoints.keys import credentials
from endpoints.keys.attempt_throttle import Caller
from endpoints.keys.officer_credentials import OfficerCredentials, WrongCredential
from endpoints.keys.proven_credentials import UNUSED_MAX_MS

CREDENTIAL = "тихий-вечер-на-42"
HASHED = credentials.hash_credential(CREDENTIAL)


def test_only_the_right_credential_verifies() -> None:
    assert credentials.verify(CREDENTIAL, HASHED)
    assert not credentials.verify(CREDENTIAL + " ", HASHED)
    assert not credentials.verify("", HASHED)
    assert not credentials.verify("x" * 5_000, HASHED)
    assert not credentials.verify("\udcff", HASHED)


def test_a_credential_is_the_same_from_every_keyboard() -> None:
    """Composed and decomposed accents, full-width letters and spaces that do not break."""
    hashed = credentials.hash_credential("Zürich am 1. Mai, früh")
    assert credentials.verify("Zu\u0308rich am\u00a01. Mai, fru\u0308h", hashed)
    assert credentials.verify("Ｚürich am 1. Mai, früh", hashed)
    assert not credentials.verify("Zurich am 1. Mai, fruh", hashed)


def test_a_hash_is_salted_and_does_not_contain_the_credential() -> None:
    assert credentials.hash_credential(CREDENTIAL) != HASHED
    assert CREDENTIAL not in HASHED


def test_generated_credentials_differ_and_are_long_enough() -> None:
    made = {credentials.generate() for _ in range(50)}

    assert len(made) == 50
    assert all(len(each) == 29 for each in made)


@pytest.mark.parametrize("short", ["", "short", "fourteen chars", "ﷺ", "x" * 1_025, "ﷺ" * 100])
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


async def nobody_left() -> bool:
    return False


async def test_only_an_officer_with_their_own_credential_is_authenticated() -> None:
    watch = OfficerCredentials({"watch-1": HASHED}, SystemClock().real_ms)
    await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-1", 1), nobody_left)

    said = set()
    tries = [("watch-1", "wrong-wrong"), ("watch-9", CREDENTIAL), ("", ""), ("watch-9", "wrong-wrong")]
    for number, (officer, credential) in enumerate(tries):
        with pytest.raises(WrongCredential) as refused:
            await watch.authenticate(officer, credential, Caller(f"uid-{number}", number), nobody_left)
        assert refused.value.code == "not_authorised"
        assert refused.value.source == f"uid-{number}"
        assert credential not in refused.value.detail or not credential
        said.add(refused.value.detail.replace(repr(officer), "X"))
    assert len(said) == 1, "an unknown officer is told something else than one with a wrong credential"


async def test_a_removed_officer_and_an_old_credential_are_refused_at_once() -> None:
    watch = OfficerCredentials({"watch-1": HASHED, "watch-2": HASHED}, SystemClock().real_ms)

    watch.exchange({"watch-2": credentials.hash_credential("another credential")})

    await watch.authenticate("watch-2", "another credential", Caller("uid-1", 1), nobody_left)
    for officer in ("watch-1", "watch-2"):
        with pytest.raises(WrongCredential):
            await watch.authenticate(officer, CREDENTIAL, Caller(officer, 1), nobody_left)


async def test_an_attempt_that_waits_or_is_checked_meanwhile_is_judged_by_the_new_roster() -> None:
    now = [0]
    watch = OfficerCredentials({"watch-1": HASHED}, lambda: now[0])
    with pytest.raises(WrongCredential):
        await watch.authenticate("watch-1", "a wrong credential", Caller("uid-1", 1), nobody_left)

    async def exchanged() -> bool:
        watch.exchange({"watch-9": HASHED})
        now[0] += 60_000
        return False

    # its process has to wait, and meanwhile the officer is removed
    with pytest.raises(WrongCredential):
        await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-1", 1), exchanged)

    checked = asyncio.create_task(watch.authenticate("watch-9", CREDENTIAL, Caller("uid-2", 2), nobody_left))
    # its check begins
    await asyncio.sleep(0)
    watch.exchange({})
    with pytest.raises(WrongCredential):
        await checked


async def test_an_officer_with_a_new_credential_does_not_wait_for_what_was_tried_before() -> None:
    now = [0]
    watch = OfficerCredentials({"watch-1": HASHED}, lambda: now[0])
    with pytest.raises(WrongCredential):
        await watch.authenticate("watch-1", "a wrong credential", Caller("uid-1", 1), nobody_left)

    async def waits() -> bool:
        raise AssertionError

    # the same roster: a guesser who can have it read anew gains nothing
    watch.exchange({"watch-1": HASHED})
    with pytest.raises(AssertionError):
        await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-1", 1), waits)

    watch.exchange({"watch-1": credentials.hash_credential("another credential")})
    await watch.authenticate("watch-1", "another credential", Caller("uid-1", 1), waits)


class Checks:
    """The slow check of credentials, which keeps what it was asked."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    def __call__(self, credential: str, hashed: str) -> bool:
        self.tried.append(credential)
        return credentials.verify(credential, hashed)


async def test_a_proven_credential_is_not_checked_again_and_a_wrong_one_always() -> None:
    now, checks = [0], Checks()
    watch = OfficerCredentials({"watch-1": HASHED}, lambda: now[0], checks)
    for number in range(3):
        await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-1", number), nobody_left)
    assert checks.tried == [CREDENTIAL]
    for number in range(2):
        with pytest.raises(WrongCredential):
            await watch.authenticate("watch-1", "wrong", Caller("uid-2", number), nobody_left)
        now[0] += 60_000
    assert checks.tried == [CREDENTIAL, "wrong", "wrong"]
    await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-1", 9), nobody_left)
    assert checks.tried == [CREDENTIAL, "wrong", "wrong"]
    now[0] += UNUSED_MAX_MS
    await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-1", 9), nobody_left)
    assert checks.tried == [CREDENTIAL, "wrong", "wrong", CREDENTIAL]


async def test_an_unknown_officer_is_checked_like_a_wrong_credential_also_with_a_proven_one() -> None:
    now, checks = [0], Checks()
    watch = OfficerCredentials({"watch-1": HASHED}, lambda: now[0], checks)
    await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-1", 1), nobody_left)
    for officer in ("watch-9", "watch-9", ""):
        with pytest.raises(WrongCredential):
            await watch.authenticate(officer, CREDENTIAL, Caller(f"uid-{officer}", 2), nobody_left)
        now[0] += 60_000
    assert checks.tried == [CREDENTIAL] * 4


@pytest.mark.parametrize("same", [True, False])
async def test_every_reload_has_each_credential_proven_anew(same: bool) -> None:
    checks = Checks()
    watch = OfficerCredentials({"watch-1": HASHED}, SystemClock().real_ms, checks)
    await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-1", 1), nobody_left)
    watch.exchange({"watch-1": HASHED} if same else {"watch-1": credentials.hash_credential(CREDENTIAL)})
    await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-1", 1), nobody_left)
    assert checks.tried == [CREDENTIAL] * 2


async def test_a_removed_officer_with_a_proven_credential_is_refused_at_once() -> None:
    watch = OfficerCredentials({"watch-1": HASHED}, SystemClock().real_ms)
    await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-1", 1), nobody_left)
    watch.exchange({})
    with pytest.raises(WrongCredential):
        await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-1", 1), nobody_left)
    watch.exchange({"watch-1": credentials.hash_credential("another credential")})
    with pytest.raises(WrongCredential):
        await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-2", 1), nobody_left)


async def test_guesses_at_once_are_compared_with_a_proven_credential_one_a_turn() -> None:
    """The comparison is fast: without a turn of its own each guess would be one more per connection."""
    now, checks = [0], Checks()
    watch = OfficerCredentials({"watch-1": HASHED}, lambda: now[0], checks)
    await watch.authenticate("watch-1", CREDENTIAL, Caller("uid-1", 1), nobody_left)
    guesses = [
        asyncio.create_task(watch.authenticate("watch-1", guess, Caller("uid-2", number), gone))
        for number, guess in enumerate(["a wrong one", CREDENTIAL, CREDENTIAL])
    ]
    first, *others = await asyncio.gather(*guesses, return_exceptions=True)
    assert isinstance(first, WrongCredential)
    # a failing user waits a second between two checks, also with the right credential
    assert [getattr(each, "code", None) for each in others] == ["stopping", "stopping"]


async def gone() -> bool:
    return True


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


def test_a_decoy_is_a_hash_of_the_usual_form_and_cost() -> None:
    made = credentials.decoy()
    assert made != credentials.decoy()
    assert made.partition(",")[0] == credentials.hash_credential("a" * 15).partition(",")[0]
    credentials.check_hash(made)
    assert not credentials.verify("", made)
