"""Prints the output of commands: data on standard output, everything else on standard error."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO, cast

import msgspec

from endpoints.errors import UserError
from endpoints.texts.printable import HANGING, fits, folded, one_line, printable
from protocol.phrases import phrase

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_PIPE_COLUMNS = 4_096
_LINE_MAX = 2_000
_COMMAND = re.compile(r"(?:^|(?<=: ))((?:deconflict|chmod|chown) (?:[^;']|'[^']*')*)")
"""A command that a line names, after a colon or alone: it ends with the line, or before a semicolon outside quotes."""


def print_json(value: Any) -> None:
    """Print one JSON document as a line of standard output, and flush it for readers that follow the output."""
    sys.stdout.write(msgspec.json.encode(value, enc_hook=str).decode() + "\n")
    sys.stdout.flush()


def print_reference(reference: str, *, as_json: bool) -> None:
    """Print what an officer's request led to: a reference."""
    if as_json:
        print_json({"reference": reference})
    else:
        sys.stdout.write(printable(reference) + "\n")
        sys.stdout.flush()


def say(line: str) -> None:
    """Print a line on standard error: progress and remarks for people, nothing that a program should read.

    On a terminal, it is folded as `print_lines` does.
    """
    print_lines(printable(line).split("\n"), stderr=True)


def print_lines(lines: Iterable[str], *, stderr: bool = False) -> None:
    """Print lines, none of which can begin another one: a line break within one is spelt out.

    On a terminal, what does not fit continues below its line, further in. A command that is to be typed stays whole, so
    that it can be copied.
    """
    out, width = sys.stderr if stderr else sys.stdout, terminal_width(stderr=stderr)
    for line in lines:
        lead = " " * (len(line) - len(line.lstrip(" ")))
        rest = one_line(line[len(lead) :])
        first, *more = [rest] if width is None or fits(lead + rest, width) else _rows(rest, width - len(lead) - HANGING)
        out.write(f"{lead}{first}\n" + "".join(f"{lead}{' ' * HANGING}{each}\n" for each in more))
    out.flush()


def _rows(text: str, columns: int) -> list[str]:
    """Return `text` in rows of `columns`; each command in it is a row of its own, however long."""
    rows: list[str] = []
    for at, part in enumerate(_COMMAND.split(text)):
        rows += [part.strip()] if at % 2 else folded(part.strip(), columns)
    return [row for row in rows if row]


def typed_line(question: str) -> str:
    """Print a question on standard error, and return the line that is typed, empty after Ctrl-D. Raises UserError."""
    sys.stderr.write(printable(question))
    sys.stderr.flush()
    line = input_line()
    if not line.endswith("\n"):
        sys.stderr.write("\n")
    return line.strip()


def input_line() -> str:
    """Return the next line of standard input, empty at its end. Raises UserError if it is not text."""
    try:
        return sys.stdin.readline(_LINE_MAX)
    except UnicodeDecodeError as error:
        raise UserError(
            phrase(
                "what was typed is not in {encoding}, the encoding of this terminal or pipe", encoding=error.encoding
            )
        ) from None


def terminal_width(*, stderr: bool = False) -> int | None:
    """Return the columns of the terminal, None for a file or a pipe."""
    return get_terminal_size().columns if (sys.stderr if stderr else sys.stdout).isatty() else None


def console(*, stderr: bool = False) -> Console:
    """Return a rich console: with colour and wrapping on a terminal, with whole plain lines elsewhere.

    Print foreign text (messages, names) with `markup=False` or as `rich.text.Text`.
    """
    from rich.console import Console

    from endpoints.cli.rendering import Harmless

    plain = not (sys.stderr if stderr else sys.stdout).isatty()
    # in a file or a pipe, one line stays one line, so that it can be searched with grep
    width = _PIPE_COLUMNS if plain else None
    made = Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=plain, width=width)
    made.push_render_hook(Harmless())
    return made


def print_indented(out: Console, text: Text, *, columns: int) -> None:
    """Print `text` as a row that is indented; on a terminal, what does not fit is continued below it, further in."""
    from rich.text import Text

    out.print(Text(" " * columns) + text)


def print_hanging(out: Console, text: Text, *, columns: int, then: int) -> None:
    """Print `text` indented; on a terminal, it continues at column `then`, where no other line begins."""
    from rich.text import Text

    begin = Text(" " * columns)
    if not out.is_terminal:
        out.print(begin + text)
        return
    for line in text.wrap(out, max(out.width - max(columns, then), 1)):
        line.rstrip()
        out.print(begin + line, soft_wrap=True)
        begin = Text(" " * then)


def print_row(out: Console, begin: Text, what: Text) -> None:
    """Print a row; on a terminal, what does not fit continues below `what`, where no other row begins."""
    from rich.text import Text

    if (plain := one_line(what.plain)) != what.plain:
        what = Text(plain, what.style)
    if not out.is_terminal:
        out.print(begin + what)
        return
    indent = begin.cell_len
    for line in what.wrap(out, max(out.width - indent, 1)):
        out.print(begin + line, soft_wrap=True)
        begin = Text(" " * indent)


def reopen_closed_streams() -> None:
    """Open what the caller has closed of the standard streams, so that no other file takes its number.

    Printing data is an OSError then, as if standard output were still closed; standard error is discarded.
    """
    # in this order: what is opened gets the lowest number that is free
    if _closed(0):
        sys.stdin = _nowhere(os.O_RDONLY, "r")
    if _closed(1):
        sys.stdout = _nowhere(os.O_RDONLY, "w")
    if _closed(2):
        sys.stderr = _nowhere(os.O_WRONLY, "w")


def _closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def _nowhere(access: int, mode: str) -> TextIO:
    return cast("TextIO", os.fdopen(os.open(os.devnull, access), mode, closefd=False))


def silence_stdout() -> None:
    """Redirect standard output to /dev/null, so that the flush at exit does not fail when its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
