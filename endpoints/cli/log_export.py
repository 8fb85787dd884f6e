"""`deconflict log export`: writes what a journal contains as JSON lines, as CSV, or as CAP 1.2."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.log import EXITS, Journal, SideOption
from endpoints.cli.output import print_json, print_lines
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.exporting import Interval
    from endpoints.texts.i18n import Translator
    from protocol.record.journal import Record
    from protocol.record.ledger import Ledger

MANIFEST: Final = "export.json"
_STANDARD_OUTPUT: Final = Path("-")


def log_export(
    journal: Journal,
    /,
    *,
    jsonl: Annotated[
        Path | None,
        Parameter(
            allow_leading_hyphen=True,
            help="Write the records, byte for byte, as JSON lines to this file (- for standard output).",
            negative="",
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        Parameter(
            allow_leading_hyphen=True,
            help="Write what happened as CSV to this file, for a spreadsheet (- for standard output).",
            negative="",
        ),
    ] = None,
    cap: Annotated[
        Path | None,
        Parameter(
            allow_leading_hyphen=True,
            help="Write each message as a CAP 1.2 alert to this new folder.",
            negative="",
        ),
    ] = None,
    from_: Annotated[
        str | None,
        Parameter(
            name="--from",
            allow_leading_hyphen=True,
            help="The beginning, such as 2022-11-29T08:00 (UTC); by default that of the journal.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        Parameter(name="--to", allow_leading_hyphen=True, help="The end; by default that of the journal."),
    ] = None,
    overwrite: Annotated[bool, Parameter(help="Replace a file or a folder of an earlier export.", negative="")] = False,
    link: options.LinkId = None,
    side: SideOption = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Export a journal; return 0 if it is intact, 3 if it is incomplete, 4 if it was changed."""
    from endpoints.cli.timeline import interval_of
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.exporting import Interval
    from endpoints.texts.i18n import translator

    given = [each for each in (jsonl, csv, cap) if each is not None]
    if len(given) != 1:
        raise UserError(phrase("give one of --jsonl FILE, --csv FILE and --cap FOLDER"))
    if cap == _STANDARD_OUTPUT:
        raise UserError(phrase("--cap: a folder is needed, one file for each message"))
    t = translator(lang)
    since, until = interval_of(from_, to)
    interval = Interval(since=since, until=until)
    reader = JournalReader(journal, link=link, side=side)
    if jsonl is not None:
        done = _as_lines(reader, interval, jsonl, t, overwrite=overwrite)
    elif csv is not None:
        done = _as_table(reader, interval, csv, t, overwrite=overwrite)
    else:
        assert cap is not None, "one of them is given"
        done = _as_cap(reader, interval, cap, t, overwrite=overwrite)
    if given[0] != _STANDARD_OUTPUT:
        done = {"journal": reader.name, "file": given[0], "verdict": reader.verification.verdict, **done}
        if as_json:
            print_json(done)
        else:
            print_lines(_lines(reader, given[0], done, t))
    return EXITS[reader.verification.verdict]


