"""Makes JSON Schemas from types: msgspec's own, in patterns that every validator reads, with the comments of fields."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import UnsetType
from msgspec import inspect as described

Schema = dict[str, Any]
"""A JSON Schema, or a part of one."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"
END = r"$(?!\n)"
"""The end of a text: `$` alone also matches before a last line break where Python reads the pattern."""
BASE64 = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?" + END
"""Base64 that encodes again to the same text (SPEC F3.2)."""
INSTANT = (
    r"^(?!0000)[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-9]))T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z" + END
)
"""An instant of the calendar (SPEC F4.7), but for 29 February of a year that has none."""
_PYTHON_END = r"\Z"
_PYTHON_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z"
_NOTHING: Schema = {"not": {}}
_ATTRIBUTE = re.compile(r"^\s{4,}(\w+): (.+?)(?=^\s{4,}\w+: |\Z)", re.MULTILINE | re.DOTALL)


def components(
    types: Sequence[Any], template: str = "#/$defs/{name}", also: Mapping[str, type] = {}
) -> tuple[list[Schema], dict[str, Schema]]:
    """Return the schema of each type, and the definitions to which they refer.

    Args:
        types: what msgspec reads or writes.
        template: where the definitions will be.
        also: classes whose comments describe the fields of a definition, by its name.
    """
    found, defs = msgspec.json.schema_components(types, ref_template=template, schema_hook=_never)
    # defaults become what JSON has: arrays
    found, defs = msgspec.json.decode(msgspec.json.encode((found, defs)))
    classes = {each.__name__: each for each in _classes(types)} | dict(also)
    for name, each in defs.items():
        if name in classes:
            _describe(each, classes[name])
    return [portable(each) for each in found], {name: portable(each) for name, each in defs.items()}


def document(title: str, about: str, type_: Any, also: Mapping[str, type] = {}) -> Schema:
    """Return the schema of one type as a document of its own."""
    (schema,), defs = components([type_], also=also)
    if set(schema) == {"$ref"} and not _refers(defs, schema["$ref"]):
        schema = defs.pop(schema["$ref"].rpartition("/")[2])
    return headed(title, about, schema, defs)


def headed(title: str, about: str, schema: Schema, defs: Mapping[str, Schema]) -> Schema:
    """Return a schema as a document with its title, its description and its definitions."""
    rest = {name: value for name, value in schema.items() if name not in {"title", "description"}}
    used = {"$defs": dict(sorted(defs.items()))} if defs else {}
    return {"$schema": DIALECT, "title": title, "description": about} | rest | used


def portable(schema: Schema) -> Schema:
    """Return a schema as every validator reads it: patterns of ECMA 262, equal elements without `prefixItems`."""
    return walked(schema, _portable)


def closed(schema: Schema) -> Schema:
    """Return a schema that refuses every field it does not name: to find fields that a type lacks."""
    return walked(
        schema,
        lambda each: each | {"additionalProperties": False} if "properties" in each and "allOf" not in each else each,
    )


def opened(schema: Schema) -> Schema:
    """Return a schema that admits unknown fields: for what later versions may add to."""
    return walked(
        schema,
        lambda each: {
            name: value for name, value in each.items() if name != "additionalProperties" or value is not False
        },
    )


def walked(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """Return a schema with `change` made to each of its parts, the inner ones first."""
    made: Schema = _walked(schema, change)
    return made


def _walked(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    if isinstance(schema, list):
        return [_walked(each, change) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {
        # the names of fields are no keywords
        name: {field: _walked(each, change) for field, each in value.items()}
        if name in {"properties", "$defs"} and isinstance(value, dict)
        else _walked(value, change)
        for name, value in schema.items()
        if name not in {"default", "enum", "const", "examples", "mapping"}
    }
    return change({name: inner.get(name, value) for name, value in schema.items()})


def text_of(value: Any) -> str:
    """Return a document as it is written to a file."""
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _never(kind: type) -> Schema:
    """Return the schema of a field that may not be given."""
    if kind is UnsetType:
        return _NOTHING
    raise NotImplementedError


def _portable(schema: Schema) -> Schema:
    made = dict(schema)
    if "properties" in made:
        made["properties"] = {name: each for name, each in made["properties"].items() if each != _NOTHING}
    # a keyword of OpenAPI
    made.pop("discriminator", None)
    if made.get("pattern") == _PYTHON_INSTANT:
        made |= {"pattern": INSTANT, "format": "date-time"}
    elif isinstance(made.get("pattern"), str) and made["pattern"].endswith(_PYTHON_END):
        made["pattern"] = made["pattern"].removesuffix(_PYTHON_END) + END
    if made.get("contentEncoding") == "base64":
        made["pattern"] = BASE64
    if prefix := made.pop("prefixItems", None):
        if any(each != prefix[0] for each in prefix):
            made["prefixItems"] = prefix
        else:
            made["items"] = prefix[0]
    if isinstance(made.get("description"), str):
        made["description"] = _one_paragraph(made["description"])
    return made


def _one_paragraph(text: str) -> str:
    """Return the text of a docstring up to its list of attributes, which describes fields."""
    return " ".join(text.partition("\n\nAttributes:")[0].split())


def _refers(defs: Mapping[str, Schema], ref: str) -> bool:
    return json.dumps(ref) in json.dumps(defs)


def _describe(schema: Schema, cls: type) -> None:
    comments = comments_of(cls)
    for name, each in schema.get("properties", {}).items():
        if (text := comments.get(name)) and "description" not in each:
            schema["properties"][name] = each | {"description": text}


@cache
def comments_of(cls: type) -> Mapping[str, str]:
    """Return what the source says of each field of a class and its bases: its comment, or its line under Attributes."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        try:
            lines, _ = inspect.getsourcelines(each)
        except (OSError, TypeError):
            continue
        found |= {
            name: " ".join(text.split())
            for name, text in _ATTRIBUTE.findall((each.__doc__ or "").partition("Attributes:")[2])
        }
        indent = len(lines[0]) - len(lines[0].lstrip())
        (tree,) = ast.parse("".join(line[indent:] for line in lines)).body
        assert isinstance(tree, ast.ClassDef)
        for node in tree.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and _comment(lines, node):
                found[node.target.id] = _comment(lines, node)
    return found


def _comment(lines: Sequence[str], node: ast.AnnAssign) -> str:
    """Return the comment above a field, or behind it."""
    above: list[str] = []
    at = node.lineno - 2
    while lines[at].strip().startswith("#"):
        above.insert(0, lines[at].strip().lstrip("# "))
        at -= 1
    _, _, behind = lines[(node.end_lineno or node.lineno) - 1].partition("  # ")
    behind = "" if behind.startswith(("type:", "noqa")) else behind.strip()
    return " ".join(above) or behind


def _classes(types: Sequence[Any]) -> Iterator[type]:
    """Yield the classes with fields in some types."""
    seen: set[int] = set()
    todo: list[Any] = list(described.multi_type_info(types))
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, described.StructType | described.TypedDictType):
            yield each.cls
        if isinstance(each, described.Type | described.Field):
            todo += [getattr(each, name) for name in each.__struct_fields__]
        elif isinstance(each, tuple | list):
            todo += each
