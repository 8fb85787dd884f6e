"""`deconflict log`: verifies a journal and shows its records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.output import console, print_json, print_row
from endpoints.cli.restored_notes import archived_document, restorations, restored_document, restored_lines
from endpoints.errors import UserError
from endpoints.texts.printable import one_line
from protocol.phrases import phrase

if TYPE_CHECKING:
    from rich.console import Console

    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import Translator
    from endpoints.texts.story import Storyteller
    from protocol.record.audit import Audit
    from protocol.record.findings import Problem
    from protocol.record.journal import Record
    from protocol.record.trusted_files import TrustedFile

EXIT_INCOMPLETE = 3
EXIT_DAMAGED = 4
EXITS = {"intact": 0, "incomplete": EXIT_INCOMPLETE, "changed": EXIT_DAMAGED}
"""The exit codes of the verdicts; of several journals the worst counts."""
_HASH_LENGTH = 64
_SHOWN_MAX = 20
_INDENT = " " * 9
"""What stands before the lines of a record."""

Journal = Annotated[
    str,
    Parameter(
        help="A journal's folder, or a collected log: a file, a folder of its files, or - for standard input.",
        allow_leading_hyphen=True,
        negative="",
    ),
]
LinkFiles = Annotated[
    tuple[Path, ...],
    Parameter(
        name="--link-file",
        help="A trusted link file, one for each epoch and rotation of keys: only signatures by their keys count.",
        negative="",
    ),
]
SideOption = Annotated[
    str | None, Parameter(name="--side", help="The side, if a collected log holds several journals.")
]

Sides = Annotated[
    tuple[str, ...],
    Parameter(
        name="--side",
        help="The side of each journal, in their order: for collected logs that hold several journals.",
        negative="",
    ),
]


def log_verify(
    *journals: Journal,
    link_file: LinkFiles = (),
    expect_head: Annotated[
        str | None, Parameter(help="A record's hash, noted elsewhere, that the journal must contain.")
    ] = None,
    link: options.LinkId = None,
    side: SideOption = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Verify the chain and signatures of journals; return 0 if all are intact, 3 if incomplete, 4 if changed."""
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import translator

    if not journals:
        raise UserError(phrase("no journal given; name a folder or a file, or - for a collected log on standard input"))
    if expect_head is not None and (len(expect_head) != _HASH_LENGTH or expect_head.strip("0123456789abcdef")):
        raise UserError(
            phrase(
                "--expect-head: expected a hash of {hash_length} digits 0-9 a-f, found {expect_head}",
                hash_length=_HASH_LENGTH,
                expect_head=repr(expect_head[:80]),
            )
        )
    trusted = trusted_files(link_file)
    t = translator(lang)
    findings = []
    for name in journals:
        reader = JournalReader(name, link=link, side=side)
        audit = verify(reader, trusted, expect_head)
        findings.append(finding(reader, audit))
        if not as_json:
            _show(reader, audit, t)
    if as_json:
        print_json(findings[0] if len(findings) == 1 else findings)
    return max(EXITS[each["verdict"]] for each in findings)


