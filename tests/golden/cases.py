"""Golden cases as files: `CASE.tar.xz` with the folder of a case, and `CASE.json` with what commands said about it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

GOLDEN = Path(__file__).parent
SUFFIX = ".tar.xz"
TWO_FACED = "world-42"
"""The case in which a side signs two versions of one message."""
OF_A_CRASH = ("(normal after a crash; the next start cuts it)", "the last line is cut: it has no newline")
ONE_SEGMENT = GOLDEN / "rules-1" / f"killed{SUFFIX}"
"""Journals of one segment each, which no checkpoint opens."""


class Run(Struct, frozen=True):
    """A command that is run in the folder of a case, with what it must print and exit with."""

    arguments: tuple[str, ...]
    # the file on standard input
    stdin: str
    exit: int
    # what it prints on standard output, None if nothing
    document: Any


def archives() -> list[Path]:
    """Return the archives of all cases of all versions of the rules."""
    return sorted(GOLDEN.glob(f"rules-*/*{SUFFIX}"))


def rules_of(archive: Path) -> str:
    """Return the version of the rules under which a case was written."""
    return archive.parent.name.removeprefix("rules-")


def expected(archive: Path) -> list[Run]:
    """Return the commands of a case and what they must say."""
    text = archive.with_name(archive.name.removesuffix(SUFFIX) + ".json").read_bytes()
    runs = [_of_a_crash(run) for run in msgspec.json.decode(text, type=list[Run])]
    return [_corrected(run) if archive.name == f"{TWO_FACED}{SUFFIX}" else run for run in runs]


def _of_a_crash(run: Run) -> Run:
    """Return what `log verify` has to say of what a crash leaves: incomplete, which had no code of its own before."""
    problems = run.document["problems"] if run.arguments[:2] == ("log", "verify") else []
    if not problems or not all(each["reason"].endswith(OF_A_CRASH) for each in problems):
        return run
    if run.arguments[2] != "-":
        return Run(run.arguments, run.stdin, 3, run.document)
    # the reader of collected logs words it differently
    worded = [{"record": each["record"], "reason": "its line is cut"} for each in problems]
    return Run(run.arguments, run.stdin, 3, run.document | {"problems": worded})


def _corrected(run: Run) -> Run:
    """Return what `reconcile` has to say of the two-faced peer; version 0.1.0 did not compare refused frames."""
    if run.arguments[0] != "reconcile":
        return run
    found = {"agree": False, "differing": ["eucom/1/3"]}
    return Run(run.arguments, run.stdin, 6, run.document | found)


def write_expected(runs: list[Run], path: Path) -> None:
    """Write the commands of a case, one on a line."""
    lines = ",\n".join(json.dumps(msgspec.to_builtins(run), ensure_ascii=False, sort_keys=True) for run in runs)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def commands(case: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the commands of a case, as arguments and the file on standard input."""
    trusted = ("--link-file", "link.toml")
    journals = [f"journal/{folder.name}" for folder in sorted((case / "journal").iterdir())]
    outputs = [f"output/{file.name}" for file in sorted((case / "output").glob("*.jsonl"))]
    for name, stdin in [*((journal, "") for journal in journals), *(("-", output) for output in outputs)]:
        yield ("log", "verify", name, "--json"), stdin
        yield ("log", "verify", name, *trusted, "--json"), stdin
        yield ("replay", name, "--json"), stdin
    sides = [journal for journal in journals if not journal.endswith("/watch")]
    yield ("reconcile", *sides, *trusted, "--json"), ""
    for output in outputs[:1]:
        yield ("reconcile", "-", sides[1], "--json"), output


def pack(case: Path, archive: Path) -> None:
    """Write an archive that depends on nothing but names and contents."""
    with tarfile.open(archive, "w:xz", format=tarfile.USTAR_FORMAT, preset=9) as packed:
        for path in sorted(path for path in case.rglob("*") if path.is_file()):
            data = path.read_bytes()
            member = tarfile.TarInfo(path.relative_to(case).as_posix())
            member.size, member.mode = len(data), 0o600
            packed.addfile(member, io.BytesIO(data))


def unpack(archive: Path, case: Path) -> None:
    """Write the files of an archive below the folder `case`, for their owner alone; zeros at the end become a hole."""
    with tarfile.open(archive) as packed:
        for member in packed:
            content = packed.extractfile(member)
            assert content is not None, f"{archive}: {member.name} is no file"
            assert ".." not in Path(member.name).parts, f"{archive}: {member.name}"
            path = case / member.name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            with path.open("r+b") as file:
                file.write(content.read().rstrip(b"\0"))
                file.truncate(member.size)


def missing(wanted: Any, found: Any, where: str = "") -> Iterator[str]:
    """Yield what of `wanted` is not in `found`: objects may have more fields, everything else must be equal."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            if key not in found:
                yield f"{where}.{key} is gone"
            else:
                yield from missing(value, found[key], f"{where}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from missing(one, other, f"{where}[{index}]")
    elif wanted != found:
        yield f"{where}: expected {wanted!r:.300}, found {found!r:.300}"
