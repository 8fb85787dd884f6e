"""Reads and writes files that only their owner may read (0600; folders 0700); finds files that others can change."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shlex
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from broker.atomic_files import PRIVATE_MODE
from endpoints.errors import UserError, os_reason
from protocol.phrases import phrase

FILE_MODE = PRIVATE_MODE
FOLDER_MODE = 0o700
PUBLIC_FOLDER_MODE = 0o755
"""Of a folder whose content others may read, such as that of the link file."""
OF_THE_INSTALLATION = phrase(
    "it belongs to this installation: copy it, with its permissions, from the machine where it ran before"
)
"""The remedy for a private file that a copy of an installation lacks."""
LINK_FILE_MISSING = phrase(
    "the link file belongs to this installation: copy it from the machine where it ran before, or from the other side, "
    "and compare its fingerprint by voice"
)
"""The remedy for a link file that a copy of an installation lacks."""
_OTHERS = 0o077
_OTHERS_WRITE = 0o022
_LINKS_MAX = 40
"""How many symbolic links Linux follows on the way to a file."""
_OVERFLOW_ID = 65_534
"""The owner of what a user namespace has no number for: outer folders of some containers."""


def with_article(what: str) -> str:
    """Return "a link file" or "an exercise clock" for the name of a kind of file."""
    return phrase("an {what}", what=what) if what[0] in "aeiou" else phrase("a {what}", what=what)


def exists(path: Path) -> bool:
    """Return whether `path` is there. Raises UserError if the system can't say.

    `Path.exists` raises OSError then, and returns False from Python 3.14 on.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        raise UserError(phrase("{path}: {reason}", path=path, reason=reason)) from None
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
                raise UserError(
                    phrase(
                        "{path}: not a regular file; {expected} was expected", path=path, expected=with_article(what)
                    )
                )
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise UserError(
            phrase("{path}: no such file; {expected} was expected", path=path, expected=with_article(what))
        ) from None
    except IsADirectoryError:
        raise UserError(
            phrase("{path}: a folder; {expected} was expected", path=path, expected=with_article(what))
        ) from None
    except PermissionError:
        raise UserError(_unreadable(path, with_article(what))) from None
    except (OSError, ValueError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        raise UserError(phrase("{path}: cannot be read: {reason}", path=repr(str(path)[:200]), reason=reason)) from None
    if len(data) > max_bytes:
        raise UserError(
            phrase(
                "{path}: larger than {limit} bytes, so not {expected}",
                path=path,
                limit=max_bytes,
                expected=with_article(what),
            )
        )
    return data


def _unreadable(path: Path, expected: str) -> str:
    """Return that this user may not read `path`, and whose it is if that is why."""
    owner = os.geteuid()
    for each in (path, *path.parents):
        with suppress(OSError):
            # of a folder that nobody else may search, only the folder's owner can be found
            owner = each.stat().st_uid
            break
    if owner == os.geteuid():
        return phrase("{path}: this user may not read it; {expected} was expected", path=path, expected=expected)
    return phrase(
        "{path}: this user may not read it, which belongs to {owner}; {expected} was expected",
        path=path,
        owner=_user(owner),
        expected=expected,
    )


def require_private(path: Path, *, what: str) -> None:
    """Raise UserError if users other than the owner may read or write the file `path`."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        raise UserError(
            phrase("{path}: no such file; {expected} was expected", path=path, expected=with_article(what))
        ) from None
    except OSError as error:
        raise UserError(phrase("{path}: cannot be examined: {reason}", path=path, reason=os_reason(error))) from None
    if mode & _OTHERS:
        raise UserError(
            phrase(
                "{path}: this {what} is open to others (mode {mode}); make it private: {command}",
                path=path,
                what=what,
                mode=f"{mode:04o}",
                command=chmod("600", path),
            )
        )


def changeable(files: Iterable[tuple[Path, str]], owners: Collection[int]) -> Iterator[str]:
    """Yield one line for each file that others can change, and for each folder on the way that lets them replace it.

    The group's right to write counts as others'. Only in folders further up, a group whose single member is the
    folder's owner does not: that is what an umask of 002 leaves. A sticky folder protects what others own in it. Every
    symbolic link on the way is followed as the system does, and each of them is judged.

    Args:
        files: each file and its kind (`link file`), for the text.
        owners: the users who may own them, beside root.
    """
    trusted = {0, *owners}
    folders: dict[Path, bool] = {}
    for path, what in files:
        try:
            found = path.stat()
            way = [(entry, direct, entry.lstat()) for entry, direct in _way(path)]
        except OSError:
            # reading it raises the error
            continue
        shown = Path(os.path.normpath(path))
        if found.st_uid not in trusted:
            yield phrase(
                "{path}: this {what} belongs to another user ({user}), who can change it; chown it",
                path=shown,
                what=what,
                user=_user(found.st_uid),
            )
        if (mode := stat.S_IMODE(found.st_mode)) & _OTHERS_WRITE:
            yield phrase(
                "{path}: others may change this {what} (mode {mode}); forbid it: {command}",
                path=shown,
                what=what,
                mode=f"{mode:04o}",
                command=chmod("go-w", shown),
            )
        for entry, direct, link in way:
            folders[entry.parent] = folders.get(entry.parent, False) or direct
            # a sticky folder lets the owner of a link replace it
            if stat.S_ISLNK(link.st_mode) and link.st_uid not in {*trusted, _OVERFLOW_ID}:
                yield phrase(
                    "{path}: this symbolic link belongs to another user ({user}), who can replace it",
                    path=entry,
                    user=_user(link.st_uid),
                )
    for folder, direct in folders.items():
        yield from _open_folder(folder, trusted, direct=direct)


def _way(path: Path) -> Iterator[tuple[Path, bool]]:
    """Yield each entry that the system looks up on the way to the file `path`, and whether it stands for the file.

    The entry of a symbolic link comes before those of its target. The caller has found that the file exists; if the
    links change meanwhile, only the first are followed. Raises OSError.
    """
    at, left, links = Path("/"), [*reversed(path.absolute().parts[1:])], 0
    while left and links <= _LINKS_MAX:
        name = left.pop()
        if name == "..":
            at = at.parent
            continue
        entry = at / name
        yield entry, not left
        if entry.is_symlink():
            target, links = entry.readlink(), links + 1
            at = Path("/") if target.is_absolute() else at
            left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        else:
            at = entry


def _open_folder(folder: Path, trusted: Collection[int], *, direct: bool) -> Iterator[str]:
    """Yield a line if others can replace what is in `folder`; `direct` if it holds one of the files itself."""
    try:
        found = folder.stat()
    except OSError:
        return
    mode, owner = stat.S_IMODE(found.st_mode), found.st_uid
    if owner not in trusted and (direct or owner != _OVERFLOW_ID):
        yield phrase(
            "{folder}: this folder belongs to another user ({user}), who can replace what is in it; chown it",
            folder=folder,
            user=_user(owner),
        )
    shared = mode & _OTHERS_WRITE
    if shared == stat.S_IWGRP and not direct and _alone(found.st_gid, owner):
        return
    if shared and not mode & stat.S_ISVTX:
        yield phrase(
            "{folder}: others can replace what is in this folder (mode {mode}); forbid it: {command}",
            folder=folder,
            mode=f"{mode:04o}",
            command=chmod("go-w", folder),
        )


def _alone(group: int, user: int) -> bool:
    """Return whether `user` is the only member of `group`."""
    try:
        members = set(grp.getgrgid(group).gr_mem)
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        return False
    return members | {each.pw_name for each in pwd.getpwall() if each.pw_gid == group} <= {name}


def _user(user: int) -> str:
    """Return the name of `user`, or the number of one without a name."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def chmod(mode: str, path: Path) -> str:
    """Return the shell command that changes the mode of `path`."""
    return shlex.join(["chmod", mode, str(path)])


def write_private(path: Path, data: bytes) -> None:
    """Create `path` with `data` and mode 0600 from the start. Raises FileExistsError if it exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - an open descriptor, not a path
        # the umask may have cleared bits of the mode
        os.fchmod(descriptor, FILE_MODE)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def forbid_others(path: Path, mode: int) -> None:
    """Take from others the rights to `path` that `mode` does not give them, as an umask such as 002 has left them.

    Raises OSError.
    """
    found = stat.S_IMODE(path.stat().st_mode)
    if found & ~mode & _OTHERS:
        path.chmod(found & (mode | ~_OTHERS))


def make_private_folder(path: Path) -> None:
    """Create the folder `path` with mode 0700. Raises FileExistsError if it exists."""
    path.mkdir(mode=FOLDER_MODE, parents=False, exist_ok=False)
    # the umask may have cleared bits of the mode
    path.chmod(FOLDER_MODE)


def give_to_owners(folders: Iterable[Path]) -> None:
    """If root has made these folders, the innermost first, give each to the owner of the one above it. Raises OSError.

    The process of that user has to read what lies in them.
    """
    if os.geteuid() != 0:
        return
    for folder in reversed(list(folders)):
        above = folder.parent.stat()
        os.chown(folder, above.st_uid, above.st_gid)


def make_folders(path: Path, mode: int) -> list[Path]:
    """Create the folder `path` and the missing ones above it, each with `mode`, whatever the umask.

    Returns those that were made, the innermost first. Raises OSError, also if `path` is a file.
    """
    made: list[Path] = []
    for each in (path, *path.parents):
        # not exists(), which returns False after any error from Python 3.14 on
        try:
            each.stat()
            break
        except (FileNotFoundError, NotADirectoryError):
            made.append(each)
    for each in reversed(made):
        each.mkdir(mode=mode, exist_ok=True)
        each.chmod(mode)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    return made
