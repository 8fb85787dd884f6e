"""`deconflict timeline`: merges the journals of one link into one chronological account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from msgspec import Struct

from endpoints.cli import options
from endpoints.cli.log import EXITS, Journal, LinkFiles, Sides, sides_of, trusted_files, vouched_words
from endpoints.cli.output import print_json, print_lines, terminal_width
from endpoints.cli.reconcile import EXIT_DISAGREE
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import Translator
    from protocol.record.audit import Audit
    from protocol.record.evidence import Evidence
    from protocol.record.journal import Record
    from protocol.record.timeline import Account
    from protocol.record.trusted_files import TrustedFile
    from protocol.wire.instants import Millis

_JOURNALS_MAX = 3
_PROBLEMS_SHOWN = 20

_ONLY_SHOWN = 8


class ReadJournal(Struct, frozen=True):
    """One journal as far as it can be read; `reader.verification` has what is wrong with it."""

    reader: JournalReader
    evidence: Evidence
    audit: Audit


def timeline(
    *journals: Journal,
    from_: Annotated[
        str | None,
        Parameter(
            name="--from",
            allow_leading_hyphen=True,
            help="The beginning, such as 2022-11-29T08:00 (UTC); by default that of the first journal.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        Parameter(name="--to", allow_leading_hyphen=True, help="The end; by default that of the last journal."),
    ] = None,
    html: Annotated[
        Path | None, Parameter(help="Write one HTML page to this file, for a browser or a printer.")
    ] = None,
    csv: Annotated[Path | None, Parameter(help="Write the rows to this file as CSV, for a spreadsheet.")] = None,
    link_file: LinkFiles = (),
    link: options.LinkId = None,
    side: Sides = (),
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Print one account of the journals of a link; return 0, 3 or 4 if one is unusable, 6 if they disagree."""
    from endpoints.journal.reader import STANDARD_INPUT, JournalReader
    from endpoints.texts.i18n import translator
    from protocol.record.timeline import place

    if not 1 <= len(journals) <= _JOURNALS_MAX:
        raise UserError(phrase("give the journals of one link: both sides', and the watch's if there is one"))
    if journals.count(STANDARD_INPUT) > 1:
        raise UserError(phrase("two journals are -; only one of them can be read from standard input"))
    if sum(bool(each) for each in (html, csv, as_json)) > 1:
        raise UserError(phrase("--html, --csv and --json are three forms of one account; give one of them"))
    since, until = interval_of(from_, to)
    t = translator(lang)
    trusted = trusted_files(link_file)
    sides = sides_of(journals, side)
    readers = [JournalReader(name, link=link, side=each) for name, each in zip(journals, sides, strict=True)]
    read = [read_journal(reader, trusted) for reader in readers]
    read.sort(key=lambda each: place(each.evidence))
    found = account_of(read, since, until)
    verdict = max((EXITS[each.reader.verification.verdict] for each in read), default=0)
    if path := html or csv:
        _write(path, found, read, t, page=path is html)
    elif as_json:
        print_json(_document(found, read))
    else:
        from endpoints.texts.timeline_text import timeline_lines

        print_lines(timeline_lines(found, *_about(found, read, t), t, terminal_width()))
    return verdict or (0 if found.comparison.agree else EXIT_DISAGREE)


# --- reading ------------------------------------------------------------------------------------------------------


def interval_of(from_: str | None, to: str | None) -> tuple[Millis | None, Millis | None]:
    """Return the beginning and the end that were given, None for one that was not. Raises UserError."""
    from endpoints.clocks.clock import SystemClock
    from endpoints.inputs.instants import instant

    now = SystemClock().now()[0]
    since = None if from_ is None else instant(from_, option="from", now=now, zone="UTC")
    until = None if to is None else instant(to, option="to", now=now, zone="UTC")
    if since is not None and until is not None and since >= until:
        raise UserError(
            phrase(
                "--from is not before --to; give an interval, such as --from {first} --to {second}",
                first="2022-11-29T08:00",
                second="2022-11-30T08:00",
            )
        )
    return since, until


def account_of(read: Sequence[ReadJournal], since: Millis | None, until: Millis | None) -> Account:
    """Return the account of journals that were read. Raises UserError for an interval without any of their records."""
    from protocol.errors import LocalProtocolError
    from protocol.record.timeline import account

    try:
        return account([each.evidence for each in read], since, until)
    except LocalProtocolError as error:
        raise UserError(error.detail) from error


