"""Makes docs/reference/ from the types of settings and from the commands: `python -m tests.reference.make`."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from msgspec import NODEFAULT, UNSET, inspect

from endpoints.cli.commands import COMMANDS
from endpoints.cli.exit_codes import ENVIRONMENT
from endpoints.cli.main import main as main_of_commands
from endpoints.config.durations import write_s
from endpoints.config.link_file import _Document
from endpoints.config.settings_tables import EndpointTable, WatchTable
from tests.contracts.typed import comments_of

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
FILES: tuple[tuple[str, type, str], ...] = (
    ("endpoint.toml", EndpointTable, "The settings of an endpoint: private to its side, mode 0600."),
    ("watch.toml", WatchTable, "The settings of the independent watch."),
    ("link.toml", _Document, "The link file: public, and the same on both sides. Both sides compare its fingerprint."),
)
_WIDTH = 100
_LONG = 1_000
"""A limit of so many characters only keeps a file from filling the memory."""
_MADE = "<!-- made by `make reference`: do not edit -->\n"


def pages() -> dict[str, str]:
    """Return each page by its file name."""
    return {"configuration.md": configuration(), "commands.md": commands()}


# --- configuration ------------------------------------------------------------------------------------------------


def configuration() -> str:
    """Return the page of every key and every environment variable."""
    lines = [
        _MADE,
        "# Configuration reference",
        "",
        "Every key of the three files, and every environment variable. An unknown key is an error that names it.",
        'Durations are written with their unit (`"30s"`, `"10m"`, `"2h"`, `"7d"`). Paths are relative to the folder of',
        "the file. `deconflict doctor CONFIG` reports what is wrong.",
    ]
    seen: set[tuple[str, type]] = set()
    for name, kind, about in FILES:
        lines += ["", f"## {name}", "", about, *_tables(kind, "", seen)]
    lines += [
        "",
        "## Environment variables",
        "",
        "They take precedence over the files.",
        "",
        "| variable | meaning |",
        "| --- | --- |",
    ]
    lines += [f"| `{name}` | {_cell(what)} |" for name, what in ENVIRONMENT.items()]
    return "\n".join(lines) + "\n"


def _tables(kind: Any, place: str, seen: set[tuple[str, type]]) -> Iterator[str]:
    """Yield the table of a type's keys, then those of the tables in it; of those `seen` before, only the names."""
    comments = comments_of(kind)
    inner: list[tuple[str, Any]] = []
    if place:
        yield from ("", f"### `{place}`", "")
    else:
        yield ""
    yield from ("| key | value | default | meaning |", "| --- | --- | --- | --- |")
    for field in inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        info, seconds = _bare(field.type)
        key = field.encode_name.removesuffix("_s") if seconds else field.encode_name
        table = place.strip("[]")
        path = f"{table}.{key}" if table else key
        if isinstance(info, inspect.StructType):
            inner.append((f"[{path}]", info.cls))
        elif isinstance(info, inspect.DictType) and isinstance(_bare(info.value_type)[0], inspect.StructType):
            inner.append((f"[{path}.ID]", _bare(info.value_type)[0].cls))
        elif isinstance(info, inspect.VarTupleType) and isinstance(_bare(info.item_type)[0], inspect.StructType):
            inner.append((f"[[{path}]]", _bare(info.item_type)[0].cls))
        default = _default(field, seconds=seconds)
        meaning = comments.get(field.name, "")
        yield f"| `{key}` | {_cell(_value(info, seconds=seconds))} | {default} | {_cell(meaning)} |"
    again = [name for name, cls in inner if (name, cls) in seen]
    if again:
        yield from ("", f"{', '.join(f'`{name}`' for name in again)}: as above.")
    for name, cls in inner:
        if name not in again:
            seen.add((name, cls))
            yield from _tables(cls, name, seen)


def _bare(info: Any) -> tuple[Any, bool]:
    """Return a type without its metadata and without the choice to leave it out, and whether it is a duration."""
    seconds = False
    while True:
        if isinstance(info, inspect.Metadata):
            seconds |= (info.extra or {}).get("unit") == "s"
            info = info.type
        elif isinstance(info, inspect.UnionType):
            info = next(each for each in info.types if not isinstance(each, inspect.CustomType))
        else:
            return info, seconds


def _value(info: Any, *, seconds: bool) -> str:
    """Return what a value looks like."""
    if seconds or (isinstance(info, inspect.IntType) and info.le == 31 * 86_400):
        return "duration"
    match info:
        case inspect.LiteralType():
            return (
                " or ".join(f"`{each}`" for each in info.values)
                if len(info.values) < 3
                else ("one of " + ", ".join(f"`{each}`" for each in info.values))
            )
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"{info.ge} to {info.le}" if info.le and info.le < 2**53 - 1 else f"a number from {info.ge} on"
        case inspect.StrType(pattern=str(pattern)) if pattern.startswith("^[a-z0-9]"):
            return "id: 1 to 32 of a-z, 0-9, -"
        case inspect.StrType(pattern=str(pattern)) if pattern.startswith("^[a-z]{2}"):
            return "language: two letters"
        case inspect.StrType():
            limited = info.max_length is not None and info.max_length < _LONG
            return f"text of at most {info.max_length} characters" if limited else "text"
        case inspect.VarTupleType():
            item, _ = _bare(info.item_type)
            return "tables" if isinstance(item, inspect.StructType) else f"list: {_value(item, seconds=False)}"
        case inspect.DictType():
            item, _ = _bare(info.value_type)
            return "tables by id" if isinstance(item, inspect.StructType) else "table: language to text"
        case _:
            return "table"


def _default(field: inspect.Field, *, seconds: bool) -> str:
    if field.required:
        return "required"
    default = field.default
    if default is NODEFAULT:
        default = field.default_factory() if field.default_factory is not NODEFAULT else UNSET
    if default is UNSET or isinstance(default, msgspec.Struct) or default in ("", {}):
        return ""
    if seconds:
        return f'`"{write_s(default)}"`'
    return f"`{msgspec.json.encode(default).decode()}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


# --- commands -----------------------------------------------------------------------------------------------------


def commands() -> str:
    """Return the page of every command: what `--help` prints."""
    lines = [
        _MADE,
        "# Command reference",
        "",
        "What `--help` prints of each command, and the exit codes and variables that all of them share. In Russian:",
        "with `--lang ru`.",
        "",
        "```",
        *_help(),
        "```",
    ]
    for group, some in COMMANDS.items():
        lines += ["", f"## {group.rstrip(':')}"]
        for command in some:
            lines += ["", f"### deconflict {command.words}", "", "```", *_help(*command.words.split()), "```"]
    return "\n".join(lines) + "\n"


def _help(*words: str) -> list[str]:
    """Return the lines of a command's help in English, as wide as a page, without the frames of a terminal."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DECONFLICT_")}
    environment |= {"COLUMNS": str(_WIDTH), "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "TERM": "dumb"}
    out = io.StringIO()
    with patch.dict(os.environ, environment, clear=True), redirect_stdout(out), suppress(SystemExit):
        main_of_commands([*words, "--help"])
    lines = [re.sub(r"[╭╮╰╯─│]", " ", line).rstrip() for line in out.getvalue().splitlines()]
    kept = [line for at, line in enumerate(lines) if line or (at and lines[at - 1])]
    return [
        line.removeprefix("  ") if line.startswith("   ") else line.strip()
        for line in "\n".join(kept).strip().splitlines()
    ]


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
