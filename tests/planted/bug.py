"""What a planted bug is: one exact replacement in one file of the packages, and the tests that must notice."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Bug(NamedTuple):
    """A small mistake that somebody could make. `old` stands in `file` exactly once."""

    name: str
    file: str
    old: str
    new: str
    # what is run against it, beside the simulation: files or tests, as pytest takes them
    tests: str


class StaleBugError(Exception):
    """The code has moved on: the text that a bug replaces is not there exactly once."""


def planted(bug: Bug, folder: Path) -> str:
    """Return the text of the bug's file below `folder` with the bug in it. Raises StaleBugError."""
    text = (folder / bug.file).read_text()
    found = text.count(bug.old)
    if found != 1:
        raise StaleBugError(f"{bug.name}: its text stands {found} times in {bug.file}; bring the bug up to date")
    return text.replace(bug.old, bug.new)