def read_journal(
    reader: JournalReader,
    trusted: Sequence[TrustedFile] = (),
    noted: Callable[[Record], None] = lambda _record: None,
) -> ReadJournal:
    """Read all of a journal that can be used; `noted` is called with each record.

    Raises UserError as `JournalReader.records` does, and IncompleteLog.
    """
    from endpoints.journal.reader import IncompleteLog
    from protocol.errors import JournalError
    from protocol.record.audit import Audit
    from protocol.record.evidence import Evidence

    evidence, audit = Evidence(), Audit(trusted)
    for record in reader.records():
        noted(record)
        if reader.from_checkpoint is None and not reader.founded:
            # nothing says under which terms it was written
            continue
        if not reader.founded:
            # records before it are missing: the keys that were in force are not known
            audit.interrupt()
        elif wrong := audit.take(record):
            reader.verification.note(record.n, wrong)
        try:
            evidence.take(record)
        except JournalError as error:
            reader.verification.note(record.n, error.reason)
    reader.verification.sort()
    if evidence.first is None:
        raise IncompleteLog(phrase("{name}: has neither record 1 nor a checkpoint to begin with", name=reader.name))
    return ReadJournal(reader, evidence, audit)


# --- output -------------------------------------------------------------------------------------------------------


def _document(found: Account, read: Sequence[ReadJournal]) -> dict[str, Any]:
    from endpoints.cli.log import finding
    from endpoints.cli.reconcile import disagreements
    from endpoints.texts.timeline_rows import document

    return {
        "agree": found.comparison.agree,
        "journals": [finding(each.reader, each.audit) for each in read],
        **document(found),
        "comparison": disagreements(found.comparison),
    }


def _write(path: Path, found: Account, read: Sequence[ReadJournal], t: Translator, *, page: bool) -> None:
    """Write a page or CSV to a file. Raises UserError if that fails."""
    from endpoints.cli.new_files import new_file, writing
    from endpoints.texts.timeline_page import timeline_page
    from endpoints.texts.timeline_rows import write_csv

    # a spreadsheet recognises UTF-8 by the mark at its beginning
    encoding = "utf-8" if page else "utf-8-sig"
    with new_file(path) as file, writing(file, encoding) as text:
        if page:
            text.writelines(timeline_page(found, *_about(found, read, t), t))
        else:
            write_csv(found, text)
    print_lines(_notes(found, read, t), stderr=True)


def _notes(found: Account, read: Sequence[ReadJournal], t: Translator) -> Iterable[str]:
    """Return the problems, for the one who has written a file and does not read it now."""
    return _about(found, read, t)[1]


def _about(found: Account, read: Sequence[ReadJournal], t: Translator) -> tuple[list[list[str]], list[str]]:
    """Return the lines about each journal, and the problems of the journals and of their comparison."""
    from endpoints.cli.log import beginning_lines, judged_lines, problem_words, verdict_words
    from endpoints.cli.reconcile import disagreement_lines
    from endpoints.cli.restored_notes import restored_lines
    from endpoints.texts.wording import utc

    journals: list[list[str]] = []
    problems: list[str] = []
    for each in read:
        verification, evidence = each.reader.verification, each.evidence
        assert evidence.first is not None
        assert evidence.end is not None
        since, until = utc(evidence.first.at), utc(evidence.end.at)
        records = t.plural(
            "{count} record, {since} to {until}",
            "{count} records, {since} to {until}",
            verification.records,
            since=since,
            until=until,
        )
        lines = [f"{evidence.side}: {t.say(each.reader.name)}", f"{verdict_words(each.reader, t)}: {records}"]
        lines += [vouched_words(each.audit, t), *restored_lines(each.reader, t), *beginning_lines(each.reader, t)]
        lines += judged_lines(each.audit, t)
        journals.append(lines)
        said = [problem_words(problem, t) for problem in verification.problems[:_PROBLEMS_SHOWN]]
        if (more := len(verification.problems) - len(said) + verification.unlisted) > 0:
            said.append(t.plural("{count} more problem", "{count} more problems", more))
        problems += [f"{evidence.side}: {verdict_words(each.reader, t)}: {line}" for line in said]
    comparison = found.comparison
    for side, references in comparison.only_in.items():
        if references:
            names = ", ".join(map(str, references[:_ONLY_SHOWN]))
            more = len(references) - _ONLY_SHOWN
            rest = f" {t.plural('and {count} more', 'and {count} more', more)}" if more > 0 else ""
            problems.append(
                t(
                    "only the journal of {side} has {messages}; another one should have them too",
                    side=side,
                    messages=names,
                )
                + rest
            )
    problems += disagreement_lines(comparison, t)
    if len(read) == 1:
        problems.append(t("one journal only: nothing that it says was compared with another"))
    return journals, problems
