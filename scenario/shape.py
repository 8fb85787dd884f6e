"""Compares a JSON value with a type, and says in words everything that is wrong with it.

msgspec stops at the first fault, and names it by a path of JSON and a pattern. An author of a file needs all of them at
once, each with its place and what would be right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple

from msgspec import inspect

from protocol.phrases import Phrase, phrase
from protocol.wire.messages import INTEGER_MAX

SHOWN_MAX = 40
"""Characters of a wrong value that are shown."""

# what would be right, by the pattern of a type
_IDENTIFIER = phrase("1 to 32 lower-case letters, digits and hyphens, such as eucom")
_INSTANT = phrase("an instant such as 2022-11-29T16:00:00.000Z")
_LANGUAGE = phrase("two letters for a language, such as en")
_DURATION = phrase("a duration such as 40s, 15m, 6h or 2d")
_REFERENCE = phrase("a step such as step 3")
_BY_PATTERN = (
    (re.compile(r"\^\[a-z0-9\]"), _IDENTIFIER),
    (re.compile(r"\^\[0-9\]\{4\}-"), _INSTANT),
    (re.compile(r"\^\[a-z\]\{2\}"), _LANGUAGE),
    (re.compile(r"\^\[1-9\].*smhd"), _DURATION),
    (re.compile(r"\^step "), _REFERENCE),
)
_HUGE = phrase("a number that is too large")
_KINDS = {
    dict: phrase("an object"),
    list: phrase("a list"),
    str: phrase("a text"),
    bool: phrase("true or false"),
    int: phrase("a whole number"),
    float: phrase("a number with a fraction"),
    type(None): phrase("null"),
}


class PlacedFault(NamedTuple):
    """Something wrong with a value: the keys and places that lead to it, and what is wrong and would be right."""

    path: tuple[str | int, ...]
    what: str


def faults(value: Any, kind: type) -> Iterator[PlacedFault]:
    """Yield everything that is wrong with a decoded JSON value, compared with a type. Without any, it converts."""
    return _faults(value, _info(kind), ())


@cache
def _info(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


def _faults(value: Any, info: inspect.Type, path: tuple[str | int, ...]) -> Iterator[PlacedFault]:
    match info:
        case inspect.StructType():
            yield from _object(value, info, path)
        case inspect.UnionType():
            yield from _union(value, info, path)
        case inspect.VarTupleType() | inspect.ListType():
            yield from _list(value, info, path)
        case inspect.TupleType():
            if not isinstance(value, list) or len(value) != len(info.item_types):
                yield PlacedFault(path, _expected(phrase("a list of {count}", count=len(info.item_types)), value))
            else:
                for place, (each, item) in enumerate(zip(value, info.item_types, strict=True)):
                    yield from _faults(each, item, (*path, place))
        case inspect.DictType():
            yield from _map(value, info, path)
        case _:
            if wrong := _scalar(value, info):
                yield PlacedFault(path, wrong)


def _object(value: Any, info: inspect.StructType, path: tuple[str | int, ...]) -> Iterator[PlacedFault]:
    if not isinstance(value, dict):
        yield PlacedFault(path, _expected(_KINDS[dict], value))
        return
    fields = {field.encode_name: field for field in info.fields}
    known = [*fields, *([info.tag_field] if info.tag_field else [])]
    for key in value:
        if key not in known:
            yield PlacedFault(path, _unknown(key, known, [each for each in known if each not in value]))
    for name, field in fields.items():
        if name in value:
            yield from _faults(value[name], field.type, (*path, name))
        elif field.required:
            yield PlacedFault(
                path, phrase('key "{key}" is missing: expected {right}', key=name, right=_right(field.type))
            )


def _union(value: Any, info: inspect.UnionType, path: tuple[str | int, ...]) -> Iterator[PlacedFault]:
    choices = [each for each in info.types if not isinstance(each, inspect.CustomType)]
    if len(choices) == 1:
        yield from _faults(value, choices[0], path)
        return
    tagged = {str(each.tag): each for each in choices if isinstance(each, inspect.StructType)}
    tag_field = next(iter(tagged.values())).tag_field if tagged else None
    assert tag_field is not None, "a union in a file is told apart by a key"
    if not isinstance(value, dict):
        yield PlacedFault(path, _expected(_KINDS[dict], value))
    elif tag_field not in value:
        yield PlacedFault(
            path, phrase('key "{key}" is missing: expected {right}', key=tag_field, right=_one_of(list(tagged)))
        )
    elif not isinstance(value[tag_field], str) or value[tag_field] not in tagged:
        yield PlacedFault((*path, tag_field), _choice(value[tag_field], list(tagged)))
    else:
        yield from _object(value, tagged[value[tag_field]], path)


def _list(
    value: Any, info: inspect.VarTupleType | inspect.ListType, path: tuple[str | int, ...]
) -> Iterator[PlacedFault]:
    if not isinstance(value, list):
        yield PlacedFault(path, _expected(_KINDS[list], value))
        return
    if (wrong := _length(len(value), info.min_length, info.max_length)) is not None:
        yield PlacedFault(path, phrase("{count} elements: expected {right}", count=len(value), right=wrong))
        return
    for place, each in enumerate(value):
        yield from _faults(each, info.item_type, (*path, place))


def _map(value: Any, info: inspect.DictType, path: tuple[str | int, ...]) -> Iterator[PlacedFault]:
    if not isinstance(value, dict):
        yield PlacedFault(path, _expected(_KINDS[dict], value))
        return
    if (wrong := _length(len(value), info.min_length, info.max_length)) is not None:
        yield PlacedFault(path, phrase("{count} elements: expected {right}", count=len(value), right=wrong))
    for key, each in value.items():
        if _scalar(key, info.key_type):
            yield PlacedFault(
                path, phrase('key "{key}": expected {right}', key=short(key), right=_right(info.key_type))
            )
        else:
            yield from _faults(each, info.value_type, (*path, key))


def _scalar(value: Any, info: inspect.Type) -> Phrase | None:
    """Return what is wrong with a text, a number or a boolean."""
    match info:
        case inspect.LiteralType():
            if value not in info.values or type(value) is not type(info.values[0]):
                return _choice(value, list(info.values))
        case inspect.EnumType():
            return _choice(value, [each.value for each in info.cls]) if value not in list(info.cls) else None
        case inspect.StrType():
            if (
                not isinstance(value, str)
                or _length(len(value), info.min_length, info.max_length) is not None
                or (info.pattern is not None and not re.search(info.pattern, value))
            ):
                return _expected(_right(info), value)
        case inspect.IntType():
            low, high = (
                info.ge if info.ge is not None else -INTEGER_MAX,
                info.le if info.le is not None else INTEGER_MAX,
            )
            if type(value) is not int or not low <= value <= high:
                return _expected(_right(info), value)
        case inspect.BoolType():
            if not isinstance(value, bool):
                return _expected(_KINDS[bool], value)
        case _:
            pass
    return None


def _right(info: inspect.Type) -> str:
    """Return what a value of a type looks like."""
    match info:
        case inspect.StrType(pattern=str(pattern)):
            return next((words for known, words in _BY_PATTERN if known.match(pattern)), _KINDS[str])
        case inspect.StrType(min_length=int(low), max_length=int(high)):
            return phrase("a text of {low} to {high} characters", low=low, high=high)
        case inspect.StrType():
            return _KINDS[str]
        case inspect.IntType(ge=int(low), le=int(high)):
            return phrase("a whole number from {low} to {high}", low=low, high=high)
        case inspect.IntType(ge=int(low)):
            return phrase("a whole number from {low} on", low=low)
        case inspect.LiteralType():
            return _one_of(list(info.values))
        case inspect.VarTupleType() | inspect.ListType() | inspect.TupleType():
            return _KINDS[list]
        case inspect.BoolType():
            return _KINDS[bool]
        case inspect.IntType():
            return _KINDS[int]
        case inspect.UnionType():
            rest = [each for each in info.types if not isinstance(each, inspect.CustomType)]
            return _right(rest[0])
        case _:
            return _KINDS[dict]


def _length(found: int, low: int | None, high: int | None) -> Phrase | None:
    """Return what would be right of a length; None if it is."""
    if (low is None or found >= low) and (high is None or found <= high):
        return None
    if high is None:
        return phrase("at least {low}", low=low)
    return phrase("{low} to {high}", low=low or 0, high=high)


def _unknown(key: str, known: list[str], free: list[str]) -> Phrase:
    """Return the fault of an unknown key; what it may have been meant for is looked for among the free ones first."""
    meant = get_close_matches(key, free, 1) or get_close_matches(key, known, 1)
    if meant:
        return phrase('unknown key "{key}"; did you mean "{meant}"?', key=short(key), meant=meant[0])
    return phrase('unknown key "{key}"; known here: {known}', key=short(key), known=", ".join(known))


def _choice(value: Any, choices: list[Any]) -> Phrase:
    meant = get_close_matches(value, choices, 1) if isinstance(value, str) else []
    if meant:
        return phrase('{value} is unknown; did you mean "{meant}"?', value=shown(value), meant=meant[0])
    return _expected(_one_of(choices), value)


def _one_of(choices: list[Any]) -> str:
    texts = [str(each) for each in choices]
    return phrase("one of {choices}", choices=", ".join(texts)) if len(texts) > 1 else texts[0]


def _expected(right: str, value: Any) -> Phrase:
    return phrase("expected {right}, found {value}", right=right, value=shown(value))


def shown(value: Any) -> str:
    """Return a value as a fault shows it: a short text in quotes, or what kind of value it is."""
    if isinstance(value, str):
        return f'"{short(value)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _HUGE if abs(value) > INTEGER_MAX else str(value)
    return _KINDS[type(value)]


def short(text: str) -> str:
    """Return the first characters of a text, in one line."""
    # half of a pair of surrogates is no character
    shown = json.dumps(text[:SHOWN_MAX], ensure_ascii=False)[1:-1].encode(errors="backslashreplace").decode()
    return shown if len(text) <= SHOWN_MAX else f"{shown}..."


def joined(path: tuple[str | int, ...]) -> str:
    """Return keys and places as one text, such as `link.slots.cron` or `officers[1]`."""
    text = ""
    for each in path:
        text += f"[{each}]" if isinstance(each, int) else f".{short(each)}" if text else short(each)
    return text
