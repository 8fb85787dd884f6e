"""Every term of docs/glossary.md is defined once and in use; its Russian term is the one of the Russian catalogue."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GLOSSARY = ROOT / "docs" / "glossary.md"
CATALOGUE = ROOT / "endpoints" / "texts" / "i18n" / "ru.po"
ROWS = [
    row
    for row in re.findall(r"^\| (.+?) \| (.+?) \| (.+) \|$", GLOSSARY.read_text(), re.MULTILINE)
    if row[0] not in {"term", "---"}
]
TERMS = [term for names, _, _ in ROWS for term in names.split(", ")]
RUSSIAN = [term for _, names, _ in ROWS for term in names.split(", ") if term != "—"]
_INFLECTED = 3
"""Letters at the end of a Russian word that its grammatical case may change."""


@cache
def in_use() -> str:
    """Return the text of code and documents, the glossary apart, with words separated by single spaces."""
    files = [
        *(
            path
            for package in ("protocol", "endpoints", "scenario", "broker")
            for path in (ROOT / package).rglob("*.py")
        ),
        *(path for path in ROOT.glob("docs/**/*.md") if path != GLOSSARY),
        ROOT / "README.md",
        ROOT / "protocol" / "SPEC.md",
    ]
    return re.sub(r"[\s#_-]+", " ", " ".join(path.read_text() for path in files)).lower()


@cache
def translations() -> str:
    """Return the translated phrases of the Russian catalogue."""
    text = CATALOGUE.read_text()
    phrases = re.findall(r'^msgstr(?:\[\d\])? "(.*)"((?:\n".*")*)', text, re.MULTILINE)
    return " ".join(first + rest.replace('"\n"', "") for first, rest in phrases).lower()


def stem(word: str) -> str:
    """Return the part of a Russian word that its cases have in common."""
    return word if len(word) <= _INFLECTED + 1 else word[:-_INFLECTED]


def test_every_term_is_defined_once() -> None:
    assert len(TERMS) > 70
    assert len(set(TERMS)) == len(TERMS)


@pytest.mark.parametrize("term", TERMS)
def test_a_term_is_in_use(term: str) -> None:
    assert re.search(rf"\b{re.escape(term.lower())}", in_use())


@pytest.mark.parametrize("term", RUSSIAN)
def test_a_russian_term_is_that_of_the_catalogue(term: str) -> None:
    pattern = r"\w* ".join(re.escape(stem(word)) for word in term.lower().split())
    assert re.search(rf"\b{pattern}", translations())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_definition_is_one_to_three_sentences_and_ends_with_a_stop(row: tuple[str, str, str]) -> None:
    meaning = re.sub(r" \([A-Z][\d.]*\)", "", row[2])
    assert meaning.endswith(".")
    assert len(re.findall(r"\.(?: |$)", meaning)) <= 3
