"""Passing over what workers have verified finds what reading every record finds: on damaged, forged and old journals.

The workers' functions are called in this process, part by part, so that many damaged journals take little time.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from endpoints.cli.log import finding
from endpoints.config import default_terms
from endpoints.errors import UserError
from endpoints.journal.read_ahead import Ahead, Overtaken, ReplayAhead
from endpoints.journal.reader import JournalReader
from endpoints.journal.segment_work import run_again
from endpoints.journal.segments import segments
from endpoints.journal.workers import Workers
from protocol.core.effects import AnyEffect
from protocol.core.events import BatchClosed, FrameReceived, OfficerAcknowledged, OfficerRaisedAlert, Started
from protocol.core.start_events import KeysEnrolled, OfficersEnrolled
from protocol.record.audit import Audit
from protocol.record.journal import ORIGIN, Checkpoint, Closed, Entry, HeadSigned, Record, decode, encode
from protocol.record.replay import Replay
from protocol.record.trusted_files import TrustedFile
from tests.attacks.forge import write
from tests.golden.cases import archives, unpack
from tests.support.exchange import link_file
from tests.support.recorded import record
from tests.vectors.terms import enrolled

SIDES = ("eucom", "ndmc")
PART_BYTES = 2_500
"""A few records."""
FILE = link_file(default_terms.terms())
TRUSTED = TrustedFile("link.toml", FILE.terms, FILE.keys, FILE.watch_keys)
OTHER = TrustedFile("other.toml", FILE.terms, FILE.keys | {"eucom": (enrolled("stranger"),)}, ())
GIVEN: tuple[list[TrustedFile], ...] = ([], [TRUSTED], [OTHER, TRUSTED])
OLD = [path for path in archives() if path.name.partition(".")[0] in {"epochs", "segments"}]
OF_EACH_KIND = 4
"""Places that are damaged."""


class AtOnce(Workers):
    """Does each task at once, in this process."""

    def submit(self, task: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(task(*args, **named))
        return future


def verified(
    folder: Path, trusted: list[TrustedFile], expected: str | None, ahead: Callable[..., Ahead] | None
) -> tuple[Any, int]:
    """Return all that `log verify` finds, and how many records were passed over."""
    reader, audit, seen, passed = JournalReader(str(folder)), Audit(trusted), False, 0
    over = None if ahead is None else ahead(reader, AtOnce(2), apart=expected)
    try:
        for each in reader.records():
            if not reader.founded:
                audit.interrupt()
            elif wrong := audit.take(each):
                reader.verification.note(each.n, wrong)
            seen = seen or each.hash == expected
            if over is not None and each.ends_batch and (last := over.pass_over(audit)):
                passed += last - each.n
    except UserError as error:
        return str(error), 0
    reader.verification.sort()
    audited = (audit.records, audit.signatures, audit.watch_without_key, sorted(audit.enrolled), audit.beyond)
    return (finding(reader, audit), reader.verification.unlisted, audited, seen), passed


def replayed(folder: Path, until: int | None, ahead: Callable[..., Ahead] | None) -> tuple[Any, int]:
    """Return all that `replay` finds, and how many records were passed over."""
    reader, audit, last, passed = JournalReader(str(folder)), Audit(), 0, 0
    over = None if ahead is None else ahead(reader, AtOnce(2), run=True)
    replaying = ReplayAhead(None if over is None else over.segment, until)
    try:
        for each in reader.whole_records():
            if until is not None and each.entry.at > until:
                break
            last = each.n
            if wrong := audit.take(each):
                replaying.diverge(each.n, wrong)
            replaying.take(each)
            if over is not None and each.ends_batch:
                last = over.pass_over(audit, replaying) or last
                passed += last - each.n
        result: Replay = replaying.finish()
    except UserError as error:
        return str(error), passed
    except Overtaken:
        return replayed(folder, until, None)[0], passed
    state = None if result.core is None else bytes(result.core.checkpoint())
    found = (result.records, result.compared, result.divergence, result.not_run_again, result.other_rules, state)
    return (*found, last, audit.signatures, reader.verification.problems), passed


def in_parts(reader: JournalReader, workers: Workers, **options: Any) -> Ahead:
    return Ahead(reader, workers, part_bytes=PART_BYTES, **options)


def compare(folder: Path, number: int = 0, until: int | None = None) -> int:
    """Compare both ways of reading a journal; return how many records were passed over.

    The number selects the link files, and the parts that workers take.
    """
    trusted, ahead = GIVEN[number % len(GIVEN)], (in_parts, Ahead)[number % 2]
    found, passed = verified(folder, trusted, None, ahead)
    assert found == verified(folder, trusted, None, None)[0]
    again, over = replayed(folder, until, Ahead)
    assert again == replayed(folder, until, None)[0]
    return passed + over


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an hour's journals, in several segments, with signed heads."""
    folder = tmp_path_factory.mktemp("day")
    record(folder, hours=1, segment_bytes=9_000)
    return folder


