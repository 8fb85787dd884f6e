"""Replaces files as a whole and durably, private ones and public ones, and locks the folder in which that is done."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
_UNFINISHED = re.compile(r"\..+\.\d+\.new", re.ASCII)


def replace(path: Path, data: bytes, mode: int) -> None:
    """Write the file `path` anew, with `mode` from the start, and replace an older one in one step.

    If root does it, the file belongs to the owner of the older one, else of the folder, whose process reads it.

    Raises OSError, and then the older file is as it was.
    """
    replace_all({path: data}, mode)


def replace_all(contents: Mapping[Path, bytes], mode: int) -> None:
    """Write all these files beside their places, then replace each, in their order; as `replace` otherwise."""
    # a name of its own: no other process writes it
    fresh = {path: path.with_name(f".{path.name}.{os.getpid()}.new") for path in contents}
    try:
        for path, data in contents.items():
            _write(fresh[path], data, mode, like=path if path.exists() else path.parent)
        for path in contents:
            fresh[path].replace(path)
    except OSError as error:
        # the file that the user knows
        known = {os.fspath(each): path for path, each in fresh.items()}
        if error.filename in known:
            error.filename, error.filename2 = os.fspath(known[error.filename]), None
        raise
    finally:
        for each in fresh.values():
            with suppress(OSError):
                each.unlink(missing_ok=True)
    for folder in {path.parent for path in contents}:
        flush_folder(folder)


def _write(fresh: Path, data: bytes, mode: int, *, like: Path) -> None:
    """Write `data` to disk as the new file `fresh`, which gets the owner of `like` from root. Raises OSError."""
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        # whatever the umask: a file that others may write is not accepted
        os.fchmod(descriptor, mode)
        if os.geteuid() == 0:
            owner = like.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock on `folder`, so that two commands do not change its files at the same time. Raises OSError.

    What `replace` has left there of a command that was killed is removed: it may be a private key.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for path in folder.iterdir():
            if _UNFINISHED.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Put the names in `folder` on disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
