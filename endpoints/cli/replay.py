"""`deconflict replay` and `reconcile`: run a journal's events again, and compare both sides' journals."""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.log import Journal, LinkFileOption, SideOption, trusted_keys
from endpoints.cli.output import console, print_json
from endpoints.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import Translator
    from protocol.record.audit import Audit
    from protocol.record.journal import Record
    from protocol.record.ledger import Ledger
    from protocol.record.reconcile import MessagePath, Reconciliation
    from protocol.record.replay import Replay
    from protocol.wire.instants import Millis
    from protocol.wire.policy import EnrolledKey

EXIT_DIVERGED = 5
EXIT_DISAGREE = 6
_MAX_SPEED = "max"


def replay(
    journal: Journal,
    /,
    *,
    until: Annotated[str | None, Parameter(help="Stop before the first record after this instant.")] = None,
    speed: Annotated[
        str | None, Parameter(help="Print the story while replaying: N times as fast as it happened, or max.")
    ] = None,
    link: options.LinkId = None,
    side: SideOption = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Run a journal's events again and compare the effects; return 0 if identical, 4 if damaged, 5 if diverged."""
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import translator
    from protocol.record.audit import Audit
    from protocol.record.replay import Replay

    until_at = None if until is None else _instant(until)
    pace = None if speed is None else _speed(speed)
    t = translator(lang)
    reader = JournalReader(journal, link=link, side=side)
    result, audit = Replay(), Audit()
    last = 0
    for record in _paced(_until(reader.whole_records(), until_at), pace):
        last = record.n
        if wrong := audit.take(record):
            result.diverge(record.n, wrong)
        result.take(record)
        if pace is not None:
            _tell(record, t, stderr=as_json)
    if as_json:
        print_json(_finding(result))
    else:
        _show(reader, result, audit, last, t)
    return 0 if result.identical else EXIT_DIVERGED


def reconcile(
    journal_a: Journal,
    journal_b: Journal,
    /,
    *,
    link_file: LinkFileOption = None,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Compare the journals of both sides; return 0 if they agree, 4 if one is damaged, 6 if they disagree."""
    from endpoints.journal.reader import STANDARD_INPUT
    from endpoints.texts.i18n import translator
    from protocol.errors import LocalProtocolError
    from protocol.record.reconcile import reconcile as compare

    if journal_a == journal_b == STANDARD_INPUT:
        raise UserError("both journals are -; only one of them can be read from standard input")
    keys = trusted_keys(link_file)
    one, other = (_ledger(name, link, keys) for name in (journal_a, journal_b))
    try:
        found = compare(one, other)
    except LocalProtocolError as error:
        raise UserError(str(error)) from error
    if as_json:
        print_json(_reconciliation(found))
    else:
        _show_reconciliation(found, translator(lang))
    return 0 if found.agree else EXIT_DISAGREE


# --- replay -------------------------------------------------------------------------------------------------------


def _instant(text: str) -> Millis:
    """Return the instant in `text`, of any precision and with any UTC offset. Raises UserError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise UserError(f"--until: expected an instant such as 2022-11-29T12:00:00Z, found {text[:60]!r}")
    return (at - datetime.fromisoformat("1970-01-01T00:00:00Z")) // timedelta(milliseconds=1)


def _speed(text: str) -> float:
    """Return the speed as a factor; infinite for `max`. Raises UserError."""
    try:
        speed = math.inf if text == _MAX_SPEED else float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise UserError(f"--speed: expected a number above 0, or max, found {text[:40]!r}")
    return speed


def _until(records: Iterator[Record], until: Millis | None) -> Iterator[Record]:
    for record in records:
        if until is not None and record.entry.at > until:
            return
        yield record


def _paced(records: Iterator[Record], speed: float | None) -> Iterator[Record]:
    """Yield the records `speed` times as fast as they were written."""
    before: Millis | None = None
    for record in records:
        at = record.entry.at
        if speed is not None and before is not None and at > before:
            time.sleep((at - before) / 1_000 / speed)
        before = at
        yield record


def _tell(record: Record, t: Translator, *, stderr: bool) -> None:
    from endpoints.cli.story_lines import print_told
    from endpoints.texts.story import story

    for told in story(record, t):
        print_told(told, stderr=stderr)


def _finding(result: Replay) -> dict[str, Any]:
    divergence = result.divergence
    return {
        "records": result.records,
        "identical": result.identical,
        "divergence": None if divergence is None else {"record": divergence.record, "reason": divergence.reason},
        "state": None if result.core is None else result.core.snapshot(),
        "not_run_again": result.not_run_again,
        "other_rules": None
        if result.other_rules is None
        else {"record": result.other_rules[0], "rules": result.other_rules[1]},
    }


def _verdict(result: Replay, t: Translator) -> tuple[str, str]:
    """Return the verdict and its colour. Identical is only what was run again."""
    if not result.identical:
        return t("DIVERGED"), "bold red"
    return (t("IDENTICAL"), "green") if result.compared else (t("NOT RUN AGAIN"), "yellow")


def _show(reader: JournalReader, result: Replay, audit: Audit, last: int, t: Translator) -> None:
    from rich.text import Text

    out = console()
    link, side = reader.verification.whose
    out.print(Text.assemble(f"{reader.name} ({link}, {side}): ", _verdict(result, t)))
    lines = [
        t.plural("{count} record", "{count} records", result.records),
        t.plural("{count} run again", "{count} run again", result.compared),
        t.plural("{count} signature verified", "{count} signatures verified", audit.signatures),
    ]
    out.print(Text(f"  {', '.join(lines)}"))
    if result.divergence is not None:
        where = t("record {record}", record=result.divergence.record)
        out.print(Text(f"  {where}: {result.divergence.reason}", style="red"))
    for each in result.not_run_again:
        records = {"first": each.first, "last": each.last}
        text = t("not run again: records {first} to {last}, rules {rules}", **records, rules=each.rules)
        out.print(Text(f"  {text}", style="yellow"))
    for problem in (each for each in reader.verification.problems if each.record > last):
        text = t("not replayed, from record {record} on: {reason}", record=problem.record, reason=problem.reason)
        out.print(Text(f"  {text}", style="yellow"))


# --- reconcile ----------------------------------------------------------------------------------------------------


def _ledger(name: str, link: str | None, keys: Mapping[str, Sequence[EnrolledKey]] | None) -> Ledger:
    """Return the ledger of one side's journal, after verifying its signatures if `keys` are given.

    Raises DamagedJournal, and UserError as `JournalReader.records` does.
    """
    from endpoints.journal.reader import JournalReader
    from protocol.record.audit import Audit
    from protocol.record.ledger import Ledger

    reader, ledger = JournalReader(name, link=link), Ledger()
    audit = None if keys is None else Audit(keys)
    for record in reader.whole_records():
        ledger.take(record)
        if audit is not None and (wrong := audit.take(record)):
            reader.verification.note(record.n, wrong)
    if audit is not None and (strange := audit.finish()) is not None:
        reader.verification.note(*strange)
    reader.require_whole()
    return ledger


def _reconciliation(found: Reconciliation) -> dict[str, Any]:
    return {
        "agree": found.agree,
        "messages": [
            {
                "sender": path.reference.sender,
                "epoch": path.reference.epoch,
                "seq": path.reference.seq,
                "kind": path.kind,
                "sent_at": path.sent_at,
                "received_at": path.received_at,
                "receipted_at": path.receipted_at,
                "acknowledged_at": path.acknowledged_at,
            }
            for path in found.messages
        ],
        "only_in": {side: [str(each) for each in references] for side, references in found.only_in.items()},
        "outstanding": [str(each) for each in found.outstanding],
        "differing": [str(each) for each in found.differing],
        "policies_differ": list(found.policies),
    }


def _times(path: MessagePath, day: str) -> tuple[list[str], str]:
    """Return a message's times in UTC, each with its date unless that is `day` or the last one; and the last date."""
    times = []
    for at in (path.sent_at, path.received_at, path.receipted_at, path.acknowledged_at):
        if at is None:
            times.append("-")
            continue
        date, time_of_day = at.removesuffix("Z").split("T")
        times.append(time_of_day if date == day else f"{date} {time_of_day}")
        day = date
    return times, day


def _show_reconciliation(found: Reconciliation, t: Translator) -> None:
    from rich.table import Table
    from rich.text import Text

    # fits into 80 columns: only dates and remarks are folded, onto a line above the times
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in (t("message"), t("sent"), t("received"), t("receipted"), t("acknowledged"), t("kind")):
        table.add_column(Text(title), overflow="fold", vertical="bottom")
    marks: dict[Any, tuple[str, str]] = {}
    for reference in found.outstanding:
        marks[reference] = t("outstanding"), "yellow"
    for reference in found.differing:
        marks[reference] = t("DIFFERS"), "bold red"
    for side, references in found.only_in.items():
        for reference in references:
            marks[reference] = t("ONLY IN {side}", side=side), "bold red"
    out, day = console(), ""
    for path in found.messages:
        mark, style = marks.get(path.reference, (t.term("reason", path.refused) if path.refused else "", ""))
        kind = t.term("kind", path.kind)
        times, last_day = _times(path, day)
        if out.is_terminal:
            # elsewhere each line has its date, so that it can be searched for
            day = last_day
        table.add_row(str(path.reference), *times, Text.assemble(kind, ": " if mark else "", (mark, style)))
    out.print(table)
    for epoch in found.policies:
        out.print(Text(t("epoch {epoch} was opened under different policies", epoch=epoch), style="bold red"))
    verdict = (t("THE JOURNALS AGREE"), "green") if found.agree else (t("THE JOURNALS DISAGREE"), "bold red")
    count = t.plural("{count} message", "{count} messages", len(found.messages))
    waiting = f", {t('outstanding: {count}', count=len(found.outstanding))}" if found.outstanding else ""
    out.print(Text.assemble(verdict, f": {count}{waiting}"))
