"""Names, lists and locks the files of a journal's folder.

Each segment is named by the number of its first record:

    journal/eucom-ndmc/0000000000000001.jsonl
                       0000000000013207.jsonl
                       lock

A segment that has ended may be archived: it is compressed, and its name ends with `.gz`. For a moment both of its files
are there; the original counts.

The lock is an open-file-description lock. It ends with the process that holds it. A reader can query it without taking
it, and so never prevents a service from starting. The lock file names the process that took the lock last.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import struct
from contextlib import suppress
from pathlib import Path

from endpoints.errors import UserError
from endpoints.keys.private_files import FILE_MODE
from endpoints.texts.printable import one_line
from protocol.phrases import phrase

LOCK = "lock"
ARCHIVED = ".gz"
"""The ending of an archived segment, behind that of the segment."""
_COMMAND_MAX = 120
_DIGITS_MAX = 10
_SEGMENT = re.compile(r"(\d{16})\.jsonl(?:\.gz)?", re.ASCII)
# struct flock: l_type, l_whence, l_start, l_len, l_pid
_FLOCK = "hhqqi4x"


def segment_path(folder: Path, first: int) -> Path:
    """Return the path of the segment that begins with record `first`."""
    return folder / f"{first:016d}.jsonl"


def segment_first(path: Path) -> int | None:
    """Return the number of the first record, from the name of `path`; None if it is not the name of a segment."""
    match = _SEGMENT.fullmatch(path.name)
    return int(match[1]) if match else None


def is_archived(path: Path) -> bool:
    """Return whether `path` is the name of an archived segment."""
    return path.suffix == ARCHIVED


def archived_path(path: Path) -> Path:
    """Return the path of a segment's archived form."""
    return path if is_archived(path) else path.with_name(path.name + ARCHIVED)


def original_path(path: Path) -> Path:
    """Return the path of a segment's original form."""
    return path.with_suffix("") if is_archived(path) else path


def segments(folder: Path) -> list[Path]:
    """Return the segments in `folder`, oldest first, each once: not the archived one beside its original.

    Raises OSError.
    """
    found: dict[int, Path] = {}
    for path in folder.iterdir():
        first = segment_first(path)
        if first is not None and not (first in found and is_archived(path)):
            found[first] = path
    return [found[first] for first in sorted(found)]


def lock(folder: Path) -> int:
    """Lock the journal in `folder` and return the descriptor that holds the lock.

    Raises UserError if another process holds it, OSError if the lock file can't be made.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        holder = _holder(descriptor)
        os.close(descriptor)
        raise UserError(
            phrase(
                "{folder}: another service writes this journal ({holder}); stop it first", folder=folder, holder=holder
            )
        ) from None
    except OSError:
        os.close(descriptor)
        raise
    with suppress(OSError):
        # for people; a full disk must not prevent a start
        # of one width, so that nothing of an older number remains
        os.write(descriptor, b"%*d\n" % (_DIGITS_MAX - 1, os.getpid()))
    return descriptor


def lock_against_archiving(folder: Path) -> int:
    """Lock a folder against the archiving of what is in it; a service may have it open. Return what holds the lock.

    Raises UserError if it is being archived, OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UserError(
            phrase("{folder}: another process archives this journal now; wait for its end", folder=folder)
        ) from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _holder(descriptor: int) -> str:
    """Return which process holds a lock, as far as this machine knows: its number and its command."""
    with suppress(OSError, ValueError):
        process = int(os.pread(descriptor, _DIGITS_MAX, 0))
        with suppress(OSError):
            words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
            command = one_line(shlex.join(word for word in words if word))[:_COMMAND_MAX]
            return phrase("process {process}: {command}", process=process, command=command)
    return phrase("in a container or on another machine")


def locked(folder: Path) -> bool:
    """Return whether a service has the journal in `folder` open now."""
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
