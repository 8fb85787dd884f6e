"""Errors of the user: shown in one line without a traceback, each with an exit code."""

from __future__ import annotations

from protocol.errors import LinkError

EXIT_USAGE = 2
"""A wrong argument, file or key: the convention of shells, and of every command here."""


class UserError(LinkError):
    """A wrong argument, file, key or environment. The message is one line: what is wrong, where, what would be right.

    Attributes:
        exit_code: the exit code of the command line.
    """

    exit_code: int = EXIT_USAGE

    def __init__(self, message: str, *, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code