@pytest.fixture
def journal(day: Path, tmp_path: Path) -> Path:
    """Return a copy of one side's journal."""
    return Path(shutil.copytree(day / "eucom", tmp_path / "eucom"))


@pytest.mark.parametrize("side", SIDES)
def test_most_records_of_an_intact_journal_are_passed_over(day: Path, side: str) -> None:
    folder = day / side
    records = list(JournalReader(str(folder)).records())
    found, passed = verified(folder, [TRUSTED], None, Ahead)
    assert found == verified(folder, [TRUSTED], None, None)[0]
    assert passed > len(records) // 2
    assert sum(compare(folder, number) for number in range(len(GIVEN))) > 2 * len(records)
    for until in (records[10].entry.at, records[len(records) // 2].entry.at, records[-2].entry.at):
        assert compare(folder, until=until)


def test_a_record_whose_hash_is_expected_is_seen(day: Path) -> None:
    for each in list(JournalReader(str(day / "eucom")).records())[::5]:
        assert verified(day / "eucom", [], each.hash, in_parts)[0][-1]
    assert not verified(day / "eucom", [], "0" * 64, in_parts)[0][-1]


def test_damage_anywhere_is_found_alike(journal: Path) -> None:
    drawn = random.Random(12)
    for number in range(OF_EACH_KIND):
        path = drawn.choice(segments(journal))
        data = path.read_bytes()
        length = len(data.rstrip(b"\0"))
        at, more = drawn.randrange(length), drawn.randrange(1, 2_000)
        flipped = bytearray(data)
        flipped[at] ^= 1 << drawn.randrange(8)
        for damaged in (
            bytes(flipped),
            data[:at],
            data[:at] + data[at + more :],
            data[:at] + data[max(at - more, 0) :],
            data[:at] + bytes(more) + data[at + more :],
            without_a_line(data, at),
            with_a_line_twice(data, at),
        ):
            path.write_bytes(damaged)
            compare(journal, number)
        path.write_bytes(data)
    assert compare(journal)


def line_around(data: bytes, at: int) -> tuple[int, int]:
    """Return the offsets of the line in which a byte stands."""
    return data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at) + 1 or len(data)


def without_a_line(data: bytes, at: int) -> bytes:
    begin, end = line_around(data, at)
    return data[:begin] + data[end:]


def with_a_line_twice(data: bytes, at: int) -> bytes:
    begin, end = line_around(data, at)
    return data[:end] + data[begin:end] + data[end:]


Changed = Callable[[Record], Entry | None]


def forged(original: list[Record], changed: Changed, batch_of: Callable[[int], int] = int) -> Iterator[Record]:
    """Yield the records with some entries replaced or left out, hashed anew, as a forger without keys would."""
    prev, n, batch = ORIGIN, 0, 0
    for each in original:
        if (entry := changed(each)) is None:
            continue
        n += 1
        batch = batch or batch_of(n)
        effects: tuple[AnyEffect, ...] = each.effects
        line, prev = encode(n, each.link, each.side, batch, entry, effects, prev)
        made = decode(line)
        batch = 0 if made.ends_batch else batch
        yield made


def _replaced(kind: type[Any], **values: Any) -> Changed:
    def change(each: Record) -> Entry | None:
        return msgspec.structs.replace(each.entry, **values) if isinstance(each.entry, kind) else each.entry

    return change


def _left_out(*kinds: type[Any]) -> Changed:
    return lambda each: None if isinstance(each.entry, kinds) else each.entry


def _later(each: Record) -> Entry:
    """Return the entry, with an hour between every two records."""
    return msgspec.structs.replace(each.entry, at=each.entry.at + each.n * 3_600_000, mono=each.n * 3_600_000)


def _torn(each: Record) -> Entry:
    entry = each.entry
    if isinstance(entry, BatchClosed) and entry.frames and each.n % 3 == 0:
        return msgspec.structs.replace(entry, frames=(entry.frames[0].replace(b'"sig":"', b'"sig":"AAAA', 1),))
    return entry


def _unsigned(each: Record) -> Entry | None:
    """Return the entry without a signed head, None for one that has nothing else."""
    entry = each.entry
    if isinstance(entry, Checkpoint | Closed):
        return msgspec.structs.replace(entry, signed_head=msgspec.UNSET)
    return None if isinstance(entry, HeadSigned) else entry


FORGERIES: dict[str, Changed] = {
    "nothing is changed": lambda each: each.entry,
    "an officer who is not enrolled": _replaced(OfficerRaisedAlert, officer="stranger"),
    "another one": _replaced(OfficerAcknowledged, officer="stranger"),
    "no officers are enrolled": _left_out(OfficersEnrolled),
    "no keys are enrolled": _left_out(KeysEnrolled),
    "another verdict": _replaced(FrameReceived, verdict="bad_signature"),
    "another channel": _replaced(FrameReceived, channel="receipt"),
    "another sender": _replaced(FrameReceived, sender="eucom"),
    "frames that nobody signed": _torn,
    "no signed heads": _unsigned,
    "no start": _left_out(Started),
    "an hour between records": _later,
    "an hour between records, and no signed heads": lambda each: None if _unsigned(each) is None else _later(each),
    "no checkpoints": _left_out(Checkpoint),
    "other rules": lambda each: (
        msgspec.structs.replace(each.entry, rules="4") if isinstance(each.entry, Checkpoint) else each.entry
    ),
}


@pytest.mark.parametrize("changed", FORGERIES)
@pytest.mark.parametrize("side", SIDES)
def test_forged_journals_are_judged_alike(day: Path, tmp_path: Path, side: str, changed: str) -> None:
    original = list(JournalReader(str(day / side)).records())
    folder = tmp_path / side
    write(forged(original, FORGERIES[changed]), folder)
    for number in range(len(GIVEN)):
        compare(folder, number)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("every", [1, 2, 5])
def test_batches_of_wrong_numbers_are_judged_alike(day: Path, tmp_path: Path, side: str, every: int) -> None:
    original = list(JournalReader(str(day / side)).records())
    folder = tmp_path / side
    write(forged(original, _unsigned, lambda n: n if n % every else n + 90), folder)
    for number in range(len(GIVEN)):
        compare(folder, number)


@pytest.mark.parametrize("archive", OLD, ids=lambda path: f"{path.parent.name}-{path.name.partition('.')[0]}")
def test_journals_of_all_rules_are_judged_alike(archive: Path, tmp_path: Path) -> None:
    unpack(archive, tmp_path)
    for folder in sorted({path.parent for path in tmp_path.rglob("0*.jsonl")}):
        compare(folder)


def test_an_audit_admits_no_span_before_it_knows_the_keys(day: Path) -> None:
    first = segments(day / "eucom")[0]
    spans = run_again(first, first.stat().st_size).spans
    assert spans
    assert not any(Audit().admits(span) for span in spans)


def test_a_worker_that_finds_nothing_changes_nothing(day: Path) -> None:
    class Idle(AtOnce):
        def submit(self, task: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
            return super().submit(task, Path("gone.jsonl"), *args[1:], **named)

    reader, audit = JournalReader(str(day / "eucom")), Audit()
    ahead = Ahead(reader, Idle(2))
    for each in reader.records():
        assert audit.take(each) == ""
        assert not ahead.pass_over(audit)
