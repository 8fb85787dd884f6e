"""The list of planted bugs is up to date, and what catches bugs catches some of them right now."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.planted.bug import Bug, StaleBugError, planted
from tests.planted.run import BUGS, ROOT, copy, noticed_by_simulation, noticed_by_tests, plant


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted(bug: Bug) -> None:
    """Its text stands exactly once, what comes out is Python, and its tests exist."""
    assert ast.parse(planted(bug, ROOT)) is not None
    assert bug.old != bug.new
    for path in bug.tests.split():
        assert (ROOT / path.partition("::")[0]).is_file(), path


def test_bugs_are_bugs_and_not_names_that_do_not_exist(tmp_path: Path) -> None:
    """A bug that ends in a NameError would prove nothing."""
    for number, bug in enumerate(BUGS):
        (tmp_path / f"bug_{number:03}.py").write_text(planted(bug, ROOT))
    ruff = [str(Path(sys.executable).with_name("ruff")), "check", "--isolated", "--select", "F821", str(tmp_path)]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_stale_bug_says_so(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text("a = 1\n")
    with pytest.raises(StaleBugError, match="its text stands 0 times"):
        planted(Bug("gone", "file.py", "b = 1", "b = 2", ""), tmp_path)


def test_names_are_distinct() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 40


@pytest.mark.parametrize("name", ["frames leave before their batch is on disk", "a record's prev is not checked"])
def test_a_sample_is_caught(name: str, tmp_path: Path) -> None:
    """`make planted` runs them all."""
    (bug,) = (bug for bug in BUGS if bug.name == name)
    copy(tmp_path)
    plant(bug, tmp_path)
    assert noticed_by_simulation(tmp_path) or noticed_by_tests(tmp_path, bug.tests)
