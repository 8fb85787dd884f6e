"""Workflows and the pre-commit configuration call existing make targets and the programs of `make lint`."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = frozenset(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_existing_make_targets(path: Path) -> None:
    called = set(re.findall(r"(?:run: make|- target:) ([a-z][\w-]*)", path.read_text()))
    assert called
    assert called <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_with_the_version_in_a_comment(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used
    assert not [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)]


def test_the_oldest_python_tested_is_the_oldest_supported() -> None:
    (tested,) = re.findall(r"python: \[(.+)\]", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    (oldest,) = re.findall(r'requires-python = ">=(.+)"', (ROOT / "pyproject.toml").read_text())
    assert tested.split(", ")[0] == f'"{oldest}"'


def test_pre_commit_runs_every_program_of_make_lint() -> None:
    lines = {
        target: [re.sub(r" --(?:check|quiet)", "", line.strip().removeprefix("@")) for line in recipe.splitlines()]
        for target, recipe in re.findall(r"^(lint|style|types):.*\n((?:\t.+\n)+)", MAKEFILE, re.MULTILINE)
    }
    assert lines["lint"] == ["$(both) types style"]
    programs = lines["style"] + lines["types"]
    hooks = re.findall(r"entry: (.+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert not [program for program in programs if not [hook for hook in hooks if hook.startswith(program)]]
    assert len(programs) > 3
