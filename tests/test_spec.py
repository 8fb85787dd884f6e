"""SPEC.md and the code agree: clauses and citations, words, tables of fields and diagrams."""

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from endpoints.config import link_file
from protocol.core.alarms import SEVERITY
from protocol.core.watch_state import TEST
from protocol.wire import messages, policy
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.refusals import FrameRefusal, MessageRefusal
from protocol.wire.words import WORDS
from tests.support.spec_diagrams import DIAGRAMS, SPEC, renewed, state_diagram

ROOT = SPEC.parent.parent
TEXT = SPEC.read_text()
CLAUSE = r"[A-Z][0-9]+(?:\.[0-9]+)?"
CITATION = re.compile(rf"SPEC ({CLAUSE}(?:(?:,| and| to) {CLAUSE})*)")
CLAUSES = re.findall(rf"^\*\*({CLAUSE})\.\*\*", TEXT, re.MULTILINE)


def cited(text: str) -> Iterator[str]:
    """Yield the clauses that a text cites, as in `SPEC M1.1, R1.2 and F3.1 to F3.5`."""
    for citation in CITATION.findall(text):
        for part in re.split(r", | and ", citation):
            first, _, last = part.partition(" to ")
            if not last:
                yield first
                continue
            # a range is over the last number: F3.1 to F3.5, B1 to B6
            stem, start, end = first.rstrip("0123456789"), *(re.findall("[0-9]+$", each)[0] for each in (first, last))
            yield from (f"{stem}{number}" for number in range(int(start), int(end) + 1))


def citations(*patterns: str) -> dict[str, list[str]]:
    """Return the files of the repository that cite each clause."""
    found: dict[str, list[str]] = {}
    for pattern in patterns:
        for path in sorted(ROOT.glob(pattern)):
            for clause in cited(path.read_text()):
                found.setdefault(clause, []).append(path.relative_to(ROOT).as_posix())
    return found


CODE = citations("protocol/**/*.py", "endpoints/**/*.py", "broker/**/*.py", "broker/mosquitto.conf", "broker/acl")
TESTS = citations("tests/**/*.py")


def test_clauses_are_numbered_once_and_in_order() -> None:
    assert len(set(CLAUSES)) == len(CLAUSES) > 80
    by_chapter: dict[str, list[list[int]]] = {}
    for clause in CLAUSES:
        by_chapter.setdefault(clause[0], []).append([int(number) for number in clause[1:].split(".")])
    assert list(by_chapter) == list("FMREBPWQ")
    for numbers in by_chapter.values():
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("clause", CLAUSES)
def test_every_clause_is_cited_by_what_enforces_it(clause: str) -> None:
    assert clause in CODE, f"no check cites SPEC {clause}"


@pytest.mark.parametrize("clause", CLAUSES)
def test_every_clause_is_cited_by_a_test(clause: str) -> None:
    assert clause in TESTS, f"no test cites SPEC {clause}"


def test_every_cited_clause_exists() -> None:
    known = {*CLAUSES, *(clause.partition(".")[0] for clause in CLAUSES)}
    astray = {clause: files for clause, files in (CODE | TESTS).items() if clause not in known}
    assert not astray


def test_diagrams_are_generated_from_the_tables() -> None:
    assert renewed(TEXT) == TEXT, "SPEC.md's diagrams are stale: python -m tests.support.spec_diagrams"
    assert re.findall(r"<!-- diagram: (\w+) -->", TEXT) == list(DIAGRAMS)


def test_a_diagram_shows_every_transition() -> None:
    drawn = state_diagram(TEST)
    assert "    [*] --> placed\n" in drawn
    assert "    placed --> received: receipted\n" in drawn
    assert drawn.endswith("    answered --> [*]\n    answered_late --> [*]\n```")


@pytest.mark.parametrize("words", [FrameRefusal, MessageRefusal])
def test_every_reason_has_a_row(words: type[StrEnum]) -> None:
    assert [word for word in words if f"\n| `{word}` | " not in TEXT] == []


def test_every_alarm_has_a_row() -> None:
    """SPEC W3"""
    rows = re.findall(r"^\| `(\w+)` \| (critical|major|warning) \| \S", TEXT, re.MULTILINE)
    assert dict(rows) == {str(code): severity for code, severity in SEVERITY.items()}


@pytest.mark.parametrize("word", [*get_args(messages.Category), *PAYLOAD_TYPES.values()])
def test_every_word_on_the_wire_is_listed(word: str) -> None:
    assert f"`{word}`" in TEXT


TABLES_OF_FIELDS = dict(re.findall(r"<!-- fields: (\w+) -->\n\| field .*\n\| ---.*\n((?:\|.*\n)+)", TEXT))


@pytest.mark.parametrize("name", TABLES_OF_FIELDS)
def test_tables_of_fields_match_the_types(name: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", TABLES_OF_FIELDS[name], re.MULTILINE)
    kind: type[msgspec.Struct] = next(vars(each)[name] for each in (messages, policy, link_file) if name in vars(each))
    tag = [("type", f"`{kind.__struct_config__.tag}`")] if kind.__struct_config__.tag else []
    assert rows[: len(tag)] == tag
    fields = msgspec.structs.fields(kind)
    optional = {field.name for field in fields if field.default is msgspec.UNSET}
    assert {row[0] for row in rows[len(tag) :]} == {field.encode_name for field in fields}
    assert {row[0] for row in rows if row[1].endswith(", optional")} == optional


def test_every_type_on_the_wire_has_a_table() -> None:
    of_the_wire = {
        name
        for module in (messages, policy)
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__
    }
    assert of_the_wire - {"Body"} | {"Party"} == set(TABLES_OF_FIELDS)


@pytest.mark.parametrize("language", WORDS)
def test_the_lists_of_words_are_those_of_the_code(language: str) -> None:
    """SPEC B1.3"""
    (listed,) = re.findall(rf"<!-- words: {language} -->\n```text\n(.*?)```", TEXT, re.DOTALL)
    assert tuple(listed.split()) == WORDS[language]
    assert len(set(WORDS[language])) == 256


def test_the_vector_files_are_listed() -> None:
    names = {path.name for path in Path(__file__).parent.joinpath("vectors").glob("*.json")}
    assert set(re.findall(r"^\| `(\w+\.json)` \|", TEXT, re.MULTILINE)) == names


def test_examples_match_the_code() -> None:
    """SPEC F1.1, M2.3"""
    frame, beginning = re.findall(r'^    (\{"payload":.*|\{"epoch":1,.*)$', TEXT, re.MULTILINE)
    vectors = json.loads((SPEC.parent.parent / "tests" / "vectors" / "hashes.json").read_text())
    assert vectors["genesis"]["eucom"]["bytes"] == beginning.replace("<digest>", vectors["policy"])
    assert msgspec.json.encode(json.loads(frame)).decode() == frame
