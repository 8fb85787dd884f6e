"""Reports banned phrasings in comments, strings, documents and catalogues: `python -m tests.prose.run [FILE ...]`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import msgspec

ROOT = Path(__file__).parent.parent.parent
PHRASINGS = Path(__file__).parent / "phrasings.toml"

CHECKED = frozenset({".py", ".md", ".po", ".yml", ".yaml", ".toml", ".cjs", ""})
"""Suffixes of files that contain English prose; scripts and the Makefile have none. Russian matches no pattern."""
FOLDERS = frozenset(
    {".ci", ".github", "broker", "docs", "endpoints", "examples", "load", "protocol", "scenario", "tests", "tools"}
)
"""Folders of the repository; other ones belong to tools, or to an installation that somebody tries out."""
EXCLUDED = ("LICENSE", "tests/prose/", "tests/fuzz/corpus/", "tests/vectors/", "tests/golden/")
"""The licence, the list itself, and data that must not change."""

_BREAK = r"(?:[\s#>*\"'|]|\\n)+"
"""A space, or a line break with the comment marks, quotes and table bars around it."""


class Phrasing(msgspec.Struct, forbid_unknown_fields=True):
    """A banned phrasing and its replacement."""

    pattern: str
    instead: str


class Phrasings(msgspec.Struct, forbid_unknown_fields=True):
    """The content of `phrasings.toml`."""

    phrasing: list[Phrasing]


@cache
def banned() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return each pattern, compiled, with what to write instead."""
    listed = msgspec.toml.decode(PHRASINGS.read_bytes(), type=Phrasings).phrasing
    return tuple((_compiled(each.pattern), each.instead) for each in listed)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{pattern.replace(' ', _BREAK)})(?![\w-])", re.IGNORECASE)


def findings(name: str, text: str) -> list[str]:
    """Return one line for each banned phrasing in the text of the file `name`, in the order of the text."""
    found = [
        (match.start(), " ".join(re.split(_BREAK, match[0])), instead)
        for pattern, instead in banned()
        for match in pattern.finditer(text)
    ]
    return [
        f"{name}:{text.count(chr(10), 0, start) + 1}: \u201c{phrase}\u201d: write instead: {instead}"
        for start, phrase, instead in sorted(found)
    ]


def checked(name: str) -> bool:
    """Return whether the file `name`, relative to the repository, contains prose to check."""
    path = Path(name)
    # a dot file at the top is a tool's: its settings, or its data, such as .coverage
    in_place = path.parts[0] in FOLDERS or (len(path.parts) == 1 and (path.suffix or not name.startswith(".")))
    return (
        bool(in_place) and path.suffix in CHECKED and not name.startswith(EXCLUDED) and "node_modules" not in path.parts
    )


def repository() -> Iterator[str]:
    """Yield the names of all files of the repository, relative to it; without git, which may distrust the folder."""
    yield from sorted(entry.name for entry in ROOT.iterdir() if entry.is_file())
    for folder in sorted(FOLDERS):
        yield from sorted(file.relative_to(ROOT).as_posix() for file in (ROOT / folder).rglob("*") if file.is_file())


def report(names: Iterable[str]) -> list[str]:
    """Return the findings in those of the named files that are checked."""
    return [line for name in names if checked(name) for line in findings(name, (ROOT / name).read_text("utf-8"))]


if __name__ == "__main__":
    result = report(sys.argv[1:] or repository())
    if result:
        print("\n".join(result))
        raise SystemExit(f"prose: {len(result)} banned phrasings; the list is in tests/prose/phrasings.toml")
