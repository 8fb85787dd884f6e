"""What `provision` and the modules for stacks with several brokers do: commands, files' owners, lines of the log."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

EXIT_USAGE = 2


def give(folder: Path, user: int) -> None:
    """Give a folder and all that lies in it to `user`, and the folders of volumes to nobody else."""
    for path in (folder, *_below(folder)):
        # a process that runs already may remove a file meanwhile
        with suppress(FileNotFoundError):
            found = path.lstat()
            if (found.st_uid, found.st_gid) != (user, user):
                os.chown(path, user, user, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode) and found.st_mode & 0o077:
                path.chmod(0o700)


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)


def deconflict(*arguments: str) -> str:
    """Run a command of the link and return what it prints; if it fails, end with its last line."""
    done = subprocess.run(  # noqa: S603 - our own command
        [shutil.which("deconflict") or "deconflict", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"deconflict {arguments[0]} ended with {done.returncode}"]
        end(lines[-1])
    return done.stdout


def say(line: str) -> None:
    """Print a line of the service's log."""
    print(f"provision: {line}", file=sys.stderr, flush=True)  # noqa: T201 - its log


def end(line: str) -> NoReturn:
    """Say what is wrong and what would be right; no other service starts."""
    say(line)
    sys.exit(EXIT_USAGE)
