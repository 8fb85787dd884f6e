"""Validators of the committed contracts: jsonschema for one document, jsonschema-rs for thousands."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema_rs
from jsonschema import Draft202012Validator

from tests.contracts.make import FOLDER
from tests.contracts.typed import Schema, closed


@cache
def committed(name: str) -> Schema:
    """Return a contract as it is in the repository, such as `frame.schema.json`."""
    found: Schema = json.loads((FOLDER / name).read_text())
    return found


@cache
def validator(name: str, *, strict: bool = False) -> Draft202012Validator:
    """Return the validator of a contract; with `strict`, one that refuses every field it does not name."""
    schema = committed(name)
    return Draft202012Validator(closed(schema) if strict else schema)


@cache
def fast(name: str) -> Any:
    """Return a validator of another make, which is fast enough for whole journals."""
    return jsonschema_rs.Draft202012Validator(committed(name))


@cache
def part(name: str, definition: str, *, strict: bool = False) -> Draft202012Validator:
    """Return the validator of one schema among the components of an OpenAPI document."""
    document = committed(name)
    schema = {"$ref": f"#/components/schemas/{definition}", "components": document["components"]}
    return Draft202012Validator(closed(schema) if strict else schema)


def faults(found: Draft202012Validator, value: Any) -> list[str]:
    """Return what is wrong with a value, one line each."""
    return [f"{error.json_path}: {error.message[:300]}" for error in found.iter_errors(value)]
