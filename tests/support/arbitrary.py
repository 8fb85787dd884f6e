"""Derives Hypothesis strategies from msgspec types."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

LARGE = 2**63 - 1


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for the values that msgspec accepts for a type."""
    return _of(inspect.type_info(kind))


def _of(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.Metadata(type=inner):
            return _of(inner)
        case inspect.UnionType(types=types):
            return st.one_of([_of(each) for each in types])
        case inspect.LiteralType(values=admitted):
            return st.sampled_from(admitted)
        case inspect.AnyType():
            return st.one_of(
                st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=8), st.just([]), st.just({})
            )
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=least, le=most):
            return st.integers(-LARGE if least is None else least, LARGE if most is None else most)
        case inspect.StrType(pattern=pattern) if pattern:
            return st.from_regex(pattern, fullmatch=True)
        case inspect.StrType(min_length=least, max_length=most):
            return st.text(min_size=least or 0, max_size=min(most or 20, 20))
        case inspect.BytesType():
            return st.binary(max_size=40)
        case inspect.VarTupleType(item_type=item, min_length=least, max_length=most):
            return st.lists(_of(item), min_size=least or 0, max_size=min(most or 3, 3)).map(tuple)
        case inspect.TupleType(item_types=items):
            return st.tuples(*[_of(item) for item in items])
        case inspect.DictType(key_type=key, value_type=value, min_length=least):
            return st.dictionaries(_of(key), _of(value), min_size=least or 0, max_size=3)
        case inspect.StructType():
            # put off, since a struct may contain itself
            return st.deferred(lambda: _struct(info))
    raise AssertionError(f"no strategy for {info}")


def _struct(info: inspect.StructType) -> st.SearchStrategy[Any]:
    required = {field.name: _of(field.type) for field in info.fields if field.required}
    optional = {field.name: _of(field.type) for field in info.fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda drawn: info.cls(**drawn))


def events(kind: type[msgspec.Struct], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for events of one kind; `given` are the strategies of some of its fields."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    fields = {field.name: given[field.name] if field.name in given else _of(field.type) for field in info.fields}
    required = {field.name: fields.pop(field.name) for field in info.fields if field.required}
    return st.fixed_dictionaries(required, optional=fields).map(lambda drawn: kind(**drawn))
