"""The words of a fingerprint, which people read to each other by voice."""

from __future__ import annotations

import secrets

_WORDS_IN_A_ROW = 4
_WORD_WIDTH = 13


def words_of(digest: str) -> dict[str, tuple[str, ...]]:
    """Return the sixteen words of a SHA-256 in hexadecimal, by language, for JSON."""
    from protocol.wire.words import fingerprint_words

    return {language: fingerprint_words(digest, language) for language in ("en", "ru")}


def word_rows(digest: str) -> list[str]:
    """Return rows of the words of a SHA-256 in hexadecimal, each with its number, in both languages."""
    rows = []
    for language, spoken in words_of(digest).items():
        for first in range(0, len(spoken), _WORDS_IN_A_ROW):
            row = enumerate(spoken[first : first + _WORDS_IN_A_ROW], first + 1)
            columns = "".join(f"{position:>3} {word:<{_WORD_WIDTH}}" for position, word in row)
            rows.append(f"{language if not first else '':<2}{columns}".rstrip())
    return rows


def first_word() -> int:
    """Return the number of a random word from which a fingerprint is read: people compare the first ones only."""
    from protocol.wire.words import FINGERPRINT_WORDS

    return 1 + secrets.randbelow(FINGERPRINT_WORDS)
