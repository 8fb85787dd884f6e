"""The words of a line test, as people type them."""

from __future__ import annotations

import pytest

from endpoints.texts.i18n import translator
from endpoints.texts.read_back import CYRILLIC, LATIN, misread, scripts, split_words, wrong_word

RU = translator("ru")
TEST = ("метро", "свитер", "творог")


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
        assert wrong_word(1, read, word) is None


def test_words_with_two_spellings_are_one() -> None:
    assert wrong_word(1, split_words("ЁЖИК")[0], "ежик") is None
    assert wrong_word(1, split_words("и\u0306од")[0], "йод") is None


def test_letters_of_another_script_are_named() -> None:
    assert wrong_word(2, "oкнo", "окно") == (
        "word 2: 'oкнo' has Latin letters (o), and the test's words are Cyrillic: change the keyboard layout"
    )
    other_layout = wrong_word(2, "jryj", "окно")
    assert other_layout is not None
    assert "латинские буквы (j, r, y)" in RU.say(other_layout)
    assert "Cyrillic letters (о)" in str(wrong_word(3, "bооk", "book"))
    assert wrong_word(1, "лодки", "лодка") == "word 1: 'лодки' is not the word of the test; read it again"
    assert "is not the word" in str(wrong_word(1, "7", "лодка"))


@pytest.mark.parametrize(
    "fields",
    [TEST, ("Метро ", " СВИТЕР", "«творог»"), ("ме\u0301тро".replace("\u0301", "\u200b"), "свитер", "творог.")],
)
def test_three_fields_that_read_a_test_back(fields: tuple[str, str, str]) -> None:
    assert misread(TEST, fields) is None


@pytest.mark.parametrize(
    ("fields", "place", "why"),
    [
        (("метро", "творог", "свитер"), 1, "word 2: 'творог' is not the word of the test; read it again"),
        (("", "свитер", "творог"), 0, "word 1: type it"),
        (("метро", "свитер", " \u202e\u200b"), 2, "word 3: type it"),
        (("метро свитер", "творог", "x"), 0, "word 1: 'метро свитер' is not the word of the test; read it again"),
        (("vtnhj", "свитер", "творог"), 0, "word 1: 'vtnhj' has Latin letters (v, t, n, h, j), and the test's"),
        (("метро", "<b>свитер</b>", "творог"), 1, "word 2: '<b>свитер</b>' has Latin letters (b), and the test's"),
        (("метро", "🚇", "творог"), 1, "word 2: '🚇' is not the word of the test; read it again"),
        (("ж" * 4_000, "свитер", "творог"), 0, f"word 1: '{'ж' * 40}' is not the word of the test; read it again"),
        (("мет\x00\x1bро", "свитер", "творог"), 0, r"word 1: 'мет\x00\x1bро' is not the word of the test"),
        (("מטרו", "свитер", "творог"), 0, "word 1: 'מטרו' is not the word of the test; read it again"),
    ],
)
def test_the_first_field_that_does_not_is_named(fields: tuple[str, str, str], place: int, why: str) -> None:
    found = misread(TEST, fields)
    assert found is not None
    assert (found.place, str(found.why)[: len(why)]) == (place, why)


def test_the_two_layouts_name_the_same_keys() -> None:
    assert len(LATIN) == len(CYRILLIC)
    keys = dict(zip(LATIN, CYRILLIC, strict=True))
    assert "".join(keys[key] for key in "vtnhj") == "метро"
    assert scripts(TEST) == {"CYRILLIC"}


def test_words_that_the_other_side_wrote_oddly_can_be_read_back() -> None:
    odd = ("Ме\u200bтро", "сви  тер", "тво.рог")
    assert misread(odd, ("метро", "сви тер", "тво рог")) is None
    assert misread(("...", "?", "🚇"), ("...", "?", "🚇")) is None
