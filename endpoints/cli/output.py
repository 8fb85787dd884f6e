"""What commands print: data on standard output, everything else on standard error; JSON where a program reads."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from endpoints.texts.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_COLUMNS = 4_096


def print_json(value: Any) -> None:
    """Print one JSON document on a line of standard output, at once: followed output is read line by line."""
    sys.stdout.write(msgspec.json.encode(value, enc_hook=str).decode() + "\n")
    sys.stdout.flush()


def say(line: str) -> None:
    """Print a line for a person on standard error: progress, remarks, nothing that a program should read."""
    sys.stderr.write(printable(line) + "\n")
    sys.stderr.flush()


def console(*, stderr: bool = False) -> Console:
    """Return rich's console: colour and tables where there is a terminal, plain lines where there is none.

    Text of others (messages, names) is to be printed with `markup=False` or through `rich.text.Text`.
    """
    from rich.console import Console

    from endpoints.cli.rendering import Harmless

    plain = not (sys.stderr if stderr else sys.stdout).isatty()
    # a file or a pipe takes whole lines: nobody greps what was folded at column 80
    width = _PIPE_COLUMNS if plain else None
    made = Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=plain, width=width)
    made.push_render_hook(Harmless())
    return made


def silence_stdout() -> None:
    """Point standard output to nowhere: after its reader has gone, Python's flush at exit must not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
