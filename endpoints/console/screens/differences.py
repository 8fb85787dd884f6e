"""What is different between an alert and an earlier one, word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

from endpoints.texts.i18n import Translator
from endpoints.texts.item_page import ItemPage, body_fields

_TOKENS: Final = re.compile(r"\s+|\d[\d:.,]*\d|\w+|[^\w\s]+")
"""A word, or a whole number or time of day: of `12:02:19`, no digits are marked alone."""
_TOKENS_MAX: Final = 2_000
"""Of one text: beyond that, it is shown whole as removed and added, since a comparison takes the square of it."""


class DifferentPart(Struct, frozen=True):
    """A part of a field: in both alerts, only in the earlier one, or only in this one."""

    kind: Literal["same", "removed", "added"]
    text: str


class DifferentField(Struct, frozen=True, kw_only=True):
    """One field that is different."""

    label: str
    parts: tuple[DifferentPart, ...]


def differences(before: ItemPage, after: ItemPage, t: Translator) -> tuple[DifferentField, ...]:
    """Return the fields in which `after` is different from `before`, in the order of `after`."""
    earlier, later = (_fields(each, t) for each in (before, after))
    found = []
    for label in dict.fromkeys([*later, *earlier]):
        (old, written), (new, writes) = (each.get(label, ("", False)) for each in (earlier, later))
        if old != new:
            # a term or an instant is another one as a whole
            parts = _parts(old, new) if written or writes else tuple(_whole(old, new))
            found.append(DifferentField(label=label, parts=parts))
    return tuple(found)


def _fields(page: ItemPage, t: Translator) -> dict[str, tuple[str, bool]]:
    """Return the text of each field by its label, and whether a person wrote it."""
    return {
        field.label: ("\n".join(text for text, _ in field.lines), any(whose == "foreign" for _, whose in field.lines))
        for field in body_fields(page, t, "UTC")
    }


@lru_cache(maxsize=256)  # a page is rendered again at each change of the link
def _parts(old: str, new: str) -> tuple[DifferentPart, ...]:
    before, after = _TOKENS.findall(old), _TOKENS.findall(new)
    if max(len(before), len(after)) > _TOKENS_MAX:
        return tuple(_whole(old, new))
    return tuple(_compared(before, after))


def _whole(old: str, new: str) -> Iterator[DifferentPart]:
    if old:
        yield DifferentPart("removed", old)
    if new:
        yield DifferentPart("added", new)


def _compared(before: list[str], after: list[str]) -> Iterator[DifferentPart]:
    for kind, begin, end, begin_after, end_after in SequenceMatcher(None, before, after).get_opcodes():
        if kind == "equal":
            yield DifferentPart("same", "".join(after[begin_after:end_after]))
        else:
            yield from _whole("".join(before[begin:end]), "".join(after[begin_after:end_after]))
