"""`deconflict reconcile`: compares the journals of one link, frame by frame and message by message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from msgspec import Struct, to_builtins

from endpoints.cli import options
from endpoints.cli.log import Journal, LinkFiles, Sides, judged_lines, sides_of, trusted_files, vouched_words
from endpoints.cli.output import console, print_json, print_row
from endpoints.cli.restored_notes import restorations, restored_document, restored_lines
from endpoints.errors import UserError
from protocol.phrases import phrase, worded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import Translator
    from protocol.record.audit import Audit
    from protocol.record.evidence import Evidence, HeldFrame, Sighting
    from protocol.record.impossible_times import Impossible
    from protocol.record.reconcile import MessagePath, Reconciliation
    from protocol.record.trusted_files import TrustedFile
    from protocol.record.zone_data import ZoneDifference

EXIT_DISAGREE = 6
_DIGITS = 16
"""Digits of a digest that are shown to people."""
_SHOWN_MAX = 20


class Read(Struct, frozen=True):
    """One journal, read to its end: its name, its evidence, and the audit of its signatures."""

    name: str
    evidence: Evidence
    audit: Audit
    # the first record with a problem of signatures, keys or terms, and the problem
    problem: tuple[int, str] | None
    reader: JournalReader


def reconcile(
    journal_a: Journal,
    journal_b: Journal,
    /,
    *,
    watch: Annotated[str | None, Parameter(help="The journal of the independent watch, as a third witness.")] = None,
    link_file: LinkFiles = (),
    link: options.LinkId = None,
    side: Sides = (),
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Compare both sides' journals; return 0 if they agree, 3 or 4 if one is unusable, 6 if they disagree."""
    from endpoints.journal.reader import STANDARD_INPUT
    from endpoints.texts.i18n import translator
    from protocol.errors import LocalProtocolError
    from protocol.record.reconcile import reconcile as compare

    names = [journal_a, journal_b, *([watch] if watch is not None else [])]
    if names.count(STANDARD_INPUT) > 1:
        raise UserError(phrase("two journals are -; only one of them can be read from standard input"))
    trusted = trusted_files(link_file)
    sides = zip(names, sides_of(names, side), strict=True)
    journals = [_read(name, link, each, trusted) for name, each in sides]
    _require_undamaged(journals)
    try:
        found = compare(*(each.evidence for each in journals))
    except LocalProtocolError as error:
        raise UserError(worded(error)) from error
    if as_json:
        print_json(_document(found, journals))
    else:
        _show(found, journals, translator(lang))
    return 0 if found.agree else EXIT_DISAGREE


# --- reading ------------------------------------------------------------------------------------------------------


def _read(name: str, link: str | None, side: str | None, trusted: Sequence[TrustedFile]) -> Read:
    """Read one journal. Raises UserError as `JournalReader.whole_records` does."""
    from endpoints.journal.reader import JournalReader
    from endpoints.journal.writer import DamagedJournal
    from protocol.errors import JournalError
    from protocol.record.audit import Audit
    from protocol.record.evidence import Evidence

    reader, evidence, audit = JournalReader(name, link=link, side=side), Evidence(), Audit(trusted)
    problem: tuple[int, str] | None = None
    for record in reader.whole_records():
        try:
            evidence.take(record)
        except JournalError as error:
            raise DamagedJournal(phrase("{name}: {error}", name=reader.name, error=error)) from error
        if (wrong := audit.take(record)) and problem is None:
            problem = record.n, wrong
    return Read(reader.name, evidence, audit, problem, reader)


def _require_undamaged(journals: Sequence[Read]) -> None:
    """Raise DamagedJournal for signatures, keys or terms that are not those of the link files, or do not verify."""
    from endpoints.journal.writer import DamagedJournal

    for each in journals:
        if each.problem is None:
            continue
        record, wrong = each.problem
        others = [other for other in journals if other is not each]
        damage = phrase("{name}: record {record}: {reason}", name=each.name, record=record, reason=wrong)
        for differs in _who_differs(each, others):
            damage = phrase("{damage}; {differs}", damage=damage, differs=differs)
        raise DamagedJournal(damage)


def _who_differs(journal: Read, others: Sequence[Read]) -> Iterator[str]:
    """Yield, for each key that a journal has and its link file has not, what the other journals enrol."""
    for key, file in journal.audit.beyond.items():
        same = [other.name for other in others if key in other.audit.enrolled]
        if same:
            names = ", ".join(same)
            yield phrase("{key}: {names} enrols it too, so {file} is what differs", key=key, names=names, file=file)
        else:
            names = ", ".join(other.name for other in others)
            yield phrase(
                "{key}: neither {file} nor {names} has it, so {journal} is what differs",
                key=key,
                file=file,
                names=names,
                journal=journal.name,
            )


# --- JSON ---------------------------------------------------------------------------------------------------------


