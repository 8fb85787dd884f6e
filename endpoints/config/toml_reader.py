"""Converts TOML files to typed values and back; every error is one line that names the file and the key."""

from __future__ import annotations

import re
import shlex
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import inspect

from endpoints.config.durations import parse_s, write_s
from endpoints.errors import UserError
from endpoints.keys.private_files import read_bytes, with_article
from protocol.phrases import phrase
from protocol.wire.messages import Identifier, Language

FILE_MAX_BYTES = 1 << 20
"""Twice what the settings of 1,000 links need, and less than a journal or disk image named by mistake."""

LINK_FILE = phrase("link file")
SIDE_FILE = phrase("side file (deconflict enrol)")
WATCH_ENTRY = phrase("entry of the watch (deconflict enrol --side watch)")
ENDPOINT = phrase("endpoint configuration (endpoint.toml)")
WATCH = phrase("watch configuration (watch.toml)")
PROCESS = phrase("configuration (endpoint.toml or watch.toml)")

_T = TypeVar("_T")
_AT = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_SECONDS = "_s"


def _pattern(annotated: Any) -> str:
    """Return the pattern of a text type as msgspec shows it in errors."""
    return repr(get_args(annotated)[1].pattern)


_KINDS = {
    "int": phrase("a whole number"),
    "float": phrase("a number"),
    "str": phrase("text in quotes"),
    "bool": phrase("true or false"),
    "array": phrase("a list [...]"),
    "object": phrase("a table"),
    "null": phrase("nothing"),
}
_PATTERNS = {
    _pattern(Identifier): phrase("text in quotes of at most 32 lower-case letters, digits and hyphens"),
    _pattern(Language): phrase("text in quotes of two letters such as en"),
}
_WRONG_KIND = re.compile(r"Expected `(\w+)`, got `(\w+)`")
_WRONG_FORM = re.compile(r"Expected `str` matching regex (.*)", re.DOTALL)
_WRONG_SIZE = re.compile(r"Expected `(\w+)` (of length )?([<>]=? \S+)")
_WRONG_WORD = re.compile(r"Invalid enum value (.*)", re.DOTALL)


def read(path: Path, *, what: str, data: bytes | None = None) -> dict[str, Any]:
    """Return the table in the TOML file `path`, which is of the kind `what` (such as LINK_FILE).

    `data` are the bytes that are to replace the file, to be checked beforehand; None for the file's own. Raises
    UserError.
    """
    if data is None:
        data = read_bytes(path, what=what, max_bytes=FILE_MAX_BYTES)
    elif len(data) > FILE_MAX_BYTES:
        raise UserError(phrase("{path}: would be larger than {limit} bytes", path=path, limit=FILE_MAX_BYTES))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            phrase("{path}: line {line}: not UTF-8 text; save the file as UTF-8", path=path, line=line)
        ) from None
    try:
        table = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise UserError(phrase("{path}: not TOML: {error}", path=path, error=error)) from None
    except RecursionError:
        raise UserError(
            phrase("{path}: not {expected}: nested too deeply", path=path, expected=with_article(what))
        ) from None
    if not table:
        raise UserError(phrase("{path}: empty; {expected} was expected", path=path, expected=with_article(what)))
    kind = _kind(table)
    if kind is not None and kind not in ((ENDPOINT, WATCH) if what == PROCESS else (what,)):
        raise UserError(
            phrase(
                "{path}: {found}; {expected} was expected{hint}",
                path=path,
                found=with_article(kind),
                expected=with_article(what),
                hint=_hint(path, kind, what),
            )
        )
    return table


def _hint(path: Path, found: str, wanted: str) -> str:
    """Return which command runs a configuration of the kind `found`; empty for other files."""
    commands: dict[tuple[str, str], str] = {(WATCH, ENDPOINT): "watch", (ENDPOINT, WATCH): "run"}
    command = commands.get((found, wanted))
    return phrase("; to run it: {command}", command=shlex.join(["deconflict", command, str(path)])) if command else ""


