"""The entry of a command in the tables of commands."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One command: its words, `module:function`, its purpose in one line, an example, and details for its `--help`."""

    words: str
    target: str
    purpose: str
    example: str
    details: str = ""
