"""`deconflict log archive`: compresses a journal, or keeps an archive of it elsewhere, beside a running service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.output import print_json, print_lines
from endpoints.errors import UserError
from protocol.phrases import phrase, worded

if TYPE_CHECKING:
    from endpoints.journal.archiving import Archived, Noted, Step
    from endpoints.texts.i18n import Translator

_NICE = 10
"""The line goes first."""
_READINGS = 3
"""How often a segment is read: to check it, to pack it, and to compare its archive."""
_KB, _MB = 1_000, 1_000_000
_KB_MAX = 10_000_000
_S = 1_000

JournalFolder = Annotated[Path, Parameter(help="The journal's folder.", negative="")]


def log_archive(
    journal: JournalFolder,
    /,
    *,
    to: Annotated[
        Path | None,
        Parameter(
            help="Keep the archive in this folder, such as one on another disk, and leave the journal as it is. "
            "Repeat the command to bring it up to date.",
            negative="",
        ),
    ] = None,
    remove_older_than: Annotated[
        str | None,
        Parameter(
            help="With --to: remove from the journal what had ended for so long, such as 400d, before its last record. "
            "What is not verified in the archive stays.",
        ),
    ] = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Archive a journal; exit with 3 if an archive is cut, 4 if the journal or an archive was changed."""
    from endpoints.clocks.clock import SystemClock
    from endpoints.journal.archiving import archive
    from endpoints.texts.i18n import translator

    if remove_older_than is not None and to is None:
        raise UserError(phrase("--remove-older-than: give --to as well, the folder that keeps what is removed here"))
    t = translator(lang)
    older_ms = None if remove_older_than is None else _age_ms(remove_older_than)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    with _shown(journal, t) as noted:
        done = archive(journal, SystemClock().now()[0], to=to, remove_older_ms=older_ms, noted=noted)
    if as_json:
        print_json(_document(journal, to, done))
    else:
        print_lines(_lines(journal, to, done, t))


def _age_ms(text: str) -> int:
    from endpoints.config.durations import parse_s

    try:
        return parse_s(text) * _S
    except ValueError as error:
        raise UserError(phrase("--remove-older-than: {error}", error=worded(error))) from None


@contextmanager
def _shown(journal: Path, t: Translator) -> Iterator[Noted]:
    """Show how far the archiving of a journal has come."""
    from endpoints.cli.progress import progress
    from endpoints.journal.archived_segment import segment_bytes
    from endpoints.journal.segments import segments

    total = 0
    # what is wrong with them is reported by reading them
    with suppress(OSError):
        total = _READINGS * sum(map(segment_bytes, segments(journal)))
    with progress(t("archiving"), total) as advance:

        def noted(step: Step, path: Path, read_bytes: int) -> None:
            del step, path
            advance(read_bytes)

        yield noted


def _document(journal: Path, to: Path | None, done: Archived) -> dict[str, Any]:
    return {
        "journal": journal,
        "link": done.link or None,
        "side": done.side or None,
        "to": to,
        "records": done.records,
        "head": done.head or None,
        "archived": [path.name for path in done.archived],
        "unchanged": done.unchanged,
        "removed": [path.name for path in done.removed],
        "bytes": done.bytes,
        "archive_bytes": done.archive_bytes,
    }


def _lines(journal: Path, to: Path | None, done: Archived, t: Translator) -> list[str]:
    """Return what was done."""
    new = len(done.archived)
    if not new:
        lines = [t("{journal}: nothing to archive", journal=journal)]
    else:
        lines = [
            t.plural(
                "{journal}: {count} segment archived, {before} became {after}",
                "{journal}: {count} segments archived, {before} became {after}",
                new,
                journal=journal,
                before=_size(done.bytes, t),
                after=_size(done.archive_bytes, t),
            )
        ]
    if done.unchanged:
        lines.append(
            "  "
            + t.plural(
                "{count} archive was there already, and was compared with the journal again",
                "{count} archives were there already, and were compared with the journal again",
                done.unchanged,
            )
        )
    if to is not None and done.records:
        lines.append(t("  {to}: has the journal up to record {records}", to=to, records=done.records))
        lines.append(f"  {t('head')}: {done.head}")
    if to is not None and done.removed:
        lines.append(
            "  "
            + t.plural(
                "{count} segment removed from {journal}, which the archive has",
                "{count} segments removed from {journal}, which the archive has",
                len(done.removed),
                journal=journal,
            )
        )
    return lines


def _size(size: int, t: Translator) -> str:
    """Return a size without a decimal point, which not every language writes as a point."""
    if size < _KB_MAX:
        return t("{size} kB", size=-(-size // _KB))
    return t("{size} MB", size=-(-size // _MB))