def _kind(table: dict[str, Any]) -> str | None:
    """Return the kind of file that the keys of `table` suggest, None if they suggest none."""
    if "parties" in table:
        return LINK_FILE
    if set(table) == {"watch"}:
        return WATCH_ENTRY
    if "links" not in table:
        return SIDE_FILE if "site" in table else None
    if "side" in table:
        return ENDPOINT
    return WATCH if "identity" in table else None


def convert(table: Any, kind: type[_T], *, path: Path, at: str = "") -> _T:
    """Return `table`, found under the key `at` of the file `path`, as a `kind`. Raises UserError.

    A duration (`protocol.wire.policy.Seconds`) is `grace = "15m"` in a file and `grace_s = 900` in `kind`.
    """
    description = _described(kind)
    try:
        return msgspec.convert(_read_durations(table, description, path, at), kind)
    except msgspec.ValidationError as error:
        raise UserError(phrase("{path}: {error}", path=path, error=_explain(str(error), description, at))) from None


def plain(value: Any) -> Any:
    """Return the struct `value` as tables for TOML, the inverse of `convert`."""
    return _write_durations(msgspec.to_builtins(value), _described(type(value)))


# of the few kinds of tables; a process may read a thousand link files
_descriptions: dict[type, inspect.Type] = {}


def _described(kind: type) -> inspect.Type:
    if kind not in _descriptions:
        _descriptions[kind] = inspect.type_info(kind)
    return _descriptions[kind]


def join(at: str, key: str) -> str:
    """Return the full name of `key` in the table `at`, such as `policy.grace`."""
    return f"{at}.{key}" if at else key


# --- durations ----------------------------------------------------------------------------------------------------


def _read_durations(value: Any, kind: inspect.Type, path: Path, at: str) -> Any:
    kind = _concrete(kind)
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        result = {}
        fields = {_file_name(field): field for field in kind.fields}
        for key, item in value.items():
            name = join(at, key)
            field = fields.get(key)
            if field is None:
                if (right := key.removesuffix(_SECONDS)) != key and right in fields:
                    raise UserError(
                        phrase(
                            '{path}: {name}: unknown key; write it without the unit: {right} = "10m"',
                            path=path,
                            name=name,
                            right=right,
                        )
                    )
                result[key] = item
            elif not _is_duration(field.type):
                result[key] = _read_durations(item, field.type, path, name)
            elif isinstance(item, str):
                try:
                    result[field.encode_name] = parse_s(item)
                except ValueError as error:
                    raise UserError(phrase("{path}: {name}: {error}", path=path, name=name, error=error)) from None
            else:
                raise UserError(
                    phrase(
                        '{path}: {name}: write the duration in quotes with its unit, such as "30s" or "10m"',
                        path=path,
                        name=name,
                    )
                )
        return result
    if isinstance(kind, inspect.DictType) and isinstance(value, dict):
        entry = _concrete(kind.value_type)
        result = {}
        for key, item in value.items():
            if isinstance(entry, inspect.StructType):
                # converted alone first: msgspec's path names an index, but not the key of a dict
                convert(item, entry.cls, path=path, at=join(at, key))
            result[key] = _read_durations(item, entry, path, join(at, key))
        return result
    if isinstance(kind, inspect.VarTupleType) and isinstance(value, list):
        return [_read_durations(item, kind.item_type, path, f"{at}[{index}]") for index, item in enumerate(value)]
    return value


def _write_durations(value: Any, kind: inspect.Type) -> Any:
    kind = _concrete(kind)
    if isinstance(kind, inspect.StructType):
        return {
            _file_name(field): write_s(value[field.encode_name])
            if _is_duration(field.type)
            else _write_durations(value[field.encode_name], field.type)
            for field in kind.fields
            if field.encode_name in value
        }
    if isinstance(kind, inspect.DictType):
        return {key: _write_durations(item, kind.value_type) for key, item in value.items()}
    if isinstance(kind, inspect.VarTupleType):
        return [_write_durations(item, kind.item_type) for item in value]
    return value


