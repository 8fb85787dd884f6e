"""Phrases for people: an English text that keeps its template and values, so that a view can translate it.

```python
raise LocalProtocolError("no_room", phrase("the outbox holds {count} messages; wait for a receipt", count=4_096))
```

A phrase is a `str`, its English wording, and goes wherever a text goes: into errors, alarms, findings. The template is
the key of the catalogues in `endpoints.texts`. A value may be a phrase of its own, which is translated too.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Phrase(str):
    """An English text, with what it was made from. `phrase` makes one.

    Attributes:
        template: the text with names in braces, as `str.format` takes it.
        values: the value of each name: a text, a number or a phrase.
    """

    __slots__ = ("template", "values")

    template: str
    values: dict[str, Any]


def phrase(template: str, /, **values: Any) -> Phrase:
    """Return `template` with `values` in its braces. Raises KeyError for a name without a value."""
    made = Phrase(template.format(**values))
    made.template, made.values = template, values
    return made


class Said(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A phrase as it is written to a journal or a socket, beside its English wording."""

    text: str
    values: dict[str, str | int | Said] = {}


def said(text: object) -> Said | None:
    """Return what a phrase was made from, to be written; None for another text."""
    if not isinstance(text, Phrase):
        return None
    return Said(text=text.template, values={name: _written(value) for name, value in text.values.items()})


def _written(value: Any) -> str | int | Said:
    return value if isinstance(value, int) else said(value) or str(value)
