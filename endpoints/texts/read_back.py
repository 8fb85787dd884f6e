"""Compares the three words of a line test with what a person has typed: on a terminal and in a browser alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from protocol.phrases import Phrase, phrase

WORDS: Final = 3
"""How many words a line test has (SPEC B1.3)."""
LATIN: Final = "`qwertyuiop[]asdfghjkl;'zxcvbnm,."
CYRILLIC: Final = "ёйцукенгшщзхъфывапролджэячсмитьбю"
"""What the keys that yield `LATIN` yield on the Russian layout, in the same order."""
_FOUND_MAX = 40
_WORD = re.compile(r"[^\s,;.«»\"']+")


def split_words(text: str) -> list[str]:
    """Return the words that somebody typed, in lower case, whatever spaces, commas and quotes stand around them."""
    visible = "".join(each for each in text if unicodedata.category(each) != "Cf")
    return [_folded(word) for word in _WORD.findall(visible)]


class Misread(Struct, frozen=True):
    """A word that was read back wrongly: its place, from 0, and what is wrong with it."""

    place: int
    why: Phrase


def misread(challenge: Sequence[str], fields: Sequence[str]) -> Misread | None:
    """Return the first word of a test that the fields of a form do not read back; None if they all do."""
    for place, (word, typed) in enumerate(zip(challenge, fields, strict=True)):
        if typed == word:
            continue
        words = plain(typed)
        why = wrong_word(place + 1, words, word) if words else phrase("word {number}: type it", number=place + 1)
        if why is not None:
            return Misread(place, why)
    return None


def scripts(words: Iterable[str]) -> set[str]:
    """Return the scripts of the letters of these words, such as `CYRILLIC`."""
    return {script for word in words for each in word if (script := _script(each))}


def plain(text: str) -> str:
    """Return what is compared of a word: the other side may have put spaces or invisible characters into its own."""
    return " ".join(split_words(text))


def wrong_word(number: int, typed: str, word: str) -> Phrase | None:
    """Return what is wrong with a typed word of a test, None if it is the right one.

    Args:
        number: its place, from 1.
        typed: the word, as `split_words` returns it.
        word: the word of the test.
    """
    if typed == plain(word):
        return None
    wanted = scripts([word])
    other = scripts([typed]) - wanted
    found = repr(typed[:_FOUND_MAX])
    if "CYRILLIC" in wanted and "LATIN" in other:
        return phrase(
            "word {number}: {found} has Latin letters ({letters}), and the test's words are Cyrillic: change the "
            "keyboard layout",
            number=number,
            found=found,
            letters=_letters(typed, "LATIN"),
        )
    if "LATIN" in wanted and "CYRILLIC" in other:
        return phrase(
            "word {number}: {found} has Cyrillic letters ({letters}), and the test's words are Latin: change the "
            "keyboard layout",
            number=number,
            found=found,
            letters=_letters(typed, "CYRILLIC"),
        )
    return phrase("word {number}: {found} is not the word of the test; read it again", number=number, found=found)


def _letters(word: str, script: str) -> str:
    """Return the letters of a word that are of this script, each once."""
    return ", ".join(dict.fromkeys(each for each in word[:_FOUND_MAX] if _script(each) == script))


def _script(letter: str) -> str:
    """Return the script of a letter, such as `LATIN`; empty for anything else."""
    return unicodedata.name(letter, "").partition(" ")[0] if letter.isalpha() else ""


def _folded(word: str) -> str:
    return unicodedata.normalize("NFC", word).casefold().replace("ё", "е")
