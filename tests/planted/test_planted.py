"""The list of planted bugs is up to date, and what catches bugs catches some of them right now."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.planted.bug import Bug, paths, planted
from tests.planted.run import BUGS, ROOT, copy, noticed_by_exploration, noticed_by_simulation, noticed_by_tests, plant


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted(bug: Bug) -> None:
    """Its code stands exactly once, what comes out is other Python, and its tests exist."""
    path, text = planted(bug, ROOT)
    assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(path.read_text("utf-8")))
    assert paths(bug.tests, ROOT)


def test_bugs_are_bugs_and_not_names_that_do_not_exist(tmp_path: Path) -> None:
    """A bug that ends in a NameError would prove nothing."""
    for number, bug in enumerate(BUGS):
        _, text = planted(bug, ROOT)
        (tmp_path / f"bug_{number:03}.py").write_text(text, "utf-8")
    ruff = [str(Path(sys.executable).with_name("ruff")), "check", "--isolated", "--select", "F821", str(tmp_path)]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_names_are_distinct() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 40


def test_every_file_that_mutants_are_made_of_exists() -> None:
    """mutmut skips a missing file silently."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    for pattern in settings["only_mutate"]:
        assert list(ROOT.glob(pattern)), pattern


def by_simulation(folder: Path, _bug: Bug) -> str:
    return noticed_by_simulation(folder)


def by_exploration(folder: Path, _bug: Bug) -> str:
    return noticed_by_exploration(folder)


def by_tests(folder: Path, bug: Bug) -> str:
    return noticed_by_tests(folder, bug.tests)


@pytest.mark.parametrize(
    ("name", "noticed"),
    [
        ("frames leave before their batch is on disk", by_simulation),
        ("equivocation is missed in what was applied already", by_exploration),
        ("a record's prev is not checked", by_tests),
    ],
)
def test_a_sample_is_caught(name: str, noticed: Callable[[Path, Bug], str], tmp_path: Path) -> None:
    """`make planted` runs them all."""
    (bug,) = (bug for bug in BUGS if bug.name == name)
    copy(tmp_path)
    plant(bug, tmp_path)
    assert noticed(tmp_path, bug)
