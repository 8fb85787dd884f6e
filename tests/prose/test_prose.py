"""The repository contains no banned phrasing, and the check finds one wherever prose stands."""

import pytest

from tests.prose import run


def test_the_repository_contains_no_banned_phrasing() -> None:
    found = run.report(run.repository())
    assert not found, "\n".join(found)


def test_every_part_of_the_repository_is_read() -> None:
    read = {name for name in run.repository() if run.checked(name)}
    assert read >= {"README.md", "Makefile", "tools/setup", ".ci/run", ".github/workflows/ci.yml", "protocol/SPEC.md"}
    assert read >= {"protocol/__init__.py", "endpoints/texts/i18n/en.po", "docs/decisions/README.md", "pyproject.toml"}
    assert not {name for name in read if name.startswith((".venv", ".tools", "tests/fuzz/corpus"))}


@pytest.mark.parametrize(
    "text",
    [
        "Whoever starts it.",
        "one\ntwo: it says\nso.",
        "# the journal lets\n# no record through",
        'text = (\n    "the process lets "\n    "go of the file"\n)',
        "| a | what is\n> no message |",
        'msgid "He is told."',
    ],
)
def test_a_banned_phrasing_is_found(text: str) -> None:
    assert len(run.findings("x", text)) == 1


@pytest.mark.parametrize(
    "text",
    ["def test_he_is_told() -> None: ...", "the history of this", "what is no longer needed", "he-is-a-key: 1"],
)
def test_other_text_is_let_through(text: str) -> None:
    assert run.findings("x", text) == []


def test_a_finding_is_one_line_with_file_line_phrase_and_replacement() -> None:
    (line,) = run.findings("docs/journal.md", "first\nit says\nso here")
    assert line.startswith("docs/journal.md:2: “says so”: write instead: ")


def test_data_of_tools_at_the_top_is_not_read() -> None:
    assert not run.checked(".coverage")
    assert run.checked(".pre-commit-config.yaml")
    assert run.checked("Makefile")
