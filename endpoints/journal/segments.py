"""Where a journal lies: a folder of segments, each named by the number of its first record, and a lock.

    journal/eucom-ndmc/0000000000000001.jsonl
                       0000000000013207.jsonl
                       lock

The lock is an open-file-description lock: it ends with the process that holds it, however that ends, and can be asked
about without being taken, so that a reader never keeps a service from starting.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
from pathlib import Path

from endpoints.errors import UserError
from endpoints.keys.private_files import FILE_MODE

LOCK = "lock"
_SEGMENT = re.compile(r"(\d{16})\.jsonl", re.ASCII)
# struct flock: l_type, l_whence, l_start, l_len, l_pid
_FLOCK = "hhqqi4x"


def segment_path(folder: Path, first: int) -> Path:
    """Return the segment whose first record has the number `first`."""
    return folder / f"{first:016d}.jsonl"


def segment_first(path: Path) -> int | None:
    """Return the number of the first record that the name of `path` says, None if it is no segment's name."""
    match = _SEGMENT.fullmatch(path.name)
    return int(match[1]) if match else None


def segments(folder: Path) -> list[Path]:
    """Return the segments in `folder`, oldest first. Raises OSError."""
    return sorted(path for path in folder.iterdir() if segment_first(path) is not None)


def lock(folder: Path) -> int:
    """Take the journal for this process and return the descriptor that holds it.

    Raises UserError if another service has it, OSError if the lock can't be made.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        os.close(descriptor)
        raise UserError(f"{folder}: another service writes this journal; stop it first") from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def locked(folder: Path) -> bool:
    """Tell whether a service holds the journal in `folder` at this moment."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)