def _document(found: Reconciliation, journals: Sequence[Read]) -> dict[str, Any]:
    from endpoints.texts.timeline_rows import message_row

    return {
        "agree": found.agree,
        "link": journals[0].evidence.ledger.link,
        "statuses": to_builtins(found.statuses, str_keys=True),
        "compared": found.compared,
        "not_compared": found.not_compared,
        "compared_by_checkpoint": found.by_checkpoint,
        "messages": [message_row(path) for path in found.messages],
        **disagreements(found),
        "begins_at": {each.evidence.side: _begins_at(each) for each in journals},
        "ends_at": {each.evidence.side: to_builtins(each.evidence.end) for each in journals},
        "vouched_for": {
            each.evidence.side: {"records": each.audit.records, "vouched_for": each.audit.vouched} for each in journals
        },
        "judged_under": {each.evidence.side: each.audit.judged for each in journals},
        "restored": {each.evidence.side: restored_document(each.reader) for each in journals},
        "restorations": {each.evidence.side: restorations(each.reader) for each in journals},
        "keys_only_in": {each.evidence.side: _keys_only_in(each, journals) for each in journals},
    }


def disagreements(found: Reconciliation) -> dict[str, Any]:
    """Return what journals disagree about, for `--json`."""
    return {
        "only_in": {side: [str(each) for each in references] for side, references in found.only_in.items()},
        "outstanding": [str(each) for each in found.outstanding],
        "differing": [str(each) for each in found.differing],
        "versions": [
            {"message": str(reference), "digest": version.digest, "seen": to_builtins(version.seen)}
            for reference, versions in found.differing.items()
            for version in versions
        ],
        "missing_frames": [_frame(each) for each in found.missing_frames],
        "impossible": [_impossible(each) for each in found.impossible],
        "policies_differ": list(found.policies),
        "zone_data": to_builtins(found.zone_data),
    }


def _begins_at(journal: Read) -> int:
    """Return the record from which on a journal was compared."""
    beginning = journal.evidence.beginning
    return 1 if beginning is None else beginning.record


def _keys_only_in(journal: Read, journals: Sequence[Read]) -> list[str]:
    """Return the keys that one journal has enrolled and no other one has."""
    others = {key for each in journals if each is not journal for key in each.audit.enrolled}
    return sorted(journal.audit.enrolled - others)


def _frame(frame: HeldFrame) -> dict[str, Any]:
    return {
        "signer": frame.signer,
        "channel": frame.channel,
        "messages": [str(each) for each in frame.messages],
        "receipt_upto": frame.receipt.upto if frame.receipt else None,
        "seen": to_builtins(frame.seen),
    }


def _impossible(each: Impossible) -> dict[str, Any]:
    return {
        "what": each.kind,
        "side": each.side,
        "message": None if each.message is None else str(each.message),
        "records": [to_builtins(each.one), to_builtins(each.other)],
    }


# --- text ---------------------------------------------------------------------------------------------------------


def _show(found: Reconciliation, journals: Sequence[Read], t: Translator) -> None:
    from rich.text import Text

    from endpoints.texts.item_page import acts_in_words
    from endpoints.texts.link_statuses import status_words
    from endpoints.texts.printable import one_line
    from endpoints.texts.wording import wording

    out = console()
    out.print(_table(found, t, fold_dates=out.is_terminal))
    for path in found.messages:
        begin = Text(f"  {path.reference}  ")
        print_row(out, begin, Text(wording(path.body, t)))
        for act in acts_in_words((each.act for each in path.acts), t):
            print_row(out, Text(" " * len(begin)), Text(one_line(act)))
    findings = [*disagreement_lines(found, t)]
    for line in findings[:_SHOWN_MAX]:
        out.print(Text(line, style="bold red"))
    if len(findings) > _SHOWN_MAX:
        out.print(Text(t.plural("{count} more finding", "{count} more findings", len(findings) - _SHOWN_MAX)))
    for each in journals:
        side = each.evidence.side
        if each.evidence.beginning is not None:
            record = each.evidence.beginning.record
            begins = t("{side}: the journal begins at record {record}", side=side, record=record)
            out.print(Text(begins, style="yellow"))
        if (end := each.evidence.end) is not None and not found.agree:
            values = {"side": side, "record": end.record, "at": end.at}
            ends = t("{side}: the journal ends at record {record}, {at}; an earlier copy lacks what followed", **values)
            out.print(Text(ends, style="yellow"))
        for line in restored_lines(each.reader, t):
            out.print(Text(f"{side}: {line}", style="yellow"))
        for line in (vouched_words(each.audit, t), *judged_lines(each.audit, t)):
            out.print(Text(f"{side}: {line}"))
        if keys := _keys_only_in(each, journals):
            line = t("{side}: no other journal enrols the keys {keys}", side=side, keys=", ".join(keys))
            out.print(Text(line, style="yellow"))
    verdict = (t("THE JOURNALS AGREE"), "green") if found.agree else (t("THE JOURNALS DISAGREE"), "bold red")
    counts = [
        t.plural("{count} message", "{count} messages", len(found.messages)),
        *([t("outstanding: {count}", count=len(found.outstanding))] if found.outstanding else []),
        t("compared: {count}", count=found.compared),
        t("not compared: {count}", count=found.not_compared),
        f"{t('link')} {journals[0].evidence.ledger.link} ({status_words(found.statuses, t)})",
    ]
    out.print(Text.assemble(verdict, f": {', '.join(counts)}"))


