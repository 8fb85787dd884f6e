"""Edits `endpoint.toml` and `watch.toml`: comments and order stay; the file is replaced whole, or not at all.

```python
with editing(path) as document:
    put(document, "officers", "watch-3", {"credential": hashed})
```
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable, Table

from broker.atomic_files import flush_folder
from endpoints.config import settings, toml_reader
from endpoints.errors import UserError, os_reason
from endpoints.keys.private_files import read_bytes, write_private
from protocol.phrases import phrase

_TURNS, _TURN_S = 100, 0.1
"""How often, and at which interval, an edit asks for the lock: an edit takes milliseconds."""
# struct flock: l_type, l_whence, l_start, l_len, l_pid
_WHOLE_FILE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


@contextmanager
def editing(path: Path) -> Iterator[TOMLDocument]:
    """Yield the document in the settings `path`; at the end what has become of it replaces the file.

    The result is written beside the file, with its mode and owner, and renamed. It is checked before: its form always,
    and, if the old file could be loaded, that the new one can be too. Two edits follow each other. If `path` is a
    symbolic link, the file that it leads to is replaced.

    Raises UserError: another edit does not end, the file or the result is invalid, or it can't be written. Then, and
    after any error of the caller's, the file is as it was.
    """
    # the reader's errors say more than the lock's
    toml_reader.read(path, what=toml_reader.PROCESS)
    with _locked(path) as real:
        before = read_bytes(real, what=toml_reader.PROCESS, max_bytes=toml_reader.FILE_MAX_BYTES)
        document = _parse(path, before)
        yield document
        after = tomlkit.dumps(document).encode()
        _check(path, document, before, after)
        _replace(path, real, before, after)


def put(document: TOMLDocument, table: str, name: str, values: Mapping[str, Any]) -> None:
    """Make `values` the table `name` in `table` of `document`, written as the file writes that table."""
    if table not in document:
        # without a header of its own: the file has those of its entries
        document[table] = tomlkit.table(is_super_table=True)
    parent = document[table]
    inline = isinstance(parent, InlineTable)
    entry: Table | InlineTable = tomlkit.inline_table() if inline else tomlkit.table()
    entry.update(values)
    if not inline and list(document)[-1] != table:
        # a blank line before the table that follows
        entry.add(tomlkit.nl())
    parent[name] = entry


def put_back(path: Path, before: bytes, after: bytes) -> None:
    """Undo an edit that a running process has refused, which made `after` of `before`. Raises UserError.

    A change that somebody else has made since is not overwritten.
    """
    with _locked(path) as real:
        if read_bytes(real, what=toml_reader.PROCESS, max_bytes=toml_reader.FILE_MAX_BYTES) != after:
            raise UserError(
                phrase("{path}: changed by somebody meanwhile, so that what was refused is still in it", path=path)
            )
        _replace(path, real, after, before)


@contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Hold the lock of the file that `path` leads to; yield its path. Raises UserError.

    The lock is on the file itself. An edit that waited may find another file there, and asks for that one's lock.
    """
    for _ in range(_TURNS):
        with _as_user_errors(path):
            real = Path(os.path.realpath(path, strict=True))
            # not Path.open: O_NONBLOCK, in case it is a FIFO by now
            descriptor = os.open(real, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            with _as_user_errors(path):
                held = _lock(descriptor, real)
            if held:
                yield real
                return
        finally:
            os.close(descriptor)
        time.sleep(_TURN_S)
    raise UserError(phrase("{path}: another process is changing this file; try again", path=path))


def _lock(descriptor: int, real: Path) -> bool:
    """Return whether the lock of the open file was free, and the file still is the one at `real`. Raises OSError."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE_FILE)
        return os.path.samestat(os.fstat(descriptor), real.stat())
    except (BlockingIOError, PermissionError, FileNotFoundError):
        return False


@contextmanager
def _as_user_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(phrase("{path}: cannot be written: {reason}", path=path, reason=os_reason(error))) from None


def _parse(path: Path, data: bytes) -> TOMLDocument:
    # first the reader that every process has: its errors name the line
    table = toml_reader.read(path, what=toml_reader.PROCESS, data=data)
    try:
        document = tomlkit.parse(data.decode().removeprefix("\ufeff"))
    except (TOMLKitError, RecursionError) as error:
        raise UserError(phrase("{path}: not TOML: {error}", path=path, error=error)) from None
    _same(path, document, table)
    return document


def _same(path: Path, document: TOMLDocument, table: dict[str, Any]) -> None:
    """Raise UserError unless the editor, with `document`, understands the file as the reader, with `table`."""
    if document.unwrap() != table:
        raise UserError(phrase("{path}: written in a way that no command can edit; edit it by hand", path=path))


def _check(path: Path, document: TOMLDocument, before: bytes, after: bytes) -> None:
    try:
        table = tomllib.loads(after.decode())
    except tomllib.TOMLDecodeError:
        table = {}
    _same(path, document, table)
    settings.read_form(path, after)
    try:
        settings.load(path, data=before)
    except UserError:
        # an unfinished installation: the link file or the certificate is missing
        return
    settings.load(path, data=after)


def _replace(path: Path, real: Path, before: bytes, after: bytes) -> None:
    fresh = real.with_name(f".{real.name}.new")
    with _as_user_errors(path):
        # by an editor, which asks for no lock
        if real.read_bytes() != before:
            raise UserError(phrase("{path}: changed by somebody meanwhile; try again", path=path))
        # left by an edit that was killed: this one has the lock
        fresh.unlink(missing_ok=True)
        try:
            write_private(fresh, after)
            found = real.stat()
            with fresh.open("rb") as file:
                if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), found.st_uid, found.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(found.st_mode))
                os.fsync(file.fileno())
            fresh.replace(real)
        except BaseException:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise
        flush_folder(real.parent)
