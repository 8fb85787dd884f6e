"""Reads the files of an archive (tar, compressed or not) one after the other, without unpacking it to disk."""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from endpoints.errors import UserError
from endpoints.journal.archived_segment import unpacked
from endpoints.journal.segments import is_archived, segment_first
from protocol.phrases import phrase

_BROKEN = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)


def is_archive(path: Path) -> bool:
    """Return whether the file `path` is a tar archive, compressed or not. Raises OSError."""
    return path.is_file() and tarfile.is_tarfile(path)


@contextmanager
def archived(path: Path) -> Iterator[BinaryIO]:
    """Yield the content of all regular files in the archive `path`. Reading raises UserError if it is damaged."""
    with tarfile.open(path) as archive, cast("BinaryIO", io.BufferedReader(_Files(archive, path))) as stream:
        yield stream


class _Files(io.RawIOBase):
    """The files of an archive in their order, each followed by a line break."""

    def __init__(self, archive: tarfile.TarFile, path: Path) -> None:
        super().__init__()
        self._archive = archive
        self._path = path
        self._member: io.BufferedIOBase | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read into `buffer` and return how many bytes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        try:
            while True:
                if self._member is None and not self._next():
                    return 0
                assert self._member is not None
                if count := self._member.readinto(view):
                    return count
                self._leave()
                # a segment ends with zeros, and no file's last line may run into the next file
                view[:1] = b"\n"
                return 1
        except _BROKEN as error:
            raise UserError(
                phrase("{file}: can't be unpacked: {error}; give what can be as a folder", file=self._path, error=error)
            ) from None

    def close(self) -> None:
        """Close the file that is being read."""
        self._leave()
        super().close()

    def _leave(self) -> None:
        if self._member is not None:
            self._member.close()
            self._member = None

    def _content(self, member: tarfile.TarInfo) -> io.BufferedIOBase:
        file, path = self._archive.extractfile(member), Path(member.name)
        if segment_first(path) is not None and is_archived(path):
            return cast("io.BufferedIOBase", unpacked(cast("BinaryIO", file), f"{self._path}: {member.name}"))
        return cast("io.BufferedIOBase", file)

    def _next(self) -> bool:
        """Open the next regular file; return False at the end of the archive."""
        while (member := self._archive.next()) is not None:
            if member.isreg():
                self._member = self._content(member)
                return True
        return False
