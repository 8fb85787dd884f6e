"""The contracts in docs/contracts/ are what the types say now, valid by the public tools, and listed on their page."""

from __future__ import annotations

import json
import lzma
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from endpoints.control.requests import ACTIONS
from tests.contracts.make import FOLDER, contracts
from tests.contracts.typed import text_of, walked
from tests.contracts.validators import committed

MADE = contracts()
SCHEMAS = [name for name in MADE if name.endswith(".schema.json")]
_PYTHON_ONLY = re.compile(r"\\[AZz]|\(\?P|\(\?[a-z]|[*+?}]\+")


def test_the_contracts_are_what_the_types_say() -> None:
    assert {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.json")} == set(MADE)
    stale = [name for name, made in MADE.items() if (FOLDER / name).read_text() != text_of(made)]
    assert not stale, f"run: make contracts ({', '.join(stale)})"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_by_two_validators(name: str) -> None:
    Draft202012Validator.check_schema(committed(name))
    jsonschema_rs.meta.validate(committed(name))
    assert jsonschema_rs.Draft202012Validator(committed(name))


@pytest.mark.parametrize("name", MADE)
def test_patterns_are_those_of_every_language(name: str) -> None:
    """ECMA 262, as JSON Schema recommends: not those of Python alone."""
    patterns: list[str] = []

    def note(each: dict[str, Any]) -> dict[str, Any]:
        patterns.extend(each[key] for key in ("pattern",) if isinstance(each.get(key), str))
        return each

    walked(committed(name), note)
    assert not [each for each in patterns if _PYTHON_ONLY.search(each)]
    assert all(re.compile(each) for each in patterns)


def test_every_reference_leads_somewhere() -> None:
    for name in MADE:
        document = committed(name)
        for ref in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
            found: Any = document
            for key in ref.split("/"):
                found = found[key]


def test_the_openapi_document_is_valid() -> None:
    # in a process of its own: it imports pydantic, which the command line's library would then use in this one
    words = [sys.executable, "-m", "openapi_spec_validator", str(FOLDER / "openapi.json")]
    told = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert told.returncode == 0, told.stdout


def test_the_asyncapi_document_is_valid() -> None:
    """By the schema that AsyncAPI publishes: schemas/3.0.0.json of @asyncapi/specs 6.11.1 (Apache 2.0)."""
    published = json.loads(lzma.decompress((Path(__file__).parent / "asyncapi-3.0.0.json.xz").read_bytes()))
    found = [
        f"{each.json_path}: {each.message[:300]}"
        for each in Draft7Validator(published).iter_errors(committed("asyncapi.json"))
    ]
    assert not found


def test_each_action_of_the_control_socket_has_its_operation() -> None:
    paths = committed("openapi.json")["paths"]
    assert not [action for action in ACTIONS if "post" not in paths[f"/v1/links/{{link}}/{action}"]]


def test_the_page_names_each_contract() -> None:
    page = (FOLDER / "README.md").read_text()
    assert not [name for name in MADE if f"]({name.partition('/')[0] if '/' in name else name}" not in page]
