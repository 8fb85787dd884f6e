"""Prints the first page of the help without cyclopts and rich, which would take two thirds of its time: decision 0146.

It is made from the tables that the command line is built from, and looks like the pages of `help_pages`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from textwrap import wrap

from endpoints.cli.commands import COMMANDS, GROUPS, PURPOSE
from endpoints.cli.exit_codes import closing
from endpoints.texts.i18n import Translator

_PIPE_COLUMNS = 80
_DESCRIPTION_MIN = 10
_FLAGS = {"--help (-h)": "Display this message and exit.", "--version": "Display application version."}
"""The options of the first page, with the words of cyclopts for them."""
_BOLD, _CYAN, _PLAIN = "\x1b[1m", "\x1b[36m", "\x1b[0m"


def print_first_page(t: Translator) -> None:
    """Print the first page on standard output: in colour on a terminal, and as wide as that."""
    terminal = sys.stdout.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}
    colours = terminal and not os.environ.get("NO_COLOR")
    sys.stdout.writelines(f"{line}\n" for line in first_page(t, _columns(), bold=terminal, colours=colours))


def first_page(t: Translator, columns: int, *, bold: bool = False, colours: bool = False) -> Iterator[str]:
    """Yield the lines of the first page, at most `columns` wide."""
    usage = t("Usage: {command}", command=f"deconflict {t.term('placeholder', 'COMMAND')}")
    yield f"{_BOLD}{usage}{_PLAIN}" if bold else usage
    for paragraph in (t.fixed(PURPOSE), t("Example: {command}", command="deconflict demo")):
        yield ""
        yield from _folded(paragraph, columns)
    yield ""
    for title, rows in sorted(_panels().items()):
        yield from _panel(t.fixed(title), [(name, t.fixed(what)) for name, what in sorted(rows)], columns, colours)
    yield ""
    for line in closing(t.fixed).split("\n"):
        yield from _folded(line, columns)


def _panels() -> dict[str, list[tuple[str, str]]]:
    """Return the rows of each panel by its title: the options, and the commands and groups of commands."""
    panels = {"Commands": list(_FLAGS.items())}
    for title, commands in COMMANDS.items():
        alone = [each for each in commands if " " not in each.words and each.words not in GROUPS]
        rows = [(command.words, command.purpose) for command in alone]
        panels[title] = rows + [(word, purpose) for word, (purpose, _, group) in GROUPS.items() if group == title]
    return panels


def _panel(title: str, rows: list[tuple[str, str]], columns: int, colours: bool) -> Iterator[str]:
    inner = columns - 4
    names = max(len(name) for name, _ in rows)
    room = max(inner - names - 2, _DESCRIPTION_MIN)
    yield f"╭─ {title} ".ljust(columns - 1, "─") + "╮"
    for name, what in rows:
        left = name.ljust(names)
        for line in _folded(what, room):
            shown = f"{_CYAN}{left}{_PLAIN}" if colours else left
            yield f"│ {shown}  {line.ljust(room)} │"
            left = " " * names
    yield "╰" + "─" * (columns - 2) + "╯"


def _folded(text: str, columns: int) -> list[str]:
    """Return `text` in lines of at most `columns`; a line that fits keeps its spaces."""
    return [text] if len(text) <= columns else wrap(text, columns, break_on_hyphens=False)


def _columns() -> int:
    """Return the width of the terminal that any of the standard streams is; of a pipe's page where none is."""
    if (given := os.environ.get("COLUMNS", "")).isdigit() and int(given):
        return int(given)
    for number in (0, 1, 2):
        try:
            return os.get_terminal_size(number).columns or _PIPE_COLUMNS
        except OSError:
            continue
    return _PIPE_COLUMNS
