"""What a person did or gave that cannot work: said in one line, without a traceback, with an exit code."""

from __future__ import annotations

from protocol.errors import LinkError

EXIT_USAGE = 2
"""A wrong argument, file or key (the convention of shells and of every command here)."""


class UserError(LinkError):
    """A wrong argument, file, key or environment: one line that says what, where, and what would be right.

    Attributes:
        exit_code: what the command line exits with.
    """

    exit_code: int = EXIT_USAGE

    def __init__(self, message: str, *, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code