def _is_duration(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.Metadata) and (kind.extra or {}).get("unit") == "s"


def _file_name(field: inspect.Field) -> str:
    """Return the field's key in a file, where a duration's unit is part of the value."""
    return field.encode_name.removesuffix(_SECONDS) if _is_duration(field.type) else field.encode_name


def _concrete(kind: inspect.Type) -> inspect.Type:
    """Return the type inside `Annotated` metadata or an optional."""
    if isinstance(kind, inspect.Metadata):
        return _concrete(kind.type)
    if isinstance(kind, inspect.UnionType):
        return next((_concrete(each) for each in kind.types if isinstance(_concrete(each), inspect.StructType)), kind)
    return kind


# --- errors -------------------------------------------------------------------------------------------------------


def _explain(message: str, kind: inspect.Type, at: str) -> str:
    match = _AT.fullmatch(message)
    what, inner = (match["what"], match["path"] or "") if match else (message, "")
    where = at + inner if at else inner.removeprefix(".")
    table = _table_at(kind, inner)
    names = [_file_name(field) for field in table.fields] if table else []
    if unknown := _UNKNOWN.fullmatch(what):
        name = join(where, unknown[1])
        if close := get_close_matches(unknown[1], names, n=1):
            return phrase("{name}: unknown key; did you mean {close}?", name=name, close=close[0])
        return phrase("{name}: unknown key; known keys: {names}", name=name, names=", ".join(names))
    if missing := _MISSING.fullmatch(what):
        return phrase("{name}: missing", name=join(where, missing[1].removesuffix(_SECONDS)))
    name = where.removesuffix(_SECONDS) or phrase("the whole file")
    if match and match["key"]:
        return phrase("{name}: a key: {error}", name=name, error=validation_error(what))
    return phrase("{name}: {error}", name=name, error=validation_error(what))


def validation_error(what: str) -> str:
    """Return an error text of msgspec, without its place, in words for a person; a rare one as it is."""
    if wrong := _WRONG_KIND.fullmatch(what):
        wanted, found = (_KINDS.get(each, each) for each in wrong.groups())
        return phrase("expected {wanted}, got {found}", wanted=wanted, found=found)
    if wrong := _WRONG_FORM.fullmatch(what):
        return phrase("expected {wanted}", wanted=_PATTERNS.get(wrong[1]) or phrase("another form of text"))
    if wrong := _WRONG_SIZE.fullmatch(what):
        wanted = _KINDS.get(wrong[1], wrong[1])
        if wrong[2]:
            return phrase("expected {wanted} of length {limit}", wanted=wanted, limit=wrong[3])
        return phrase("expected {wanted} {limit}", wanted=wanted, limit=wrong[3])
    if wrong := _WRONG_WORD.fullmatch(what):
        return phrase("invalid enum value {word}", word=wrong[1])
    return f"{what[:1].lower()}{what[1:]}"


def _table_at(kind: inspect.Type, path: str) -> inspect.StructType | None:
    """Return the struct at msgspec's `path` (such as `.policy.channels[...].name`), or None."""
    kind = _concrete(kind)
    for step in re.findall(r"\.[^.\[]+|\[[^\]]*\]", path):
        if isinstance(kind, inspect.StructType):
            found = [field.type for field in kind.fields if f".{field.encode_name}" == step]
            if not found:
                return None
            kind = _concrete(found[0])
        elif isinstance(kind, inspect.DictType):
            kind = _concrete(kind.value_type)
        elif isinstance(kind, inspect.VarTupleType):
            kind = _concrete(kind.item_type)
    return kind if isinstance(kind, inspect.StructType) else None
