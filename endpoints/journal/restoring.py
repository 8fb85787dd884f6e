"""Restores a journal from a copy: verifies all of it, writes it beside its place, and then moves it there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from broker.atomic_files import flush_folder
from endpoints.errors import UserError, os_reason
from endpoints.journal.archive import archived, is_archive
from endpoints.journal.reader import STANDARD_INPUT, IncompleteLog, JournalReader
from endpoints.journal.restored import SOURCE_MAX, Restored, RestoredMark, staging
from endpoints.journal.segments import LOCK, lock, lock_against_archiving, segment_path, segments
from endpoints.journal.writer import DamagedJournal
from endpoints.keys.private_files import FOLDER_MODE, exists, make_folders, write_private
from endpoints.texts.printable import one_line
from protocol.core.start_events import EpochOpened
from protocol.errors import JournalError, at_record
from protocol.phrases import phrase
from protocol.record.audit import Audit
from protocol.record.journal import ORIGIN, Checkpoint, Record, encode
from protocol.wire.instants import Millis, written

_SOURCE_LEFT_OUT = "..."


class Wanted(Struct, frozen=True, kw_only=True):
    """What a copy must be.

    Attributes:
        link, side: whose journal; None for any.
        epoch: the latest epoch of the link that the caller knows.
    """

    link: str | None = None
    side: str | None = None
    epoch: int = 1


class Restoration(Struct, frozen=True):
    """What was restored.

    Attributes:
        link, side: whose journal.
        mark: the mark that was left in it.
        aside: where the journal is that was there before; None if there was none.
        cut: the copy ended within a batch, which was left out.
    """

    link: str
    side: str
    mark: Restored
    aside: Path | None
    cut: bool


def restore(source: str, journal: Path, now: Millis, wanted: Wanted, *, replace: bool = False) -> Restoration:
    """Put a verified copy of a journal into the folder `journal`, marked as restored; change nothing after an error.

    Args:
        source: the copy: a folder or file of segments, an archive of them (tar), or a collected log.
        journal: the folder of the journal.
        now: the time (ms since 1970).
        wanted: what the copy must be.
        replace: move a journal that is there aside, instead of refusing.

    Raises DamagedJournal or IncompleteLog as `log verify` judges the copy, UserError.
    """
    place = journal.absolute()
    with ExitStack() as held, _as_user_errors(journal):
        if exists(place):
            _require_other(source, place)
            # no service may open it meanwhile
            held.callback(os.close, lock(place))
            held.callback(os.close, lock_against_archiving(place))
            if segments(place):
                if not replace:
                    raise UserError(
                        phrase(
                            "{journal}: a journal is there already; --replace moves it aside, and keeps it",
                            journal=journal,
                        )
                    )
                wanted = Wanted(link=wanted.link, side=wanted.side, epoch=max(wanted.epoch, _latest_epoch(place)))
        owner = next(each for each in (place, *place.parents) if exists(each)).stat()
        made = make_folders(place.parent, FOLDER_MODE)
        fresh = staging(place)
        try:
            made[:0] = make_folders(fresh, FOLDER_MODE)
            # against another restore that runs now
            held.callback(os.close, lock(fresh))
            copied = _copy(source, fresh, now, wanted)
            _give_to(owner, [*made, *fresh.iterdir()])
            flush_folder(fresh)
            aside = _move(fresh, place, now)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()
            raise
    link, side, mark, cut = copied
    return Restoration(link, side, mark, aside, cut)


@contextmanager
def _as_user_errors(journal: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or journal
        raise UserError(phrase("{path}: {reason}", path=place, reason=os_reason(error))) from None


def _require_other(source: str, place: Path) -> None:
    """Raise UserError if `place` is no folder, or the source itself."""
    if not place.is_dir():
        raise UserError(phrase("{path}: not a folder; name the journal's folder", path=place))
    if source != STANDARD_INPUT and exists(Path(source)) and Path(source).samefile(place):
        raise UserError(phrase("{source}: this is the journal itself; name a copy of it", source=source))


# --- reading ------------------------------------------------------------------------------------------------------


def _copy(source: str, fresh: Path, now: Millis, wanted: Wanted) -> tuple[str, str, Restored, bool]:
    """Write the verified records of `source` and the mark into `fresh`.

    Returns link, side and mark, and whether an unfinished batch was left out. Raises as `restore` does.
    """
    for left in fresh.iterdir():
        # of a restore that was interrupted
        if left.name != LOCK:
            left.unlink()
    audit, copy, last = Audit(), _Copy(fresh), 0
    with closing(copy), _opened(source) as stream:
        where, name = (STANDARD_INPUT, source) if stream else (source, None)
        reader = JournalReader(where, link=wanted.link, side=wanted.side, stdin=stream, name=name)
        for record in _records(reader, wanted):
            if wrong := audit.take(record):
                reason = phrase("{name}: {error}", name=reader.name, error=at_record(record.n, wrong))
                raise DamagedJournal(reason)
            copy.take(record)
            last = record.n
    if reader.verification.begins > 1:
        raise IncompleteLog(
            phrase(
                "{name}: begins at record {begins}; a journal is restored from record 1 on",
                name=reader.name,
                begins=reader.verification.begins,
            )
        )
    link, side = reader.verification.whose
    assert link is not None
    assert side is not None
    mark = Restored(
        restored_at=written(now),
        source=_shortened(source),
        records=last,
        head=copy.head,
        epoch=max(wanted.epoch, copy.epoch),
    )
    RestoredMark(fresh).write(mark)
    return link, side, mark, bool(reader.verification.problems)


@contextmanager
def _opened(source: str) -> Iterator[BinaryIO | None]:
    """Yield the content of an archive, None for any other source. Raises UserError, OSError."""
    if source == STANDARD_INPUT or not (exists(Path(source)) and is_archive(Path(source))):
        yield None
        return
    with archived(Path(source)) as stream:
        yield stream


def _records(reader: JournalReader, wanted: Wanted) -> Iterator[Record]:
    """Yield the records of a whole journal of the wanted link and side. Raises as `restore` does."""
    for record in _whole(reader, wanted):
        if wanted.link not in {None, record.link} or wanted.side not in {None, record.side}:
            raise UserError(
                phrase(
                    "{name}: the journal of {side} on {link}; wanted is that of {wanted_side} on {wanted_link}",
                    name=reader.name,
                    side=record.side,
                    link=record.link,
                    wanted_side=wanted.side,
                    wanted_link=wanted.link,
                )
            )
        yield record


def _whole(reader: JournalReader, wanted: Wanted) -> Iterator[Record]:
    """Yield the records of a journal that must be intact; a collected log must hold some of the wanted journal."""
    try:
        yield from reader.whole_records()
    except UserError:
        found = reader.verification
        if not (wanted.link and found.resembling) or found.records or found.problems:
            raise
        raise UserError(
            phrase(
                "{name}: holds no record of the journal of {side} on {link}",
                name=reader.name,
                side=wanted.side or "-",
                link=wanted.link,
            )
        ) from None


def _latest_epoch(journal: Path) -> int:
    """Return the latest epoch of a journal that is to be moved aside, 1 if it can't be read."""
    epoch = 1
    with suppress(UserError):
        for record in JournalReader(str(journal)).records():
            epoch = max(epoch, _epoch_of(record))
    return epoch


