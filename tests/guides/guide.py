"""Reads a guide: the commands, with their machines and what they print, and the files that machines hand over.

What is executed in a guide:

- blocks ```console: lines `MACHINE$ COMMAND`, each followed by what it prints, with `...` for anything, `{name}`
  for a word that is kept, and `<text>` for what is typed. A comment may say how the command ends;
- tables with the head `| hand over | from | to | as |`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_PROMPT = re.compile(r"([a-z][a-z0-9-]*)\$ (\S.*)")
_FENCE = re.compile(r"\s*```(\w*)\s*")
_COMMENT = re.compile(r"\s{2,}# (.+)$")
_EXIT_CODES = re.compile(r"exit code (\d+(?: or \d+)*)")
_HEAD = ["hand over", "from", "to", "as"]
_CONTINUED = "> "

REPEAT = "repeat until it prints this"
OWN_TERMINAL = "in a terminal of its own"
SHOWS = "its terminal shows"
STOP = "stop it with Ctrl-C"


class GuideError(Exception):
    """A guide that cannot be read, or that does not do what it says. Names file and line."""


@dataclass(frozen=True)
class Command:
    """A command on a machine: what it prints, in lines, and how it ends."""

    at: str
    machine: str
    line: str
    prints: str
    exit_codes: tuple[int, ...] = (0,)
    repeat: bool = False
    own_terminal: bool = False
    shows: bool = False
    stop: bool = False


@dataclass(frozen=True)
class HandOver:
    """A file, or a folder if `path` ends with a slash, that one machine hands to another as `target`."""

    at: str
    path: str
    source: str
    to: str
    target: str


Step = Command | HandOver


def read(path: Path) -> tuple[Step, ...]:
    """Return the steps of the guide `path`, in order. Raises GuideError."""
    return parse(path.read_text("utf-8"), path.name)


def parse(text: str, name: str) -> tuple[Step, ...]:
    """Return the steps of a guide's text; `name` is its name in errors. Raises GuideError."""
    steps: list[Step] = []
    block: list[tuple[str, str]] = []
    inside: str | None = None
    in_table = False
    for number, line in enumerate(text.splitlines(), 1):
        at = f"{name}:{number}"
        if fence := _FENCE.fullmatch(line):
            if inside == "console":
                steps += _commands(block)
            inside = fence[1] if inside is None else None
            block = []
        elif inside is not None:
            block.append((at, line))
        else:
            cells = _cells(line)
            if in_table and cells:
                steps += _handed_over(cells, at)
            in_table = cells == _HEAD or (in_table and bool(cells))
    if inside is not None:
        raise GuideError(f"{name}: the last block has no end")
    return tuple(steps)


def _commands(block: list[tuple[str, str]]) -> Iterator[Command]:
    lines = iter(block)
    pending = next(lines, None)
    while pending is not None:
        at, line = pending
        prompt = _PROMPT.fullmatch(line)
        if prompt is None:
            raise GuideError(f"{at}: expected a prompt with a machine's name, such as eucom$, found {line!r}")
        typed, prints = [prompt[2]], []
        pending = next(lines, None)
        while pending is not None and (typed[-1].endswith("\\") or pending[1].startswith(_CONTINUED)):
            typed.append(pending[1].removeprefix(_CONTINUED))
            pending = next(lines, None)
        while pending is not None and not _PROMPT.fullmatch(pending[1]):
            prints.append(pending[1])
            pending = next(lines, None)
        yield _command(at, prompt[1], typed, "\n".join(prints))


def _command(at: str, machine: str, typed: list[str], prints: str) -> Command:
    exit_codes, marks = [0], set()
    if comment := _COMMENT.search(typed[-1]):
        for mark in comment[1].split(", "):
            if named := _EXIT_CODES.fullmatch(mark):
                exit_codes = [int(number) for number in named[1].split(" or ")]
            marks.add(mark)
        typed[-1] = typed[-1][: comment.start()]
    command = Command(
        at=at,
        machine=machine,
        line="\n".join(typed),
        prints=prints,
        exit_codes=tuple(exit_codes),
        repeat=REPEAT in marks,
        own_terminal=OWN_TERMINAL in marks,
        shows=SHOWS in marks,
        stop=STOP in marks,
    )
    if (command.repeat or command.own_terminal or command.shows) and not prints.strip():
        raise GuideError(f"{at}: what is waited for must stand below the command")
    return command


def _cells(line: str) -> list[str]:
    """Return the cells of a row of a table, without their blanks; none for any other line."""
    line = line.strip()
    return [cell.strip() for cell in line[1:-1].split("|")] if line.startswith("|") and line.endswith("|") else []


def _handed_over(cells: list[str], at: str) -> Iterator[HandOver]:
    if all(re.fullmatch(r":?-+:?", cell) for cell in cells):
        return
    if len(cells) != len(_HEAD):
        raise GuideError(f"{at}: expected {len(_HEAD)} cells, found {len(cells)}")
    path, source, to, target = cells[0].strip("`"), cells[1], cells[2], cells[3].strip("`")
    slash = "/" if path.endswith("/") else ""
    for each in to.split(","):
        yield HandOver(at, path, source, each.strip(), target or PurePosixPath(path).name + slash)
