"""Writes a file or folder of output: beside its place, and then in one step, so that nothing half done is left."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from broker.atomic_files import flush_folder
from endpoints.errors import EXIT_USAGE, UserError, os_reason
from protocol.phrases import phrase

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_EXIT_FAILED: Final = 1


@contextmanager
def new_file(path: Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Provide a file to write, which gets its name at the end; after an error nothing is left of it.

    Raises UserError if there is a file already that is not to be overwritten, and if it can't be written.
    """
    _require_free(path, overwrite=overwrite, folder=False)
    fresh = _fresh(path)
    try:
        with fresh.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            fresh.replace(path)
        else:
            # unlike a rename, it never replaces what was made there meanwhile
            os.link(fresh, path)
        flush_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        with suppress(OSError):
            fresh.unlink()


@contextmanager
def writing(file: BinaryIO, encoding: str) -> Iterator[TextIO]:
    """Provide a text file that writes to `file`, which stays open. Line breaks are written as they are."""
    text = io.TextIOWrapper(file, encoding=encoding, newline="")
    try:
        yield text
        text.flush()
    finally:
        # its own buffer is lost after an error
        with suppress(OSError):
            text.detach()


@contextmanager
def new_folder(path: Path, mark: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Provide a folder to write files to, which gets its name at the end; after an error nothing is left of it.

    Args:
        path: the folder.
        mark: the name of a file that each such folder has: only a folder with it is overwritten.
        overwrite: replace a folder that is there.

    Raises UserError as `new_file` does.
    """
    _require_free(path, overwrite=overwrite, folder=True)
    if overwrite and path.exists() and not (path / mark).is_file():
        raise UserError(
            phrase("{path}: not a folder that this command has made ({mark} is missing in it)", path=path, mark=mark)
        )
    fresh, old = _fresh(path), path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        fresh.mkdir()
        yield fresh
        for each in fresh.iterdir():
            _flush(each)
        flush_folder(fresh)
        try:
            if overwrite and path.exists():
                path.rename(old)
            fresh.rename(path)
        except BaseException:
            if old.exists() and not path.exists():
                old.rename(path)
            raise
        flush_folder(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fresh(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.new")


def _require_free(path: Path, *, overwrite: bool, folder: bool) -> None:
    """Raise UserError if something is in the place that may not be replaced."""
    if not os.path.lexists(path):
        return
    if not overwrite:
        # it could be a journal
        raise _exists(path)
    if path.is_symlink() or path.is_dir() != folder or not (path.is_dir() or path.is_file()):
        raise UserError(phrase("{file}: is something else, and is not overwritten; give another name", file=path))


def _exists(path: Path) -> UserError:
    return UserError(phrase("{file}: exists already; give the name of a new file", file=path))


def _unwritable(path: Path, error: OSError) -> UserError:
    if isinstance(error, FileExistsError):
        return _exists(path)
    code = _EXIT_FAILED if error.errno in _FULL else EXIT_USAGE
    return UserError(phrase("{file}: can't be written: {reason}", file=path, reason=os_reason(error)), exit_code=code)
