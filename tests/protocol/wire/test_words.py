import re
from itertools import combinations

import msgspec
import pytest

from protocol.wire.messages import Word
from protocol.wire.words import (
    WORDS,
    challenge,
    differing_words,
    fingerprint_words,
    is_listed,
    typed_words,
)


def distance(left: str, right: str) -> int:
    """Return the Levenshtein distance of two words, or 6 if their lengths differ by more than 5."""
    if abs(len(left) - len(right)) > 5:
        return 6
    row = list(range(len(right) + 1))
    for index, ours in enumerate(left, 1):
        above, row = row, [index]
        for column, theirs in enumerate(right, 1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (ours != theirs)))
    return row[-1]


def sound(language: str, word: str) -> str:
    """Return a word with the sounds merged that a bad line merges.

    These are voiced and voiceless consonants, unstressed vowels, and spellings of the same sound.
    """
    if language == "ru":
        return re.sub("[ьъ]", "", word.translate(str.maketrans("бвгджзоеэыйяющ", "пфктшсаииииауш")))
    for spelling, heard in (("ph", "f"), ("ck", "k"), ("ee", "i"), ("ea", "i"), ("oo", "u"), ("ou", "u"), ("qu", "k")):
        word = word.replace(spelling, heard)
    return re.sub(r"(.)\1", r"\1", word.translate(str.maketrans("czvbdgye", "ksfptkii")))


@pytest.mark.parametrize("language", ["en", "ru"])
def test_each_list_has_256_plain_words(language: str) -> None:
    words = WORDS[language]
    assert len(set(words)) == len(words) == 256
    alphabet = "[a-z]" if language == "en" else "[абвгджзеийклмнопрстуфхцчшщъыьэюя]"
    for word in words:
        assert re.fullmatch(alphabet + "{3,10}|[а-я]{2,3}", word), word
        msgspec.convert(word, Word)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_any_two_words_differ_in_spelling_and_sound(language: str) -> None:
    close = []
    for left, right in combinations(WORDS[language], 2):
        apart = distance(left, right)
        # merging sounds brings words closer by only a few letters
        if apart < 3 or (apart < 6 and distance(sound(language, left), sound(language, right)) < 2):
            close.append((left, right))
    assert not close


def test_challenge_encodes_the_first_three_bytes() -> None:
    """SPEC B1"""
    assert challenge("0001ff0000000000", "en") == (WORDS["en"][0], WORDS["en"][1], WORDS["en"][255])
    assert challenge("0001ff0000000000", "ru") == (WORDS["ru"][0], WORDS["ru"][1], WORDS["ru"][255])


def test_a_language_without_a_list_uses_english() -> None:
    assert challenge("0102030405060708", "xx") == challenge("0102030405060708", "en")


def test_fingerprint_encodes_the_first_128_bits() -> None:
    digest = "00ff" * 8 + "ab" * 16
    assert fingerprint_words(digest, "en") == (WORDS["en"][0], WORDS["en"][255]) * 8


@pytest.mark.parametrize("nonce", ["", "00", "0" * 15, "0" * 18, "zz" * 8, "AB" * 8, "ab cd ef 01 02 03 04 05"])
def test_a_malformed_nonce_is_refused(nonce: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        challenge(nonce, "en")


@pytest.mark.parametrize("digest", ["", "00" * 31, "AB" * 32, "zz" * 32])
def test_a_malformed_digest_is_refused(digest: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        fingerprint_words(digest, "ru")


# --- comparing fingerprints ---------------------------------------------------------------------------------------

DIGEST = "00ff" * 16


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("start", [1, 7, 16])
def test_all_words_from_any_start_are_equal(start: int, language: str) -> None:
    """SPEC E1.8"""
    spoken = fingerprint_words(DIGEST, language)
    read = spoken[start - 1 :] + spoken[: start - 1]
    assert differing_words(DIGEST, start, read) == ()
    # from another start they are others
    assert differing_words(DIGEST, start % 16 + 1, read) == tuple(range(1, 17))


def test_each_differing_word_is_named_by_its_position() -> None:
    """SPEC E1.8: also of two files that share all words but the last."""
    other = DIGEST[:28] + "0101" + DIGEST[32:]
    read = fingerprint_words(other, "en")
    assert differing_words(DIGEST, 1, read) == (15, 16)
    assert differing_words(DIGEST, 10, read[9:] + read[:9]) == (15, 16)


def test_words_of_both_languages_may_stand_together() -> None:
    english, russian = fingerprint_words(DIGEST, "en"), fingerprint_words(DIGEST, "ru")
    assert differing_words(DIGEST, 1, english[:8] + russian[8:]) == ()


def test_an_unlisted_word_differs_and_is_not_listed() -> None:
    assert differing_words(DIGEST, 1, ("lampe", *fingerprint_words(DIGEST, "en")[1:])) == (1,)
    assert not is_listed("lampe")
    assert is_listed("lamp")
    assert is_listed("лампа")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("  Lamp,lemon ;\tKITE\n", ("lamp", "lemon", "kite")),
        ("1. ЛАМПА 2) лев-лодка", ("лампа", "лев", "лодка")),
        ("чаи\u0306ник", ("чайник",)),
        ("Овёс", ("овес",)),
        ("\u202elamp\u200b \x1b[2Jlemon", ("lamp", "jlemon")),
        ("7 _ 8", ()),
    ],
)
def test_typed_words_forgive_case_and_separators(typed: str, words: tuple[str, ...]) -> None:
    """SPEC E1.8"""
    assert typed_words(typed) == words


@pytest.mark.parametrize(("start", "count"), [(0, 16), (17, 16), (1, 15), (1, 17)])
def test_only_all_words_from_a_position_are_compared(start: int, count: int) -> None:
    """SPEC E1.8"""
    with pytest.raises(ValueError, match="expected 16 words"):
        differing_words(DIGEST, start, ["lamp"] * count)


def test_no_two_lists_have_a_word_in_common() -> None:
    assert not set(WORDS["en"]) & set(WORDS["ru"])