def log_show(
    journal: Journal,
    /,
    *,
    link: options.LinkId = None,
    side: SideOption = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Show a journal's records with their frames decoded, as JSON lines or text; return as `log verify` does."""
    from endpoints.journal.reader import JournalReader
    from endpoints.journal.record_view import decoded
    from endpoints.texts.i18n import translator
    from endpoints.texts.story import Storyteller

    t = translator(lang)
    teller = Storyteller(t)
    reader = JournalReader(journal, link=link, side=side)
    for record in reader.records():
        if as_json:
            print_json(decoded(record))
        else:
            _show_record(record, teller, t)
    out = console(stderr=True)
    for problem in reader.verification.problems:
        out.print(problem_words(problem, t), style="red", markup=False)
    return EXITS[reader.verification.verdict]


def verify(reader: JournalReader, trusted: Sequence[TrustedFile], expect_head: str | None = None) -> Audit:
    """Read a journal to its end; collect its problems in `reader.verification.problems`.

    Args:
        reader: the journal.
        trusted: the trusted link files; none for the keys that the journal itself enrols.
        expect_head: a hash that one of its records must have.

    Raises UserError as `JournalReader.records` does.
    """
    from endpoints.journal.read_ahead import ahead_of
    from protocol.record.audit import Audit

    expected = expect_head is None
    verification = reader.verification
    audit, last = Audit(trusted), 0
    with ahead_of(reader, apart=expect_head) as ahead:
        for record in reader.records():
            if not reader.founded:
                # the keys that were in force are not known
                audit.interrupt()
            elif wrong := audit.take(record):
                verification.note(record.n, wrong)
            expected = expected or record.hash == expect_head
            last = record.n
            if ahead is not None and record.ends_batch:
                last = ahead.pass_over(audit) or last
    if not expected:
        reason = phrase(
            "no record has the expected hash {expect_head}: the journal was truncated or rewritten",
            expect_head=expect_head,
        )
        verification.note(last + 1, reason, kind="missing" if reader.collected else "changed")
    verification.sort()
    return audit


def trusted_files(link_files: Sequence[Path]) -> list[TrustedFile]:
    """Return the link files that were given, and before each the former ones beside it. Raises UserError.

    A file that is given again counts again, for keys that were replaced and came back. A copy of it does not count.
    """
    from msgspec.structs import replace

    from endpoints.config.former_files import former
    from endpoints.config.link_file import load
    from protocol.record.trusted_files import TrustedFile

    found: list[TrustedFile] = []
    earlier: dict[Path, TrustedFile] = {}
    for number, path in enumerate(link_files):
        file, before = load(path), link_files[:number].count(path)
        name = f"{path} ({before + 1})" if before else str(path)
        trusted = TrustedFile(name, file.terms, file.keys, file.watch_keys)
        if before or all(replace(each, name=name) != trusted for each in found):
            found.append(trusted)
        for each in former(path, file.terms.link):
            if each not in link_files:
                kept = load(each)
                earlier[each] = TrustedFile(str(each), kept.terms, kept.keys, kept.watch_keys)
    return [*earlier.values(), *found]


def sides_of(journals: Sequence[str], side: tuple[str, ...]) -> Sequence[str | None]:
    """Return the side that was given for each journal, None for those that say it themselves. Raises UserError."""
    if side and len(side) != len(journals):
        raise UserError(
            phrase(
                "--side: give it for each of the {count} journals, in their order, or not at all", count=len(journals)
            )
        )
    return side or (None,) * len(journals)


def problem_words(problem: Problem, t: Translator) -> str:
    """Return a problem in one line that names its record once: some reasons do so themselves."""
    from protocol.errors import at_record

    return t.say(at_record(problem.record, problem.reason))


def vouched_words(audit: Audit, t: Translator) -> str:
    """Return how many of a journal's records the last signed head covers."""
    return t.plural(
        "{vouched} of {count} record vouched for",
        "{vouched} of {count} records vouched for",
        audit.records,
        vouched=audit.vouched,
    )


def judged_lines(audit: Audit, t: Translator) -> list[str]:
    """Return what was judged under which link file, one line for each finding."""
    lines = []
    if audit.watch_without_key:
        lines.append(t("the watch's journal is not vouched for: no link file with a key of the watch was given"))
    if not audit.judged:
        return [*lines, t("no signature was judged under keys from outside: give the link file (--link-file)")]
    for each in audit.judged:
        values = {"file": each.link_file, "epoch": each.epoch}
        lines.append(
            t.plural(
                "{count} signature of epoch {epoch} judged under {file}",
                "{count} signatures of epoch {epoch} judged under {file}",
                each.signatures,
                **values,
            )
        )
        if each.not_enrolled:
            keys = ", ".join(each.not_enrolled)
            lines.append(t("{file} has keys that the journal does not enrol: {keys}", keys=keys, **values))
    return lines


def finding(reader: JournalReader, audit: Audit) -> dict[str, Any]:
    """Return what was found in one journal, for `--json`."""
    verification = reader.verification
    link, side = verification.whose
    return {
        "journal": reader.name,
        "link": link,
        "side": side,
        "records": verification.records,
        "intact": verification.verdict == "intact",
        "verdict": verification.verdict,
        "collected": reader.collected,
        "begins_at": verification.begins or None,
        "from_checkpoint": reader.from_checkpoint,
        "restored": restored_document(reader),
        "archived": archived_document(reader),
        "restorations": restorations(reader),
        "missing": [{"first": first, "last": last} for first, last in getattr(verification, "missing", ())],
        "sealed_upto": audit.sealed_upto,
        "vouched_for": audit.vouched,
        "judged_under": audit.judged,
        "head": verification.head,
        "problems": [{"record": each.record, "reason": each.reason} for each in verification.problems],
    }


def _show(reader: JournalReader, audit: Audit, t: Translator) -> None:
    from rich.text import Text

    out, verification = console(), reader.verification
    link, side = verification.whose
    verdict = _verdict(reader, t)
    whose = f" ({link}, {side})" if link else ""
    out.print(Text.assemble(f"{t.say(reader.name)}{whose}: ", verdict))
    lines = [
        t.plural("{count} record", "{count} records", verification.records),
        t.plural("{count} signature verified", "{count} signatures verified", audit.signatures),
        vouched_words(audit, t),
    ]
    if reader.live:
        lines.append(t("a running service is writing it"))
    out.print(Text(f"  {', '.join(lines)}"))
    for line in restored_lines(reader, t):
        out.print(Text(f"  {line}", style="yellow"))
    for line in (*beginning_lines(reader, t), *judged_lines(audit, t)):
        out.print(Text(f"  {line}"))
    if verification.records:
        out.print(Text(f"  {t('head')}: {verification.head}"))
    for problem in verification.problems[:_SHOWN_MAX]:
        out.print(Text(f"  {problem_words(problem, t)}", style="red"))
    more = len(verification.problems) - _SHOWN_MAX + verification.unlisted
    if more > 0:
        out.print(Text(f"  {t.plural('{count} more problem', '{count} more problems', more)}", style="red"))


def verdict_words(reader: JournalReader, t: Translator) -> str:
    """Return the verdict on a journal in words."""
    return _verdict(reader, t)[0]


def _verdict(reader: JournalReader, t: Translator) -> tuple[str, str]:
    """Return the verdict in words, and its colour."""
    verdict = reader.verification.verdict
    if verdict == "intact":
        begins = reader.verification.begins
        return (t("INTACT") if begins == 1 else t("INTACT FROM RECORD {record} ON", record=begins)), "green"
    if verdict == "incomplete":
        return t("INCOMPLETE"), "bold yellow"
    return t("DAMAGED"), "bold red"


def beginning_lines(reader: JournalReader, t: Translator) -> list[str]:
    """Return how a journal without record 1 begins; no line for one that has it."""
    if (moved := reader.moved) is not None:
        line = t(
            "records 1 to {record} were archived at {when} in {where}",
            record=moved.records,
            when=moved.moved_at,
            where=one_line(moved.where),
        )
        return [line, *_beginning_line(reader, t)]
    return _beginning_line(reader, t)


def _beginning_line(reader: JournalReader, t: Translator) -> list[str]:
    begins, checkpoint = reader.verification.begins, reader.from_checkpoint
    if begins <= 1 and checkpoint is None:
        return []
    if checkpoint is None:
        return [t("begins at record {begins}, and has no checkpoint: no signature was judged", begins=begins)]
    if checkpoint == begins:
        return [t("begins at record {begins}, a checkpoint: the records before it are not here", begins=begins)]
    values = {"begins": begins, "record": checkpoint}
    return [t("begins at record {begins}; used from the checkpoint at record {record} on", **values)]


def _show_record(record: Record, teller: Storyteller, t: Translator) -> None:
    from rich.text import Text

    from endpoints.cli.story_lines import print_told
    from protocol.core.effects import Resend, Seal
    from protocol.core.events import BatchClosed, FrameReceived
    from protocol.wire.instants import written

    out, entry = console(), record.entry
    name = type(entry).__name__
    out.print(Text.assemble((f"{record.n:>7}", "cyan"), f"  {written(entry.at)}  ", (name, "bold")))
    if isinstance(entry, FrameReceived):
        _show_frame(out, f"{entry.channel} {entry.verdict}", entry.frame, t)
    for told in teller.tell(record):
        print_told(told, indent=_INDENT, with_time=False)
    for effect in record.effects:
        if isinstance(effect, Seal) and isinstance(entry, BatchClosed) and effect.index < len(entry.frames):
            _show_frame(out, t("{channel} sealed", channel=effect.channel), entry.frames[effect.index], t)
        elif isinstance(effect, Resend):
            out.print(Text(f"{_INDENT}{t('resend from message {first}', first=effect.first)}", "bright_black"))


def _show_frame(out: Console, what: str, sealed: bytes, t: Translator) -> None:
    from rich.text import Text

    from endpoints.journal.record_view import frame
    from endpoints.texts.printable import one_line

    begin = Text(f"{_INDENT}{what}: ", "bright_black")
    print_row(out, begin, Text(one_line(_frame_line(frame(sealed), t)), "bright_black"))


def _frame_line(opened: dict[str, Any], t: Translator) -> str:
    """Return a summary of a decoded frame."""
    payload = opened.get("payload")
    if not isinstance(payload, dict):
        return str(opened.get("unreadable", ""))
    seqs = [message.get("seq") for message in payload.get("messages", []) if isinstance(message, dict)]
    receipt = payload.get("receipt", payload)
    epoch = t("epoch {epoch}", epoch=payload.get("epoch"))
    words = [f"{payload.get('sender')} -> {payload.get('recipient')}, {epoch}"]
    if seqs:
        several = t("messages {first} to {last}", first=seqs[0], last=seqs[-1])
        words.append(t("message {seq}", seq=seqs[0]) if len(seqs) == 1 else several)
    if isinstance(receipt, dict) and "upto" in receipt:
        words.append(t("receipt up to {seq}", seq=receipt["upto"]))
    return ", ".join([*words, t("signed by {keys}", keys=", ".join(opened["signatures"]))])