@contextmanager
def _target(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    from endpoints.cli.new_files import new_file

    if path == _STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with new_file(path, overwrite=overwrite) as file:
        yield file


@contextmanager
def _counted(reader: JournalReader, path: Path, t: Translator) -> Iterator[Callable[[Record], None]]:
    """Show how far the reading of a journal has come, by the numbers of its records."""
    from endpoints.cli.progress import progress
    from endpoints.journal.segments import segment_first

    if path == _STANDARD_OUTPUT and sys.stdout.isatty():
        # it would stand in the midst of the data
        yield lambda _record: None
        return
    files = reader.files
    total = (segment_first(files[-1]) or 0) if files else 0
    with progress(t("exporting"), total) as advance:
        yield lambda _record: advance(1)


def _damaged(reader: JournalReader) -> list[str]:
    """Return that problems were found, for programs."""
    count = len(reader.verification.problems) + reader.verification.unlisted
    return [f"what {count} problems of this journal concern: log verify lists them"] if count else []


def _as_lines(
    reader: JournalReader, interval: Interval, path: Path, t: Translator, *, overwrite: bool
) -> dict[str, Any]:
    from endpoints.texts.exporting import RecordLines, heading
    from protocol.record.journal import encode
    from protocol.record.terms_history import TermsHistory

    lines, history, begun, counted = RecordLines(interval), TermsHistory(), False, 0
    with _target(path, overwrite=overwrite) as file, _counted(reader, path, t) as noted:
        for record in reader.records():
            if not begun:
                history.take(record)
                status = None if history.terms is None else history.terms.policy.status
                file.write(lines.begin(heading(record.link, record.side, status, interval)))
                begun = True
            whole = (record.n, record.link, record.side, record.batch, record.entry, record.effects, record.prev)
            line = lines.take(encode(*whole)[0] + b"\n")
            counted += bool(line)
            file.write(line)
            noted(record)
        file.write(lines.end(*_damaged(reader), verdict=reader.verification.verdict))
    return {"records": counted}


def _as_table(
    reader: JournalReader, interval: Interval, path: Path, t: Translator, *, overwrite: bool
) -> dict[str, Any]:
    from endpoints.cli.new_files import writing
    from endpoints.cli.timeline import account_of, read_journal
    from endpoints.texts.exporting import Head, about
    from endpoints.texts.timeline_rows import write_csv

    with _target(path, overwrite=overwrite) as file:
        with _counted(reader, path, t) as noted:
            read = read_journal(reader, noted=noted)
        found = account_of([read], interval.since, interval.until)
        ledger = read.evidence.ledger
        head = Head(reader.verification.n, reader.verification.head)
        said = about(ledger.link, ledger.statuses.get(ledger.epoch, "test"), interval, head, t)
        # a spreadsheet recognises UTF-8 by the mark at its beginning
        with writing(file, "utf-8-sig") as table:
            write_csv(found, table, (ledger.side, said + _problems(reader, t)))
    return {"rows": len(found.rows)}


def _as_cap(reader: JournalReader, interval: Interval, path: Path, t: Translator, *, overwrite: bool) -> dict[str, Any]:
    from msgspec.json import encode

    from endpoints.cli.new_files import new_folder
    from endpoints.texts.cap import cap
    from endpoints.texts.exporting import OTHERS, Head, about, heading
    from endpoints.texts.i18n import LANGUAGES, translator
    from endpoints.texts.wording import decoded

    words = {language: translator(language) for language in LANGUAGES}
    with new_folder(path, MANIFEST, overwrite=overwrite) as folder:
        ledger = _ledger(reader, path, t)
        status = ledger.statuses.get(ledger.epoch)
        head = Head(reader.verification.n, reader.verification.head)
        statement = about(ledger.link, status or "test", interval, head, t) + _problems(reader, t)
        files: list[dict[str, Any]] = []
        outside = unknown = 0
        for entry in ledger.entries.values():
            body = decoded(entry.body)
            if not interval.contains(entry.queued_at or entry.received_at or entry.at):
                outside += 1
            elif body is None:
                unknown += 1
            else:
                reference = entry.reference
                name = f"{len(files) + 1:06d}-{reference.sender}-{reference.epoch}-{reference.seq}.xml"
                content = cap(entry, body, ledger, statement, words)
                (folder / name).write_bytes(content)
                files.append({"file": name, "reference": str(reference), "sha256": hashlib.sha256(content).hexdigest()})
        left = [f"{outside} messages outside the interval"] if outside else []
        left += [f"{unknown} messages of a type that this version does not know"] if unknown else []
        left += ["alerts that were never sent, alarms, and what is known of the line"]
        manifest = {
            "export": heading(ledger.link, ledger.side, status, interval),
            "export_end": {
                "messages": len(files),
                "last": head.record,
                "head": head.hash,
                "verdict": reader.verification.verdict,
                "left_out": [*left, *_damaged(reader), OTHERS],
            },
            "files": files,
        }
        (folder / MANIFEST).write_bytes(encode(manifest) + b"\n")
    return {"messages": len(files), "left_out": outside + unknown}


def _ledger(reader: JournalReader, path: Path, t: Translator) -> Ledger:
    """Return the ledger of all records that can be used. Raises IncompleteLog, UserError."""
    from endpoints.journal.reader import IncompleteLog
    from protocol.errors import JournalError
    from protocol.record.ledger import Ledger

    ledger, used = Ledger(), False
    with _counted(reader, path, t) as noted:
        for record in reader.records():
            if reader.from_checkpoint is None and not reader.founded:
                continue
            used = True
            try:
                ledger.take(record)
            except JournalError as error:
                reader.verification.note(record.n, error.reason)
            noted(record)
    if not used:
        raise IncompleteLog(phrase("{name}: has neither record 1 nor a checkpoint to begin with", name=reader.name))
    return ledger


def _problems(reader: JournalReader, t: Translator) -> str:
    """Return what is wrong with the journal, to be added to what the export is; nothing if it is intact."""
    from endpoints.cli.log import verdict_words

    count = len(reader.verification.problems) + reader.verification.unlisted
    if not count:
        return ""
    what = t.plural("{count} problem found", "{count} problems found", count)
    return f"; {verdict_words(reader, t)}: {what}"


def _lines(reader: JournalReader, path: Path, done: dict[str, Any], t: Translator) -> list[str]:
    """Return what was written."""
    if "records" in done:
        what = t.plural("{count} record", "{count} records", done["records"])
    elif "rows" in done:
        what = t.plural("{count} row", "{count} rows", done["rows"])
    else:
        what = t.plural("{count} message", "{count} messages", done["messages"])
    lines = [t("{file}: {what} of {journal}", file=path, what=what, journal=t.say(reader.name))]
    if problems := _problems(reader, t):
        command = "deconflict log verify"
        lines.append(f"  {problems[2:]}; {t('see: {command}', command=command)}")
    return lines
