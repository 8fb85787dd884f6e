"""Reads, writes and removes the mark of a restored journal: a file beside its segments.

`deconflict log restore` leaves it. The service of a link starts on such a journal only in a newer epoch, records what
was restored, and then removes the mark (SPEC E2.3).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from broker.atomic_files import flush_folder
from endpoints.errors import UserError
from endpoints.journal.segments import segments
from endpoints.keys.private_files import exists, read_bytes, write_private
from protocol.core.start_events import JournalRestored
from protocol.phrases import phrase
from protocol.wire.instants import Millis
from protocol.wire.messages import Digest, Seq, Utc
from protocol.wire.policy import Terms

MARK: Final = "restored.json"
SOURCE_MAX: Final = 200
"""Characters of the source's name that are kept."""
_MARK_MAX_BYTES: Final = 16_384
_RESTORING: Final = ".restoring"


class Restored(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From what a journal was restored, and what was in it.

    Attributes:
        restored_at: when.
        source: the copy, as it was named; at most `SOURCE_MAX` characters.
        records: how many records it had, from record 1 on.
        head: the hash of the last one.
        epoch: the latest epoch that was known then, of the copy, the link file or a journal that was moved aside; a
            newer one has to follow.
    """

    restored_at: Utc
    source: Annotated[str, Meta(min_length=1, max_length=SOURCE_MAX)]
    records: Seq
    head: Digest
    epoch: Seq


class RestoredMark:
    """The mark in the folder of a journal, which need not be there; without a folder there is none."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = None if folder is None else folder / MARK

    def read(self) -> Restored | None:
        """Return what the mark says, None if there is none. Raises UserError if it can't be read."""
        try:
            if self._path is None or not exists(self._path):
                return None
        except UserError:
            # the folder can't be searched: opening the journal reports it
            return None
        data = read_bytes(self._path, what=phrase("mark of a restored journal"), max_bytes=_MARK_MAX_BYTES)
        try:
            return msgspec.json.decode(data, type=Restored)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise UserError(
                phrase(
                    "{path}: not the mark that deconflict log restore leaves; restore the journal again",
                    path=self._path,
                )
            ) from None

    def event(self, known: Terms | None, at: Millis, mono: Millis) -> JournalRestored | None:
        """Return what to record at the start (SPEC E2.3), None without a mark, or if the journal has it already.

        Args:
            known: the terms of the journal's last epoch; a newer one than the mark's began together with the record.
            at: now.
            mono: now, by the clock that never steps.

        Raises UserError as `read` does.
        """
        restored = self.read()
        if restored is None or known is None or known.epoch > restored.epoch:
            return None
        return JournalRestored(
            at=at, mono=mono, restored_at=restored.restored_at, records=restored.records, head=restored.head
        )

    def write(self, restored: Restored) -> None:
        """Write the mark, which must not exist, and make it durable. Raises OSError."""
        assert self._path is not None
        write_private(self._path, msgspec.json.encode(restored) + b"\n")
        flush_folder(self._path.parent)

    def settle(self) -> None:
        """Remove the mark, once: the start after it is on disk.

        If that fails, it stays without effect: the journal is in a newer epoch than the mark.
        """
        path, self._path = self._path, None
        if path is not None:
            # FileNotFoundError: there is no mark
            with suppress(OSError):
                path.unlink()
                flush_folder(path.parent)


def staging(journal: Path) -> Path:
    """Return the folder beside `journal` in which a copy is made before it takes the journal's place."""
    return journal.with_name(f"{journal.name}{_RESTORING}")


def interrupted(journal: Path) -> bool:
    """Return whether a restore of `journal` was interrupted before the copy was in its place."""
    try:
        return exists(staging(journal)) and not (exists(journal) and segments(journal))
    except (OSError, UserError):
        # opening the journal reports it
        return False
