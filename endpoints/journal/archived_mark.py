"""Reads and writes the mark of a journal whose oldest segments lie in an archive elsewhere: a file beside the others.

`deconflict log archive` leaves it before it removes them. It proves nothing, and only says why the journal does not
begin with record 1: the archive has the records, and the first one that is left names the last of them by its hash.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from broker.atomic_files import replace
from endpoints.errors import UserError
from endpoints.keys.private_files import FILE_MODE, exists, read_bytes
from protocol.phrases import phrase
from protocol.wire.messages import Digest, Seq, Utc

MARK: Final = "archived.json"
_MARK_MAX_BYTES: Final = 16_384
WHERE_MAX: Final = 1_000
"""Characters of the archive's name that are kept."""


class Moved(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records of a journal are in an archive elsewhere.

    Attributes:
        moved_at: when.
        where: the archive's folder, as it was then.
        records: the number of the last record that may be missing here.
        head: its hash.
    """

    moved_at: Utc
    where: Annotated[str, Meta(min_length=1, max_length=WHERE_MAX)]
    records: Seq
    head: Digest


class ArchivedMark:
    """The mark in a journal's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / MARK

    def read(self) -> Moved | None:
        """Return what the mark says, None without one. Raises UserError if it can't be read."""
        if not exists(self._path):
            return None
        data = read_bytes(self._path, what=phrase("mark of an archived journal"), max_bytes=_MARK_MAX_BYTES)
        try:
            return msgspec.json.decode(data, type=Moved)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise UserError(
                phrase(
                    "{path}: not the mark that deconflict log archive leaves; put it aside, and archive again",
                    path=self._path,
                )
            ) from None

    def write(self, moved: Moved) -> None:
        """Write the mark anew, durably. Raises OSError."""
        replace(self._path, msgspec.json.encode(moved) + b"\n", FILE_MODE)
