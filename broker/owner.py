"""Chooses the user that Mosquitto runs as where root starts it, and gives that user the broker's files."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from typing import NamedTuple

from broker.bridges import FOLDER
from broker.errors import BrokerError
from protocol.phrases import phrase

USERS = ("mosquitto", "nobody")
"""The first that exists gets a folder of root's. Debian's package makes `mosquitto`."""
_FOLDERS = (".", "tls", "data", FOLDER)


class Owner(NamedTuple):
    """The user and the group of a process."""

    user: int
    group: int


def hand_over(folder: Path) -> Owner | None:
    """Return the user that must run Mosquitto on the files in `folder`; None if this process is not root's.

    That is the folder's owner. A folder of root's, and files of root's in it, in `tls`, `data` and the folders of the
    bridges, are given to the first of USERS. No symbolic link is followed, and no file that has another name elsewhere
    is given away.

    Raises BrokerError if the files cannot be given away, or none of USERS exists.
    """
    if os.geteuid() != 0:
        return None
    place = folder.resolve()
    try:
        found = place.stat()
        owner = Owner(found.st_uid, found.st_gid) if found.st_uid else _default()
        bridges = sorted((place / FOLDER).iterdir()) if (place / FOLDER).is_dir() else []
        for each in (*(place / name for name in _FOLDERS), *bridges):
            _give(each, owner)
    except OSError as error:
        raise BrokerError(
            phrase(
                "{path}: cannot be given to the broker's user: {reason}",
                path=error.filename or place,
                reason=error.strerror,
            )
        ) from None
    return owner


def _default() -> Owner:
    for name in USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Owner(entry.pw_uid, entry.pw_gid)
    raise BrokerError(
        phrase(
            "Mosquitto must not run as root, and this machine has none of the users {users}; add one",
            users=", ".join(USERS),
        )
    )


def _give(folder: Path, owner: Owner) -> None:
    """Give `folder` and the files directly in it to `owner`, as far as they are root's."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        for name in os.listdir(descriptor):  # noqa: PTH208 - an open descriptor, not a path
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode) and not found.st_uid:
                _give_file(name, descriptor, owner)
        if not os.fstat(descriptor).st_uid:
            os.fchown(descriptor, *owner)
    finally:
        os.close(descriptor)


def _give_file(name: str, folder: int, owner: Owner) -> None:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and not found.st_uid and found.st_nlink == 1:
            os.fchown(descriptor, *owner)
    finally:
        os.close(descriptor)
