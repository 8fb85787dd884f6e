"""What is kept of a proven credential, for how long, and for whom it counts."""

from __future__ import annotations

import pytest

from endpoints.keys.proven_credentials import OFFICERS_MAX, UNUSED_MAX_MS, ProvenCredentials

HASHED, OTHER = "scrypt$one", "scrypt$another"
SECRET = "тихий-вечер-на-42"


class Clock:
    now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def proven(clock: Clock) -> ProvenCredentials:
    found = ProvenCredentials(clock)
    found.keep("watch-1", HASHED, SECRET)
    return found


@pytest.mark.parametrize(
    ("officer", "hashed", "credential"),
    [
        ("watch-1", HASHED, SECRET + " "),
        ("watch-1", HASHED, ""),
        ("watch-1", HASHED, "\udcff"),
        ("watch-1", OTHER, SECRET),
        ("watch-2", HASHED, SECRET),
        ("", HASHED, SECRET),
        ("watch-1\0" + HASHED, "", SECRET),
    ],
)
def test_it_counts_only_for_its_officer_entry_and_credential(
    proven: ProvenCredentials, officer: str, hashed: str, credential: str
) -> None:
    assert not proven.holds(officer, hashed, credential)
    assert proven.holds("watch-1", HASHED, SECRET)


def test_it_is_forgotten_after_ten_minutes_without_use(proven: ProvenCredentials, clock: Clock) -> None:
    for _ in range(5):
        clock.now += UNUSED_MAX_MS - 1
        assert not proven.holds("watch-1", HASHED, "a wrong one is no use")
        assert proven.holds("watch-1", HASHED, SECRET)
    clock.now += UNUSED_MAX_MS
    assert not proven.holds("watch-1", HASHED, SECRET)
    assert not proven


def test_a_wrong_credential_does_not_keep_it_longer(proven: ProvenCredentials, clock: Clock) -> None:
    clock.now += UNUSED_MAX_MS - 1
    assert not proven.holds("watch-1", HASHED, "guess")
    clock.now += 1
    assert not proven.holds("watch-1", HASHED, SECRET)


def test_one_who_acts_does_not_keep_what_another_has_left(proven: ProvenCredentials, clock: Clock) -> None:
    clock.now += 1
    proven.keep("watch-2", OTHER, SECRET)
    clock.now += UNUSED_MAX_MS - 1
    proven.forget_unused()
    assert len(proven) == 1
    assert proven.holds("watch-2", OTHER, SECRET)


def test_a_new_credential_takes_the_place_of_the_old_one(proven: ProvenCredentials) -> None:
    proven.keep("watch-1", OTHER, "another")
    assert len(proven) == 1
    assert not proven.holds("watch-1", HASHED, SECRET)


def test_all_of_it_is_forgotten(proven: ProvenCredentials) -> None:
    proven.forget_all()
    assert not proven.holds("watch-1", HASHED, SECRET)


def test_of_too_many_officers_the_one_who_acted_least_recently_is_forgotten(proven: ProvenCredentials) -> None:
    for number in range(2, OFFICERS_MAX + 1):
        proven.keep(f"watch-{number}", HASHED, SECRET)
    assert proven.holds("watch-1", HASHED, SECRET)
    proven.keep("one-more", HASHED, SECRET)
    assert len(proven) == OFFICERS_MAX
    assert proven.holds("watch-1", HASHED, SECRET)
    assert not proven.holds("watch-2", HASHED, SECRET)
