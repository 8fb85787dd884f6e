"""Phrases for people: an English text that keeps its template and values, so that a view can translate it.

```python
raise LocalProtocolError("no_room", phrase("the outbox holds {count} messages; wait for a receipt", count=4_096))
```

A phrase is a `str`, its English wording, and goes wherever a text goes: into errors, alarms, findings. The template is
the key of the catalogues in `endpoints.texts`. A value may be a phrase of its own, or an error that was raised with a
phrase, which is translated too. msgspec encodes only plain texts, so a journal or a socket takes `str(text)`, and
`said(text)` beside it; `rephrased` puts both together again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

_FIELD = re.compile(r"{(\w+)}")
_DEPTH_MAX = 8
"""How deep phrases may stand in phrases; a forged record could nest them without end."""


class Phrase(str):
    """An English text, with what it was made from. `phrase` makes one.

    Attributes:
        template: the text with names in braces.
        values: the value of each name: a number, a phrase or another text.
    """

    __slots__ = ("template", "values")

    template: str
    values: dict[str, str | int]


def phrase(template: str, /, **values: Any) -> Phrase:
    """Return `template` with `values` in its braces. Raises KeyError for a name without a value.

    Args:
        template: the English text, with plain names in braces.
        values: a number, a phrase or an error each; anything else by its text.
    """
    return _made(template, {name: _value(value) for name, value in values.items()})


def filled(template: str, values: Mapping[str, str | int]) -> str:
    """Return `template` with `values` in its braces: only plain names count. Raises KeyError."""
    return _FIELD.sub(lambda field: str(values[field[1]]), template)


def worded(error: BaseException) -> str:
    """Return the text of an error, as the phrase that it was raised with, if there is one."""
    return error.args[0] if error.args and isinstance(error.args[0], Phrase) else str(error)


class Said(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A phrase as it is written to a journal or a socket, beside its English wording."""

    text: str
    values: dict[str, str | int | Said] = {}


def said(text: object) -> Said | None:
    """Return what a phrase was made from, to be written; None for another text."""
    if not isinstance(text, Phrase):
        return None
    return Said(text=text.template, values={name: _written(value) for name, value in text.values.items()})


def rephrased(text: str, made_from: object) -> str:
    """Return `text` as the phrase that a record or an answer says it was made from.

    Args:
        text: the English wording.
        made_from: a `Said`, its JSON, or nothing. If it gives another text, it is forged, and `text` stays as it is.
    """
    try:
        made = _phrase_of(msgspec.convert(made_from, Said), _DEPTH_MAX, len(text))
    except (msgspec.ValidationError, KeyError, RecursionError):
        return text
    return made if made == text else text


def _made(template: str, values: dict[str, str | int]) -> Phrase:
    made = Phrase(filled(template, values))
    made.template, made.values = template, values
    return made


def _phrase_of(made: Said, depth: int, room: int) -> Phrase:
    """Return the phrase. Raises KeyError for one that is deeper than `depth` or longer than `room` characters.

    The length is known before the text is made: a few forged templates that repeat a name could fill the memory.
    """
    if not depth:
        raise KeyError(made.text)
    values = {
        name: _phrase_of(each, depth - 1, room) if isinstance(each, Said) else each
        for name, each in made.values.items()
    }
    lengths = {name: len(str(value)) for name, value in values.items()}
    if sum(lengths[name] for name in _FIELD.findall(made.text)) > room:
        raise KeyError(made.text)
    return _made(made.text, values)


def _value(value: Any) -> str | int:
    if isinstance(value, BaseException):
        return worded(value)
    return value if isinstance(value, Phrase | int) else str(value)


def _written(value: str | int) -> str | int | Said:
    return value if isinstance(value, int) else said(value) or str(value)
