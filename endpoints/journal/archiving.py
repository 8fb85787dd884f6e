"""Archives a journal, also while a service writes it: compresses its segments, and removes those archived elsewhere.

An archive is written beside its place, flushed, read back, compared with the original, and then renamed. Only then may
the original be removed. So a crash at any instant leaves the original or a verified archive of it, or both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, Final, Literal

from msgspec import Struct

from broker.atomic_files import flush_folder
from endpoints.errors import UserError, os_reason
from endpoints.journal.archived_mark import WHERE_MAX, ArchivedMark, Moved
from endpoints.journal.archived_segment import (
    CHUNK_BYTES,
    CONTENT_MAX_BYTES,
    DamagedArchive,
    open_segment,
    pack,
    unpacked,
)
from endpoints.journal.batch_reader import LINE_MAX_BYTES, require_known
from endpoints.journal.segments import archived_path, is_archived, lock_against_archiving, segment_first, segments
from endpoints.journal.writer import DamagedJournal
from endpoints.keys.private_files import FILE_MODE, FOLDER_MODE, exists, give_to_owners, make_folders
from endpoints.texts.printable import one_line
from protocol.errors import JournalError
from protocol.phrases import phrase
from protocol.record.journal import Chain, Record
from protocol.wire.instants import Millis, written

_UNVERIFIED: Final = ".unverified"

Step = Literal["checked", "packed", "verified", "named", "removed"]
"""What was done with a segment: it was read, packed beside its place, compared, renamed; the original was removed."""
Noted = Callable[[Step, Path, int], None]
"""Called after each step with the segment, and how many bytes the step has read."""


class Archived(Struct, kw_only=True):
    """What was done.

    Attributes:
        link, side: whose journal.
        records, head: up to which record the archive goes, and its hash.
        archived: the archives that were made.
        unchanged: how many were there already; each was compared again.
        removed: the originals that were removed.
        bytes: how many bytes the segments of the new archives have.
        archive_bytes: how many bytes the new archives have.
    """

    link: str = ""
    side: str = ""
    records: int = 0
    head: str = ""
    archived: list[Path] = []
    unchanged: int = 0
    removed: list[Path] = []
    bytes: int = 0
    archive_bytes: int = 0


class _Content(Struct, frozen=True, kw_only=True):
    """The whole batches in a segment: how many bytes, and what its first and last record say."""

    length: int
    link: str
    side: str
    first: int
    prev: str
    last: int
    head: str
    at: Millis


def archive(
    journal: Path,
    now: Millis,
    *,
    to: Path | None = None,
    remove_older_ms: Millis | None = None,
    noted: Noted = lambda _step, _path, _bytes: None,
) -> Archived:
    """Archive a journal: replace each segment that has ended, or copy all of it to another folder.

    Args:
        journal: the journal's folder.
        now: the time (ms since 1970).
        to: where the archive is, if the journal stays as it is: then the last segment is copied too, as far as it goes.
        remove_older_ms: remove from the journal the segments that had ended for this long at its last record; only
            with `to`.
        noted: called after each step; may raise, as Ctrl-C does.

    Raises DamagedJournal if a segment is damaged or does not follow, DamagedArchive, UserError.
    """
    try:
        with ExitStack() as held:
            paths = _begun(journal, to, held)
            return _Archiving(journal, to, noted).run(paths, now, remove_older_ms)
    except OSError as error:
        place = error.filename or to or journal
        raise UserError(phrase("{path}: {reason}", path=place, reason=os_reason(error))) from None


def _begun(journal: Path, to: Path | None, held: ExitStack) -> list[Path]:
    """Lock the folders against another archiving, and return the segments. Raises UserError, OSError."""
    if not journal.is_dir() or not segments(journal):
        raise UserError(
            phrase(
                "{path}: no journal: a folder with files like 0000000000000001.jsonl was expected; name the journal's "
                "folder",
                path=journal,
            )
        )
    held.callback(os.close, lock_against_archiving(journal))
    if to is not None:
        if exists(to) and to.samefile(journal):
            raise UserError(phrase("{path}: this is the journal itself; name another folder for the archive", path=to))
        made = make_folders(to, FOLDER_MODE)
        give_to_owners(made)
        for each in made:
            flush_folder(each.parent)
        held.callback(os.close, lock_against_archiving(to))
    for folder in {journal, to or journal}:
        for left in folder.iterdir():
            if left.name.endswith(_UNVERIFIED):
                left.unlink()
    return segments(journal)


class _Archiving:
    """One archiving of one journal."""

    def __init__(self, journal: Path, to: Path | None, noted: Noted) -> None:
        self._journal = journal
        self._to = to
        self._noted = noted
        self._done = Archived()

    def run(self, paths: list[Path], now: Millis, remove_older_ms: Millis | None) -> Archived:
        """Archive these segments in their order, then remove the originals that may go."""
        before: _Content | None = None
        ended: list[tuple[Path, _Content]] = []
        for path, final in zip(paths, [*[False] * (len(paths) - 1), True], strict=True):
            if self._to is None and (final or is_archived(path)):
                before = None
                continue
            content = self._checked(path, before, final=final)
            if content is None:
                continue
            self._archive(path, content)
            before = content
            self._done.records, self._done.head = content.last, content.head
            if self._to is None:
                self._remove(path)
            elif not final:
                ended.append((path, content))
        if remove_older_ms is not None and before is not None:
            self._remove_older(ended, before.at - remove_older_ms, now)
        return self._done

    # --- a segment ------------------------------------------------------------------------------------------------

    def _checked(self, path: Path, before: _Content | None, *, final: bool) -> _Content | None:
        """Return what of a segment is archived; None if there is no whole batch in it yet.

        Raises DamagedJournal if a batch in it is damaged, or if it does not follow from the segment before.
        """
        with open_segment(path) as file:
            content, whole = _content(path, file)
        if content is None and final:
            return None
        if content is None or not (whole or final):
            raise DamagedJournal(phrase("{path}: does not end with a whole batch; it was not archived", path=path))
        if content.length > CONTENT_MAX_BYTES:
            raise UserError(phrase("{path}: too long for an archive; copy it as it is", path=path))
        if before is not None and (content.first, content.prev) != (before.last + 1, before.head):
            raise DamagedJournal(
                phrase("{path}: does not follow from record {n}; it was not archived", path=path, n=before.last)
            )
        self._done.link, self._done.side = content.link, content.side
        self._noted("checked", path, content.length)
        return content

    def _archive(self, path: Path, content: _Content) -> None:
        """Make the archive of a segment, unless it is there already."""
        target = archived_path((self._to or self._journal) / path.name)
        if exists(target) and self._is_there(path, content, target):
            self._done.unchanged += 1
            return
        fresh = target.with_name(target.name + _UNVERIFIED)
        try:
            self._pack(path, content, fresh)
            with fresh.open("rb") as file:
                self._compare(path, content, fresh, file)
            self._noted("verified", path, content.length)
            fresh.rename(target)
            flush_folder(target.parent)
        except BaseException:
            with suppress(OSError):
                fresh.unlink()
            raise
        self._noted("named", path, 0)
        self._done.archived.append(target)
        self._done.bytes += content.length
        self._done.archive_bytes += target.stat().st_size

    def _pack(self, path: Path, content: _Content, fresh: Path) -> None:
        """Write an archive beside its place, and flush it."""
        like = path.stat()
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(descriptor, "wb") as target:
            os.fchmod(descriptor, FILE_MODE)
            if os.geteuid() == 0:
                owner = like if self._to is None else self._to.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            with open_segment(path) as source:
                pack(_parts(source, content.length), target)
            target.flush()
            os.fsync(descriptor)
        self._noted("packed", path, content.length)

    def _is_there(self, path: Path, content: _Content, target: Path) -> bool:
        """Return whether an archive has all of a segment; False if it was made when the segment was shorter.

        Raises UserError if it has anything else: it is damaged, or of another journal.
        """
        with target.open("rb") as file:
            length = self._compare(path, content, target, file, shorter=True)
            # somebody else may have put it here, or this command was killed before its folder was flushed
            os.fsync(file.fileno())
        flush_folder(target.parent)
        self._noted("verified", path, length)
        return length == content.length

    def _compare(self, path: Path, content: _Content, target: Path, file: BinaryIO, *, shorter: bool = False) -> int:
        """Compare an archive with its segment; return its length. Raises DamagedArchive unless they are the same."""
        length = 0
        with open_segment(path) as original, unpacked(file, str(target)) as archived:
            while part := archived.read(CHUNK_BYTES):
                length += len(part)
                if length > content.length or part != original.read(len(part)):
                    raise _another(target, path)
        if length != content.length and not shorter:
            raise _another(target, path)
        return length

    # --- removing -------------------------------------------------------------------------------------------------

    def _remove(self, path: Path) -> None:
        """Remove a segment that is archived, and put that on disk."""
        path.unlink()
        if self._to is not None:
            # an archiving in place may have been interrupted
            archived_path(path).unlink(missing_ok=True)
        flush_folder(path.parent)
        self._done.removed.append(path)
        self._noted("removed", path, 0)

    def _remove_older(self, ended: list[tuple[Path, _Content]], before: Millis, now: Millis) -> None:
        """Remove the oldest segments, up to the first one that had not ended before this instant."""
        old: list[tuple[Path, _Content]] = []
        for path, content in ended:
            if content.at >= before:
                break
            old.append((path, content))
        if not old:
            return
        assert self._to is not None, "they are archived elsewhere"
        self._require_earlier(self._to, old[0][1])
        last = old[-1][1]
        where = one_line(str(self._to.absolute()))[:WHERE_MAX]
        mark = Moved(moved_at=written(now), where=where, records=last.last, head=last.head)
        # before any of them goes: a reader has to know why they are missing
        ArchivedMark(self._journal).write(mark)
        for path, _ in old:
            self._remove(path)

    def _require_earlier(self, to: Path, begin: _Content) -> None:
        """Raise UserError unless a copy has the record before `begin`: what was removed earlier lies elsewhere else."""
        if begin.first == 1:
            return
        earlier = [each for each in segments(to) if (segment_first(each) or 0) < begin.first]
        found = None
        if earlier:
            with open_segment(earlier[-1]) as file:
                found, _ = _content(earlier[-1], file)
        if found is None or (found.last, found.head) != (begin.first - 1, begin.prev):
            raise UserError(
                phrase(
                    "{to}: lacks the records before {n}, which were removed from the journal; name the archive that "
                    "has them, or copy it there first; nothing was removed",
                    to=to,
                    n=begin.first,
                )
            )


def _another(target: Path, path: Path) -> DamagedArchive:
    return DamagedArchive(
        phrase(
            "{target}: not an archive of {path}: it was changed, or belongs to another journal; put it aside",
            target=target,
            path=path,
        )
    )


def _content(path: Path, file: BinaryIO) -> tuple[_Content | None, bool]:
    """Return the whole batches of a segment, and whether nothing follows them. Raises DamagedJournal, OSError."""
    chain, length, end = Chain(), 0, 0
    first: Record | None = None
    last: Record | None = None
    line = b""
    while line := file.readline(LINE_MAX_BYTES):
        if b"\0" in line or not line.endswith(b"\n"):
            break
        try:
            record = chain.take(line[:-1])
        except JournalError as error:
            require_known(path, line, chain)
            raise DamagedJournal(phrase("{path}: {error}; it was not archived", path=path, error=error)) from error
        first = first or record
        length += len(line)
        if record.ends_batch:
            end, last = length, record
    # behind the last batch stand zeros, or nothing
    whole = end == length and not line.rstrip(b"\0") and not any(part.rstrip(b"\0") for part in _parts(file, None))
    if first is None or last is None:
        return None, whole
    content = _Content(
        length=end,
        link=first.link,
        side=first.side,
        first=first.n,
        prev=first.prev,
        last=last.n,
        head=last.hash,
        at=last.entry.at,
    )
    return content, whole


def _parts(file: BinaryIO, length: int | None) -> Iterator[bytes]:
    """Yield a file from where it is, in parts: `length` bytes, or all of it."""
    while part := file.read(CHUNK_BYTES if length is None else min(CHUNK_BYTES, length)):
        length = None if length is None else length - len(part)
        yield part
