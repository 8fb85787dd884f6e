"""Reads and writes files that only their owner may read: keys, credentials, settings (0600), folders (0700)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from endpoints.errors import UserError

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_OTHERS = 0o077


def with_article(what: str) -> str:
    """Return "a link file" or "an exercise clock" for the name of a kind of file."""
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


def exists(path: Path) -> bool:
    """Return whether `path` is there. Raises UserError if the system can't say.

    `Path.exists` raises OSError then, and returns False from Python 3.14 on.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(f"{path}: {reason}") from None
    return True


def read_bytes(path: Path, *, what: str, max_bytes: int) -> bytes:
    """Return the bytes of the regular file `path`; `what` ("link file", "private key") names its kind in errors.

    Raises UserError, naming the file, if it is missing, a folder, unreadable, or larger than `max_bytes`.
    """
    try:
        # O_NONBLOCK: opening a FIFO must not block the start
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - an open descriptor, not a path
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UserError(f"{path}: not a regular file; {with_article(what)} was expected")
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {with_article(what)} was expected") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder; {with_article(what)} was expected") from None
    except PermissionError:
        raise UserError(f"{path}: this user may not read it; {with_article(what)} was expected") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(f"{str(path)[:200]!r}: cannot be read: {reason}") from None
    if len(data) > max_bytes:
        raise UserError(f"{path}: larger than {max_bytes} bytes, so not {with_article(what)}")
    return data


def require_private(path: Path, *, what: str) -> None:
    """Raise UserError if users other than the owner may read or write the file `path`."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {with_article(what)} was expected") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be examined: {error.strerror}") from None
    if mode & _OTHERS:
        raise UserError(f"{path}: this {what} is open to others (mode {mode:04o}); make it private: chmod 600 {path}")


def write_private(path: Path, data: bytes) -> None:
    """Create `path` with `data` and mode 0600 from the start. Raises FileExistsError if it exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - an open descriptor, not a path
        # the umask may have cleared bits of the mode
        os.fchmod(descriptor, FILE_MODE)
        file.write(data)


def make_private_folder(path: Path) -> None:
    """Create the folder `path` with mode 0700. Raises FileExistsError if it exists."""
    path.mkdir(mode=FOLDER_MODE, parents=False, exist_ok=False)
    path.chmod(FOLDER_MODE)
