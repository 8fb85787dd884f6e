"""Checks a credential that an officer has chosen: its length, its characters, and that it is not easy to guess."""

from __future__ import annotations

import string
from collections.abc import Iterable

from endpoints.errors import UserError
from endpoints.keys.credentials import CREDENTIAL_MAX_BYTES, CREDENTIAL_MIN_LENGTH, length, normalised
from protocol.phrases import phrase

UNFORESEEN_MIN = 10
"""Characters that do not follow from those before them."""
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "1234567890",
    *("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    *("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
)
_SEPARATORS, _SIGNS = " -_.,:/", string.punctuation.replace("*", "")
_NEXT = {(row[i], row[(i + 1) % len(row)]) for row in _ROWS for i in range(len(row))}


def check_chosen(credential: str, known: Iterable[str]) -> None:
    """Raise UserError, which never contains the credential, unless it may be used.

    `known` are words that everybody here knows, such as the officer's id: each counts as one character.
    """
    found = normalised(credential)
    if (count := length(credential)) < CREDENTIAL_MIN_LENGTH:
        raise UserError(
            phrase(
                "the new credential has {count} characters; choose at least {at_least}, such as four words of your own",
                count=count,
                at_least=CREDENTIAL_MIN_LENGTH,
            )
        )
    if len(found.encode("utf-8", "surrogatepass")) > CREDENTIAL_MAX_BYTES:
        raise UserError(phrase("the new credential is longer than {limit} bytes", limit=CREDENTIAL_MAX_BYTES))
    if not found.isprintable():
        raise UserError(
            phrase("the new credential has a character that cannot be seen; choose letters, digits, signs and spaces")
        )
    if _unforeseen(found, known) < UNFORESEEN_MIN:
        raise UserError(
            phrase(
                "the new credential is easy to guess: it repeats itself, follows the alphabet or the keyboard, or "
                "consists of names that are known here"
            )
        )


def _unforeseen(credential: str, known: Iterable[str]) -> int:
    """Count the characters that do not follow from those before them."""
    text = _plain(credential)
    for word in sorted({_plain(each) for each in known}, key=len, reverse=True):
        # a sign for the word
        text = text.replace(word, "*") if word else text
    within = text.strip(_SIGNS) or text[:1]
    text = text.replace(within, within[: _period(within)])
    return sum(a != b and (a, b) not in _NEXT and (b, a) not in _NEXT for a, b in zip(" " + text, text, strict=False))


def _plain(text: str) -> str:
    return "".join(each for each in normalised(text).casefold() if each not in _SEPARATORS)


def _period(text: str) -> int:
    """Return after how many characters `text` repeats itself, its length if it does not do so."""
    for period in range(1, (len(text) + 1) // 2 + 1):
        if all(a == b for a, b in zip(text, text[period:], strict=False)):
            return period
    return len(text)
