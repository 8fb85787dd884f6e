"""Prints the lines of a journal's story on a terminal."""

from __future__ import annotations

from endpoints.cli.output import console, print_row
from endpoints.texts.story import Told, Tone
from protocol.wire.instants import written

STYLES: dict[Tone, str] = {
    "plain": "",
    "said": "bold",
    "heard": "bold cyan",
    "quiet": "bright_black",
    "bad": "red",
    "good": "green",
}
WHO_WIDTH = 8


def print_told(told: Told, *, indent: str = "", with_time: bool = True, stderr: bool = False) -> None:
    """Print a line of a story: when (UTC), who and what."""
    from rich.text import Text

    when = f"{written(told.at)}  " if with_time else ""
    begin = Text.assemble(indent, (when, "bright_black"), f"{told.who:<{WHO_WIDTH}}  ")
    print_row(console(stderr=stderr), begin, Text(told.what, STYLES[told.tone]))
