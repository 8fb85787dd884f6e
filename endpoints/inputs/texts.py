"""Checks the texts that officers type or paste, before they are sent, and says what would be right."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from endpoints.inputs.field_error import FieldError
from protocol.phrases import Phrase, phrase
from protocol.wire.characters import UNICODE, unassigned

TEXT_MAX = 4_000
"""The characters of one text (SPEC B3.1)."""
_FOUND_MAX = 60
_LANGUAGE = re.compile(r"[a-z]{2}")
_CONTEXT = 20
_CONTROLS: dict[str, Phrase] = {
    "\t": phrase("a tab"),
    "\r": phrase("a carriage return, from a file of Windows"),
    "\x1b": phrase("an escape code of a terminal"),
}


def check_text(text: str, *, option: str, limit: int = TEXT_MAX, language: str | None = None) -> str:
    """Return a text as it will be sent, its accents composed.

    Args:
        text: what was typed.
        option: the name of the field, for errors: an option's without its hyphens.
        limit: how many characters it may have.
        language: the language of the text, for errors, if the option takes several.

    Raises:
        FieldError: it is empty, too long, or has a character that no message may have: which one, and where.
    """

    def wrong(why: Phrase) -> FieldError:
        return FieldError(option, why, language=language or "")

    if any("\ud800" <= each <= "\udfff" for each in text):
        raise wrong(phrase("the text is not in UTF-8; check the terminal's encoding"))
    composed = unicodedata.normalize("NFC", text)
    if not composed.strip():
        raise wrong(phrase("the text is empty; write 1 to {limit} characters", limit=limit))
    for place, each in enumerate(composed, 1):
        if unicodedata.category(each) == "Cc" and each != "\n":
            raise wrong(
                phrase(
                    "character {place} is {what}, after {before}; write spaces or a line break instead",
                    place=place,
                    what=_CONTROLS.get(each) or phrase("the control character U+{code}", code=f"{ord(each):04X}"),
                    before=repr(composed[max(0, place - 1 - _CONTEXT) : place - 1]),
                )
            )
    if (other := unassigned(composed)) is not None:
        raise wrong(
            phrase(
                "character {place}, U+{code}, is not one of Unicode {unicode}, and the other side may not "
                "know it; write it in words",
                place=composed.index(other) + 1,
                code=f"{ord(other):04X}",
                unicode=UNICODE,
            )
        )
    if len(composed) > limit:
        raise wrong(
            phrase(
                "the text has {count} characters, and the limit is {limit}; shorten it or send two messages",
                count=len(composed),
                limit=limit,
            )
        )
    return composed


def texts(option: str, pairs: Iterable[str] | None, languages: Iterable[str] = ()) -> dict[str, str]:
    """Return the texts `["ru=...", "en=..."]` of `--option` by language. Raises FieldError.

    `languages` are those of the link; without them, each language of two letters is accepted.
    """
    known = tuple(languages)
    example = ", ".join(f"{each}=..." for each in known or ("en",))
    found: dict[str, str] = {}
    for pair in pairs or ():
        language, separator, text = pair.partition("=")
        language = language.strip(" ").lower()
        if not separator or not (language in known if known else _LANGUAGE.fullmatch(language)):
            raise FieldError(
                option,
                phrase(
                    "expected a language and its text, such as {example}, found {found}",
                    example=example,
                    found=repr(pair[:_FOUND_MAX]),
                ),
            )
        if language in found:
            raise FieldError(
                option,
                phrase(
                    "the language {language} has two texts; give one for each language",
                    language=language,
                ),
            )
        found[language] = check_text(text, option=option, language=language)
    return found