def _epoch_of(record: Record) -> int:
    return record.entry.terms.epoch if isinstance(record.entry, EpochOpened) else 1


def _shortened(source: str) -> str:
    """Return a name for the mark, without what could pass for another line, and its end if it is long."""
    name = one_line(source)
    return name if len(name) <= SOURCE_MAX else _SOURCE_LEFT_OUT + name[len(_SOURCE_LEFT_OUT) - SOURCE_MAX :]


# --- writing ------------------------------------------------------------------------------------------------------


class _Copy:
    """Writes the segments of a copy: the same bytes as in the journal."""

    def __init__(self, folder: Path) -> None:
        self.head = ORIGIN
        self.epoch = 1
        self._folder = folder
        self._segment: BinaryIO | None = None

    def take(self, record: Record) -> None:
        """Write a record, a checkpoint into a segment of its own. Raises OSError, JournalError."""
        if self._segment is None or isinstance(record.entry, Checkpoint):
            self.close()
            path = segment_path(self._folder, record.n)
            write_private(path, b"")
            self._segment = path.open("ab")
        line, self.head = encode(
            record.n, record.link, record.side, record.batch, record.entry, record.effects, record.prev
        )
        if self.head != record.hash:
            raise JournalError(record.n, phrase("it can't be written again as it was"))
        self.epoch = max(self.epoch, _epoch_of(record))
        self._segment.write(line + b"\n")

    def close(self) -> None:
        """Make the last segment durable. Raises OSError."""
        segment, self._segment = self._segment, None
        if segment is not None:
            with segment:
                segment.flush()
                os.fsync(segment.fileno())


def _give_to(owner: os.stat_result, paths: Sequence[Path]) -> None:
    """Give what root has made to the user of the installation."""
    if os.geteuid() == 0 and owner.st_uid != 0:
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid)


def _move(fresh: Path, place: Path, now: Millis) -> Path | None:
    """Move the copy into its place; return where the journal is that was there, None if there was none.

    After a crash in between, `interrupted` is true and no service starts.
    """
    aside = None
    if exists(place):
        if segments(place):
            aside = _free_name(place, now)
            place.rename(aside)
        else:
            for left in place.iterdir():
                if left.name == LOCK:
                    left.unlink()
            # raises OSError if other files are in it
            place.rmdir()
    try:
        fresh.rename(place)
    except OSError:
        if aside is not None:
            aside.rename(place)
        raise
    flush_folder(place.parent)
    return aside


def _free_name(place: Path, now: Millis) -> Path:
    """Return the name of a new folder beside `place`."""
    stamp = written(now)[:19].replace("-", "").replace(":", "")
    name = f"{place.name}.replaced-{stamp}Z"
    number, path = 1, place.with_name(name)
    while exists(path):
        number += 1
        path = place.with_name(f"{name}-{number}")
    return path
