from __future__ import annotations

import pytest
from msgspec import structs

from endpoints.cli.line_tests import split_words, wrong_word
from endpoints.cli.schedule import who_places
from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from endpoints.texts.i18n import translator

EN, RU = translator("en"), translator("ru")


@pytest.mark.parametrize(
    "typed",
    [
        "лодка окно ручей",
        "ЛОДКА, Окно,ручей",
        "  лодка;  окно .ручей ",
        "лодка\u00a0окно\tручей",
        "«лодка» \"окно\" 'ручей'",
        "лод\u200bка окно ручей\ufeff",
    ],
)
def test_words_are_read_in_any_case_with_any_commas_and_spaces(typed: str) -> None:
    words = split_words(typed)

    for read, word in zip(words, ("лодка", "окно", "ручей"), strict=True):
        assert wrong_word(1, read, word, EN) is None


def test_words_with_two_spellings_are_one() -> None:
    assert wrong_word(1, split_words("ЁЖИК")[0], "ежик", EN) is None
    assert wrong_word(1, split_words("и\u0306од")[0], "йод", EN) is None


def test_letters_of_another_script_are_named() -> None:
    assert wrong_word(2, "oкнo", "окно", EN) == (
        "word 2: 'oкнo' has Latin letters (o), and the test's words are Cyrillic: change the keyboard layout"
    )
    assert "латинские буквы (j, r, y)" in str(wrong_word(2, "jryj", "окно", RU))
    assert "Cyrillic letters (о)" in str(wrong_word(3, "bооk", "book", EN))
    assert wrong_word(1, "лодки", "лодка", EN) == "word 1: 'лодки' is not the word of the test; read it again"
    assert "is not the word" in str(wrong_word(1, "7", "лодка", EN))


def test_the_schedule_says_who_places_the_tests_if_officers_do() -> None:
    terms = default_terms.terms()
    parties = {side: default_terms.party(side) for side in ("eucom", "ndmc")}
    by_service = LinkFile(terms=terms, parties=parties)
    policy = structs.replace(terms.policy, placed_by="officer")
    by_officer = structs.replace(by_service, terms=structs.replace(terms, policy=policy))

    assert who_places(by_service, "eucom", EN) == ""
    assert who_places(by_officer, "eucom", EN) == (
        "an officer of this side places each test, within 15 minutes of its slot: deconflict test"
    )
    assert who_places(by_officer, "ndmc", EN) == "an officer of eucom places each test, within 15 minutes of its slot"
