"""The error of a reader of typed values: which field is wrong, and why."""

from __future__ import annotations

from endpoints.errors import UserError
from protocol.phrases import Phrase, phrase


class FieldError(UserError):
    """What was typed into a field is wrong. As a text it is the command line's: `--at: ...`.

    Attributes:
        field: the name of the field: an option without its hyphens, or a field of a form.
        language: of a text, its language; empty for any other field.
        why: what is wrong, and what would be right, without the field's name.
    """

    def __init__(self, field: str, why: Phrase, *, language: str = "") -> None:
        where = phrase("--{option}", option=field)
        if language:
            where = phrase("--{option} {language}=...", option=field, language=language)
        super().__init__(phrase("{where}: {why}", where=where, why=why))
        self.field = field
        self.language = language
        self.why = why


def not_accepted(field: str, found: str, why: Phrase, *, most: int) -> FieldError:
    """Return the error for a value that is not accepted; at most `most` characters of it are quoted."""
    return FieldError(field, phrase("{found} is not accepted: {why}", found=repr(found[:most]), why=why))
