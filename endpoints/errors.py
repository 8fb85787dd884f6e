"""Errors of the user: shown in one line without a traceback, each with an exit code."""

from __future__ import annotations

import errno

from protocol.errors import LinkError
from protocol.phrases import phrase

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


_REASONS = {
    errno.EACCES: phrase("Permission denied"),
    errno.EADDRINUSE: phrase("Address already in use"),
    errno.ECONNREFUSED: phrase("Connection refused"),
    errno.ECONNRESET: phrase("Connection reset by peer"),
    errno.EDQUOT: phrase("Disk quota exceeded"),
    errno.EEXIST: phrase("File exists"),
    errno.EFBIG: phrase("File too large"),
    errno.EHOSTUNREACH: phrase("No route to host"),
    errno.EIO: phrase("Input/output error"),
    errno.EISDIR: phrase("Is a directory"),
    errno.ELOOP: phrase("Too many levels of symbolic links"),
    errno.EMFILE: phrase("Too many open files"),
    errno.ENAMETOOLONG: phrase("File name too long"),
    errno.ENETUNREACH: phrase("Network is unreachable"),
    errno.ENOENT: phrase("No such file or directory"),
    errno.ENOSPC: phrase("No space left on device"),
    errno.ENOTDIR: phrase("Not a directory"),
    errno.ENOTEMPTY: phrase("Directory not empty"),
    errno.EPERM: phrase("Operation not permitted"),
    errno.EROFS: phrase("Read-only file system"),
    errno.ETIMEDOUT: phrase("Connection timed out"),
}


def os_reason(error: OSError) -> str:
    """Return why the system refused something: a phrase for its usual reasons, else its own text."""
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)
