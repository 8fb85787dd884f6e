"""Reads and writes archived segments: the bytes of a segment that has ended, compressed as gzip does.

`gzip -dc` unpacks one as well. The header of the file says, in its extra field, by which version of the format it was
made. A reader unpacks an archive as a whole before it uses a byte of it, so that what was cut or changed since then is
found at once; memory, disk and time for that are bounded, whatever the file contains.
"""

from __future__ import annotations

import os
import stat
import struct
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final, cast

from endpoints.errors import EXIT_USAGE, UserError
from endpoints.journal.segments import archived_path, is_archived, original_path
from protocol.phrases import phrase
from protocol.record.findings import Kind

CONTENT_MAX_BYTES: Final = 1 << 29
"""A segment takes 8 MiB, or with a checkpoint of a full outbox half of this. A longer one is not archived."""
MEMORY_BYTES: Final = 1 << 25
"""What is longer is unpacked to a temporary file."""
CHUNK_BYTES: Final = 1 << 20
_LEVEL: Final = 9
_MAGIC: Final = b"\x1f\x8b\x08"
_FLAG_EXTRA: Final = 4
_FIXED_BYTES: Final = 10
_ID: Final = b"DL"
VERSION: Final = 1
# RFC 1952: flags, no time, level, no system; then the extra field of one subfield, whose content is the version
_HEADER: Final = (
    _MAGIC + bytes([_FLAG_EXTRA, 0, 0, 0, 0, 2, 255]) + struct.pack("<H2sHB", len(_ID) + 3, _ID, 1, VERSION)
)
_GZIP_BITS: Final = 31
_EXITS: Final[dict[Kind, int]] = {"missing": 3, "changed": 4}


class DamagedArchive(UserError):  # noqa: N818 - as DamagedJournal: named for what is wrong
    """An archived segment is cut or was changed.

    Attributes:
        kind: whether it was changed, or a part of it is missing.
    """

    def __init__(self, message: str, kind: Kind = "changed") -> None:
        super().__init__(message, exit_code=_EXITS[kind])
        self.kind: Kind = kind


def open_regular(path: Path) -> int:
    """Open a regular file for reading, without waiting for the writer of a FIFO. Raises OSError, UserError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(phrase("{path}: neither a folder nor a regular file", path=path))
    return descriptor


def open_segment(path: Path) -> BinaryIO:
    """Open a segment for reading: its file, or what an archive contains.

    If `path` is gone, its other form is opened: it has been archived meanwhile. Raises OSError, DamagedArchive, and
    UserError for an archive of a later version.
    """
    try:
        return _opened(path)
    except FileNotFoundError:
        other = original_path(path) if is_archived(path) else archived_path(path)
        if not other.exists():
            raise
        return _opened(other)


def _opened(path: Path) -> BinaryIO:
    file = open(open_regular(path), "rb")  # noqa: SIM115 - an open descriptor; the caller closes it
    if not is_archived(path):
        return file
    with file:
        return unpacked(file, str(path))


def segment_bytes(path: Path) -> int:
    """Return about how many bytes `open_segment` has to read: of an archive, what its end says. Raises OSError."""
    if not is_archived(path):
        return path.stat().st_size
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 4, 0))
        end = file.read(4)
    return min(int.from_bytes(end, "little"), CONTENT_MAX_BYTES)


# --- unpacking ----------------------------------------------------------------------------------------------------


def unpacked(file: BinaryIO, name: str, *, max_bytes: int = CONTENT_MAX_BYTES) -> BinaryIO:
    """Return what an archive contains, at its beginning; the caller closes it.

    Args:
        file: the archive, at its beginning.
        name: for error texts.
        max_bytes: how much it may contain.

    Raises DamagedArchive if it is cut or was changed, UserError if it is of a later version, OSError.
    """
    head = file.read(CHUNK_BYTES)
    _check_version(head, name)
    content = cast("BinaryIO", tempfile.SpooledTemporaryFile(MEMORY_BYTES))  # noqa: SIM115 - the caller closes it
    try:
        _unpack(head, file, content, name, max_bytes)
    except BaseException:
        content.close()
        raise
    content.seek(0)
    return content


def _unpack(data: bytes, file: BinaryIO, content: BinaryIO, name: str, max_bytes: int) -> None:
    unpacker, size = zlib.decompressobj(_GZIP_BITS), 0
    try:
        while not unpacker.eof:
            if not data:
                raise DamagedArchive(phrase("{name}: this archive is cut", name=name), "missing")
            part = unpacker.decompress(data, CHUNK_BYTES)
            data = unpacker.unconsumed_tail
            while part:
                size += len(part)
                if size > max_bytes or b"\0" in part:
                    raise DamagedArchive(
                        phrase("{name}: this archive contains what no journal does, or too much", name=name)
                    )
                content.write(part)
                # what is left within the unpacker
                part = b"" if data or unpacker.eof else unpacker.decompress(b"", CHUNK_BYTES)
            data = data or file.read(CHUNK_BYTES)
    except zlib.error:
        raise DamagedArchive(
            phrase("{name}: this archive was changed: what it contains does not give its checksum", name=name)
        ) from None
    if unpacker.unused_data or data:
        raise DamagedArchive(phrase("{name}: this archive was changed: something follows its end", name=name))


def _check_version(head: bytes, name: str) -> None:
    """Raise UserError if the header says that a later version has made the archive."""
    if not head.startswith(_MAGIC) or len(head) <= _FIXED_BYTES or not head[3] & _FLAG_EXTRA:
        # compressed by hand, or damaged: unpacking it raises DamagedArchive
        return
    extra = head[_FIXED_BYTES + 2 :][: int.from_bytes(head[_FIXED_BYTES : _FIXED_BYTES + 2], "little")]
    while len(extra) > len(_ID) + 2:
        length = int.from_bytes(extra[2:4], "little")
        if extra.startswith(_ID) and length and extra[4] > VERSION:
            raise UserError(
                phrase(
                    "{name}: an archive of format {version}, made by a later version of this software; this one reads "
                    "format {known}: read it with that version",
                    name=name,
                    version=extra[4],
                    known=VERSION,
                ),
                exit_code=EXIT_USAGE,
            )
        extra = extra[4 + length :]


# --- packing ------------------------------------------------------------------------------------------------------


def pack(parts: Iterable[bytes], target: BinaryIO) -> None:
    """Write the archive of a segment, given in parts: the same bytes each time. Raises OSError."""
    target.write(_HEADER)
    packer, checksum, size = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS), 0, 0
    for part in parts:
        target.write(packer.compress(part))
        checksum, size = zlib.crc32(part, checksum), size + len(part)
    target.write(packer.flush() + struct.pack("<II", checksum, size & 0xFFFFFFFF))
