"""Makes a folder with all its content, or nothing."""

from __future__ import annotations

import shlex
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from broker.errors import BrokerError
from endpoints.errors import UserError, os_reason
from endpoints.keys.private_files import (
    PUBLIC_FOLDER_MODE,
    exists,
    forbid_others,
    make_folders,
    make_private_folder,
)
from protocol.phrases import phrase, worded

_STAGING = ".making"


@contextmanager
def as_user_errors(place: Path) -> Iterator[None]:
    """Turn errors of the file system and of the broker's files into UserError; `place` if they name no file."""
    try:
        yield
    except BrokerError as error:
        raise UserError(worded(error)) from None
    except OSError as error:
        raise UserError(phrase("{path}: {reason}", path=error.filename or place, reason=os_reason(error))) from None


@contextmanager
def new_folder(home: Path, mode: int) -> Iterator[Path]:
    """Yield a folder to build in; at the end its content moves to `home`, or after an error nothing is left.

    `home` may exist with empty folders in it, as mounted volumes of containers do. If it is new, it has `mode`.
    """
    if home.is_symlink() or (exists(home) and not home.is_dir()):
        raise UserError(phrase("{folder}: exists and is not a folder; name a new folder", folder=home))
    if exists(home / _STAGING):
        raise UserError(
            phrase(
                "{folder}: another command makes this folder, or was cut short; if none runs, repeat after: {command}",
                folder=home,
                command=shlex.join(["rm", "-r", str(home / _STAGING)]),
            )
        )
    with as_user_errors(home):
        for path in _files(home) if exists(home) else ():
            raise UserError(
                phrase(
                    "{folder}: not empty (it contains {path}); name a new folder",
                    folder=home,
                    path=path.relative_to(home),
                )
            )
        made = make_folders(home.parent, PUBLIC_FOLDER_MODE)
        made[:0] = make_folders(home, mode)
        if home not in made:
            # whatever the umask: no process accepts files that others can replace
            forbid_others(home, mode)
        staging = home / _STAGING
        make_private_folder(staging)
    moved: list[Path] = []
    try:
        yield staging
        with as_user_errors(home):
            _settle(staging, home, moved)
    except BaseException:
        for path in reversed(moved):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(staging, ignore_errors=True)
        for folder in made:
            folder.rmdir()
        raise


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files below `folder`, its own first. Raises OSError where rglob() would skip a folder."""
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path)):
        if not path.is_dir():
            yield path
        elif not path.is_symlink():
            yield from _files(path)


def _settle(source: Path, target: Path, moved: list[Path]) -> None:
    """Move the content of `source` into `target`; folders that exist on both sides are merged."""
    for path in sorted(source.iterdir()):
        final = target / path.name
        if path.is_dir() and final.is_dir():
            with suppress(PermissionError):
                # a mounted volume may belong to another user, and its owner decides
                forbid_others(final, stat.S_IMODE(path.stat().st_mode))
            _settle(path, final, moved)
        else:
            shutil.move(path, final)
            moved.append(final)
    source.rmdir()
