"""Keeps the link files that people agreed to and that others have replaced: audits need the keys of every one.

They lie in `former/` beside the link file, numbered in their order: `former/eucom-ndmc.0001.toml`.
"""

from __future__ import annotations

import re
from pathlib import Path

from endpoints.config import link_file, toml_reader
from endpoints.errors import UserError, os_reason
from endpoints.keys.private_files import PUBLIC_FOLDER_MODE, give_to_owners, make_folders, read_bytes
from protocol.phrases import phrase

FOLDER = "former"
FILES_MAX = 1_000
"""More changes of keys and epochs than a link sees in decades; a folder with more is not read."""


def keep(path: Path, link: str) -> Path:
    """Copy the link file `path` of `link` behind the former ones; return the copy. Raises UserError."""
    data = read_bytes(path, what=toml_reader.LINK_FILE, max_bytes=toml_reader.FILE_MAX_BYTES)
    number = max(_numbered(path, link), default=0) + 1
    copy = path.parent / FOLDER / f"{link}.{number:04d}.toml"
    try:
        give_to_owners(make_folders(copy.parent, PUBLIC_FOLDER_MODE))
    except OSError as error:
        raise UserError(
            phrase("{path}: cannot be written: {reason}", path=copy.parent, reason=os_reason(error))
        ) from None
    link_file.restore(data, copy)
    return copy


def former(path: Path, link: str) -> list[Path]:
    """Return the files that the link file `path` of `link` has replaced, oldest first. Raises UserError."""
    numbered = _numbered(path, link)
    return [numbered[number] for number in sorted(numbered)]


def _numbered(path: Path, link: str) -> dict[int, Path]:
    name, folder = re.compile(rf"{re.escape(link)}\.(\d{{4}})\.toml", re.ASCII), path.parent / FOLDER
    try:
        files = {int(match[1]): each for each in folder.iterdir() if (match := name.fullmatch(each.name))}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UserError(phrase("{path}: cannot be read: {reason}", path=folder, reason=os_reason(error))) from None
    if len(files) > FILES_MAX:
        raise UserError(
            phrase("{path}: more than {limit} former link files; move the oldest away", path=folder, limit=FILES_MAX)
        )
    return files
