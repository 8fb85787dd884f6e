"""`deconflict replay`: runs a journal's events again."""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.log import Journal, SideOption, beginning_lines
from endpoints.cli.output import console, print_json
from endpoints.cli.restored_notes import restorations, restored_document, restored_lines
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from endpoints.journal.read_ahead import Ahead
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import Translator
    from protocol.record.audit import Audit
    from protocol.record.journal import Record
    from protocol.record.replay import Replay
    from protocol.wire.instants import Millis

EXIT_DIVERGED = 5
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
    """Run a journal's events again; return 0 if the effects are identical, 3 or 4 if it is unusable, 5 if diverged."""
    from endpoints.journal.read_ahead import Overtaken, ahead_of
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import translator

    until_at = None if until is None else _instant(until)
    pace = None if speed is None else _speed(speed)
    t = translator(lang)
    reader = JournalReader(journal, link=link, side=side)
    if pace is not None:
        run = _run(reader, None, until_at, partial(_tell, pace, t, as_json=as_json))
    else:
        try:
            with ahead_of(reader, run=True) as ahead:
                run = _run(reader, ahead, until_at)
        except Overtaken:
            reader = JournalReader(journal, link=link, side=side)
            run = _run(reader, None, until_at)
    if as_json:
        print_json(_finding(reader, run.result))
    else:
        _show(reader, run, t)
    return 0 if run.result.identical else EXIT_DIVERGED


class _RunAgain(NamedTuple):
    """A journal that was run again: the result, the audit of its signatures, and the number of the last record."""

    result: Replay
    audit: Audit
    last: int


def _run(
    reader: JournalReader,
    ahead: Ahead | None,
    until: Millis | None,
    told: Callable[[Iterator[Record]], Iterator[Record]] = lambda records: records,
) -> _RunAgain:
    """Run a journal again, with what workers find ahead; `told` also reports each. Raises UserError, Overtaken."""
    from endpoints.journal.read_ahead import ReplayAhead
    from protocol.record.audit import Audit

    replaying, audit, last = ReplayAhead(None if ahead is None else ahead.segment, until), Audit(), 0
    for record in told(_until(reader.whole_records(), until)):
        last = record.n
        if wrong := audit.take(record):
            replaying.diverge(record.n, wrong)
        replaying.take(record)
        if ahead is not None and record.ends_batch:
            last = ahead.pass_over(audit, replaying) or last
    return _RunAgain(replaying.finish(), audit, last)


def _tell(speed: float, t: Translator, records: Iterator[Record], *, as_json: bool) -> Iterator[Record]:
    """Yield the records `speed` times as fast as they were written, and print the story of each that was run."""
    from endpoints.cli.story_lines import print_told
    from endpoints.texts.story import Storyteller

    teller = Storyteller(t)
    for record in _paced(records, speed):
        yield record
        for each in teller.tell(record):
            print_told(each, stderr=as_json)


def _instant(text: str) -> Millis:
    """Return the instant in `text`, of any precision and with any UTC offset. Raises UserError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise UserError(
            phrase("--until: expected an instant such as 2022-11-29T12:00:00Z, found {text}", text=repr(text[:60]))
        )
    return (at - datetime.fromisoformat("1970-01-01T00:00:00Z")) // timedelta(milliseconds=1)


def _speed(text: str) -> float:
    """Return the speed as a factor; infinite for `max`. Raises UserError."""
    try:
        speed = math.inf if text == _MAX_SPEED else float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise UserError(phrase("--speed: expected a number above 0, or max, found {text}", text=repr(text[:40])))
    return speed


def _until(records: Iterator[Record], until: Millis | None) -> Iterator[Record]:
    for record in records:
        if until is not None and record.entry.at > until:
            return
        yield record


def _paced(records: Iterator[Record], speed: float) -> Iterator[Record]:
    """Yield the records `speed` times as fast as they were written."""
    before: Millis | None = None
    for record in records:
        at = record.entry.at
        if before is not None and at > before:
            time.sleep((at - before) / 1_000 / speed)
        before = at
        yield record


def _finding(reader: JournalReader, result: Replay) -> dict[str, Any]:
    divergence = result.divergence
    return {
        "begins_at": reader.verification.begins or None,
        "from_checkpoint": reader.from_checkpoint,
        "restored": restored_document(reader),
        "restorations": restorations(reader),
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


def _show(reader: JournalReader, run: _RunAgain, t: Translator) -> None:
    from rich.text import Text

    result, audit, last = run
    out = console()
    link, side = reader.verification.whose
    out.print(Text.assemble(f"{t.say(reader.name)} ({link}, {side}): ", _verdict(result, t)))
    lines = [
        t.plural("{count} record", "{count} records", result.records),
        t.plural("{count} run again", "{count} run again", result.compared),
        t.plural("{count} signature verified", "{count} signatures verified", audit.signatures),
    ]
    out.print(Text(f"  {', '.join(lines)}"))
    for line in (*restored_lines(reader, t), *beginning_lines(reader, t)):
        out.print(Text(f"  {line}", style="yellow"))
    if result.divergence is not None:
        where = t("record {record}", record=result.divergence.record)
        out.print(Text(f"  {where}: {t.say(result.divergence.reason)}", style="red"))
    for each in result.not_run_again:
        records = {"first": each.first, "last": each.last}
        text = t("not run again: records {first} to {last}, rules {rules}", **records, rules=each.rules)
        out.print(Text(f"  {text}", style="yellow"))
    for problem in (each for each in reader.verification.problems if each.record > last):
        text = t("not replayed, from record {record} on: {reason}", record=problem.record, reason=t.say(problem.reason))
        out.print(Text(f"  {text}", style="yellow"))