def _zone_words(difference: ZoneDifference, t: Translator) -> str:
    """Return that journals planned with different time zone data, which versions, and when."""
    from endpoints.texts.printable import one_line

    versions = ", ".join(f"{side} {one_line(version)}" for side, version in difference.versions.items())
    if difference.until is None:
        return t(
            "since {since}, slots were planned with different time zone data: {versions}",
            since=difference.since,
            versions=versions,
        )
    return t(
        "from {since} to {until}, slots were planned with different time zone data: {versions}",
        since=difference.since,
        until=difference.until,
        versions=versions,
    )


def _table(found: Reconciliation, t: Translator, *, fold_dates: bool) -> Any:
    """Return the table of messages; on a terminal, `fold_dates` prints a date only where it changes."""
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
    for reference in {each for references in found.only_in.values() for each in references}:
        sides = ", ".join(side for side, references in found.only_in.items() if reference in references)
        marks[reference] = t("ONLY IN {side}", side=sides), "bold red"
    day = ""
    for path in found.messages:
        mark, style = marks.get(path.reference, (_end(path, t), ""))
        kind = t.term("kind", path.kind)
        times, last_day = _times(path, day)
        if fold_dates:
            # elsewhere each line has its date, so that it can be searched for
            day = last_day
        table.add_row(str(path.reference), *times, Text.assemble(kind, ": " if mark else "", (mark, style)))
    return table


def _end(path: MessagePath, t: Translator) -> str:
    """Return what became of a message: changed, cancelled, refused, or promised a reply; empty if none of these."""
    from protocol.record.ledger_entries import SERVICE

    if path.changed_by is not None:
        state = "cancelled" if path.change == "cancellation" else "changed"
        return f"{t.term('way', state)} {t('by {reference}', reference=path.changed_by)}"
    if path.refused:
        who = t("the service") if path.refused_by == SERVICE else path.refused_by
        return f"{t.term('way', 'refused')}, {who}: {t.term('reason', path.refused)}"
    return t.term("way", path.state) if path.state == "will_reply" else ""


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


def disagreement_lines(found: Reconciliation, t: Translator) -> Iterable[str]:
    """Yield one line for each disagreement that the table of messages does not show completely."""
    for epoch in found.policies:
        yield t("epoch {epoch} was opened under different policies", epoch=epoch)
    for reference, versions in found.differing.items():
        seen = "; ".join(f"{each.digest[:_DIGITS]}: {_place(each.seen, t)}" for each in versions)
        yield t("{message} has several versions: {versions}", message=reference, versions=seen)
    for frame in found.missing_frames:
        yield t(
            "the journal of {side} did not seal a frame that it signed: {frame} ({where})",
            side=frame.signer,
            frame=_frame_words(frame, t),
            where=_place(frame.seen, t),
        )
    for each in found.impossible:
        yield _impossible_words(each, t)
    listed = {path.reference for path in found.messages}
    for side, references in found.only_in.items():
        for reference in references:
            if reference not in listed:
                yield t("{message}: receipted, but in no journal (receipt: {side})", message=reference, side=side)
    for difference in found.zone_data:
        yield _zone_words(difference, t)
    if not found.compared and found.messages and not found.agree:
        yield t("no message of these journals could be compared")


def _place(seen: Sighting, t: Translator) -> str:
    return t("journal of {side}, record {record}, {at}", side=seen.journal, record=seen.record, at=seen.at)


def _frame_words(frame: HeldFrame, t: Translator) -> str:
    words = []
    if frame.messages:
        first, last = frame.messages[0], frame.messages[-1]
        words.append(str(first) if first == last else f"{first}..{last.seq}")
    if frame.receipt:
        words.append(t("receipt for {message}", message=frame.receipt.last))
    return ", ".join(words) or t("unreadable: {reason}", reason=frame.unreadable)


def _impossible_words(each: Impossible, t: Translator) -> str:
    one, other = _place(each.one, t), _place(each.other, t)
    values = {"message": each.message, "side": each.side, "one": one, "other": other}
    if each.kind == "received_after_receipt":
        return t("{message} was received ({one}) after {side} had signed a receipt for it ({other})", **values)
    if each.kind == "stream_goes_back":
        return t("{message} is earlier ({other}) than the message before it ({one}), without a clock step", **values)
    return t("the clock of {side} goes back from {one} to {other}, without a clock step", **values)
