"""What workers find ahead of the reader of a journal changes no result: each is compared with that of one process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from endpoints.config import link_file
from endpoints.errors import UserError
from endpoints.journal.read_ahead import Ahead, Overtaken, ReplayAhead, ahead_of
from endpoints.journal.reader import JournalReader
from endpoints.journal.segment_work import lines_in, run_again, spans_in
from endpoints.journal.segments import segments
from endpoints.journal.workers import Workers, processors
from protocol.core.events import BatchClosed, FrameReceived
from protocol.record.audit import Audit
from protocol.record.journal import ORIGIN, Checkpoint, Entry, Record, decode, encode
from protocol.record.replay import SegmentRun
from tests.attacks.forge import write
from tests.support.exchange import link_file as linked
from tests.support.journal_samples import records
from tests.support.small_day import a_day
from tests.vectors.terms import enrolled, party_keys

Run = Callable[..., tuple[int, str, str]]
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a day's journals, with a checkpoint every few records."""
    folder = tmp_path_factory.mktemp("day")
    a_day(folder, segment_bytes=4_000)
    return folder


def records_in(path: Path) -> list[Record]:
    return list(JournalReader(str(path)).whole_records())


@contextmanager
def on_one_processor() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def forged(original: list[Record], changed: Callable[[Record], Entry | None]) -> Iterator[Record]:
    """Yield the records with some entries replaced or left out, hashed anew, as a forger without keys would."""
    prev, n, batch = ORIGIN, 0, 0
    for record in original:
        entry = changed(record)
        if entry is None:
            continue
        n += 1
        batch = batch or n
        line, prev = encode(n, record.link, record.side, batch, entry, record.effects, prev)
        made = decode(line)
        batch = 0 if made.ends_batch else batch
        yield made


def rewritten(changed: Callable[[Record], Entry | None]) -> Change:
    def change(folder: Path) -> None:
        original = records(folder)
        shutil.rmtree(folder)
        write(forged(original, changed), folder)

    return change


def replaced(old: bytes, new: bytes, *, segment: int) -> Change:
    def change(folder: Path) -> None:
        path = segments(folder)[segment]
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new, 1))

    return change


def without(*, segment: int) -> Change:
    def change(folder: Path) -> None:
        segments(folder)[segment].unlink()

    return change


def cut(*, segment: int, by: int) -> Change:
    def change(folder: Path) -> None:
        path = segments(folder)[segment]
        data = path.read_bytes().rstrip(b"\0")
        path.write_bytes(data[:-by])

    return change


def _forged_frame(record: Record) -> Entry:
    if isinstance(record.entry, FrameReceived) and record.entry.channel == "message":
        frame = record.entry.frame.replace(b'"sig":"', b'"sig":"AAAA', 1)
        return msgspec.structs.replace(record.entry, frame=frame)
    return record.entry


def _own_frames_swapped(record: Record) -> Entry:
    if isinstance(record.entry, BatchClosed) and record.entry.frames:
        return msgspec.structs.replace(record.entry, frames=(b"{}", *record.entry.frames[1:]))
    return record.entry


def _other_state(record: Record) -> Entry:
    if isinstance(record.entry, Checkpoint):
        state = msgspec.json.decode(record.entry.state)
        state["connected"] = not state["connected"]
        return msgspec.structs.replace(record.entry, state=msgspec.Raw(msgspec.json.encode(state)))
    return record.entry


def _other_verdict(record: Record) -> Entry:
    if isinstance(record.entry, FrameReceived):
        return msgspec.structs.replace(record.entry, verdict="bad_signature")
    return record.entry


CHANGES: dict[str, Change] = {
    "intact": lambda _: None,
    "a byte of a record": replaced(b"TransportConnected", b"TransportConnectec", segment=0),
    "a byte of a checkpoint": replaced(b'"rules":"6"', b'"rules":"4"', segment=3),
    "a missing segment": without(segment=2),
    "a missing first segment": without(segment=0),
    "a missing last segment": without(segment=-1),
    "an end within a line": cut(segment=-1, by=10),
    "a segment that is cut": cut(segment=2, by=10),
    "a segment that ends early": cut(segment=-2, by=1_500),
    "NUL bytes": replaced(b'"effects"', b"\0\0\0\0", segment=1),
    "a line twice": lambda folder: segments(folder)[1].write_bytes(segments(folder)[1].read_bytes() * 2),
    "an empty segment": lambda folder: segments(folder)[1].write_bytes(b""),
    "no record at all": lambda folder: [each.write_bytes(b"nothing\n") for each in segments(folder)],
    "a frame that nobody signed": rewritten(_forged_frame),
    "own frames that nobody signed": rewritten(_own_frames_swapped),
    "another state": rewritten(_other_state),
    "another verdict": rewritten(_other_verdict),
    "no event of one kind": rewritten(lambda record: None if isinstance(record.entry, FrameReceived) else record.entry),
}


def _link_file(path: Path, **changed: Any) -> Path:
    file = linked()
    if changed:
        party = msgspec.structs.replace(file.parties["eucom"], keys=(enrolled("stranger"),))
        file = msgspec.structs.replace(file, parties=file.parties | {"eucom": party})
    link_file.save(file, path)
    return path


@pytest.mark.skipif(processors() < 2, reason="one processor: nothing is read ahead")
@pytest.mark.parametrize("change", CHANGES)
def test_results_are_those_of_one_process(day: Path, tmp_path: Path, run: Run, change: str) -> None:
    folder = tmp_path / "eucom"
    shutil.copytree(day / "eucom", folder)
    CHANGES[change](folder)
    own, other = _link_file(tmp_path / "link.toml"), _link_file(tmp_path / "other.toml", other=True)
    commands = (
        ("log", "verify", folder, "--json"),
        ("log", "verify", folder, "--link-file", own),
        ("log", "verify", folder, "--link-file", other, "--json"),
        ("replay", folder, "--json"),
        ("replay", folder),
        ("replay", folder, "--until", "2022-11-29T08:00:30Z", "--json"),
    )
    for words in commands:
        together = run(*words)
        with on_one_processor():
            assert processors() == 1
            assert run(*words) == together


def test_workers_verify_and_run_what_the_reader_asks_for(day: Path) -> None:
    reader, passed = JournalReader(str(day / "ndmc")), 0
    with ahead_of(reader, 2, run=True) as ahead:
        assert ahead is not None
        audit, replaying, taken = Audit(), ReplayAhead(ahead.segment), 0
        for record in reader.whole_records():
            assert audit.take(record) == ""
            replaying.take(record)
            taken += 1
            if record.ends_batch and (last := ahead.pass_over(audit, replaying)):
                passed += last - record.n
        result = replaying.finish()
    alone, single = Audit(), ReplayAhead(None)
    for record in records(day / "ndmc"):
        alone.take(record)
        single.take(record)
    assert passed > taken
    assert passed + taken == result.records
    assert audit.signatures == alone.signatures > 3
    assert result.core is not None
    assert single.result.core is not None
    assert result.core.checkpoint() == single.result.core.checkpoint()
    assert result.core.snapshot() == single.result.core.snapshot()
    assert (result.records, result.compared) == (single.result.records, single.result.compared)


def test_one_segment_is_read_by_one_process(day: Path, tmp_path: Path) -> None:
    (alone,) = [tmp_path / "0000000000000001.jsonl"]
    alone.write_bytes(segments(day / "eucom")[0].read_bytes())
    for where in (tmp_path, alone):
        with ahead_of(JournalReader(str(where)), 2) as ahead:
            assert ahead is None
    with ahead_of(JournalReader(str(day / "eucom")), 1) as ahead:
        assert ahead is None
    with ahead_of(JournalReader(str(day / "nothing")), 2) as ahead:
        assert ahead is None


def test_only_frames_that_open_are_in_spans(day: Path) -> None:
    path = segments(day / "eucom")[1]
    keys = party_keys("ed25519")
    found = spans_in(path, 0, 1 << 20, keys, "ed25519").spans
    assert sum(span.signatures for span in found) > 1
    assert spans_in(path, 0, 1 << 20, {"eucom": (enrolled("stranger"),)}, "ed25519").spans != found
    assert spans_in(path, 0, 1 << 20, keys, "ed25519", apart=records_in(path)[-1].hash).spans != found
    assert spans_in(path.with_name("gone.jsonl"), 0, 100, keys, "ed25519").spans == []
    # parts overlap nowhere
    size = path.stat().st_size
    parts = [spans_in(path, begin, begin + 900, keys, "ed25519").spans for begin in range(0, size, 900)]
    numbers = [n for spans in parts for span in spans for n in range(span.first, span.last + 1)]
    assert numbers == sorted(set(numbers))
    assert set(numbers) < {n for span in found for n in range(span.first, span.last + 1)}


def test_a_segment_counts_only_as_it_was_run(day: Path) -> None:
    path = segments(day / "eucom")[1]
    segment = run_again(path, path.stat().st_size).segment
    assert segment is not None
    alone = records_in(path)
    assert (segment.first, segment.last, segment.head) == (alone[0].n, alone[-1].n, alone[-1].hash)

    for wrong in (msgspec.structs.replace(segment, head="0" * 64), msgspec.structs.replace(segment, last=10**6)):
        with pytest.raises(Overtaken):
            _run(alone, ReplayAhead(_given(wrong)))
    replaying = ReplayAhead(_given(segment))
    replaying.take(alone[0])
    with pytest.raises(Overtaken):
        replaying.diverge(alone[1].n, "a signature")
    # what the reader stops in the midst of is run by it
    replaying = ReplayAhead(_given(segment), until=segment.at - 1)
    for record in alone[:-1]:
        replaying.take(record)
    assert replaying.finish().records == len(alone) - 1


@pytest.mark.parametrize("rest", [bytes(4_096), b'{"n":'])
def test_what_stands_behind_the_last_newline_does_not_matter(day: Path, tmp_path: Path, rest: bytes) -> None:
    path = segments(day / "eucom")[1]
    data = path.read_bytes().rstrip(b"\0")
    behind = tmp_path / path.name
    behind.write_bytes(data + rest)
    assert run_again(behind, behind.stat().st_size) == run_again(path, len(data))
    assert run_again(path, len(data)).segment is not None


def _run(taken: list[Record], replaying: ReplayAhead) -> None:
    for record in taken:
        replaying.take(record)
    replaying.finish()


def _given(segment: SegmentRun) -> Callable[[int], SegmentRun | None]:
    """Return what `ReplayAhead` asks for segments: this one was run ahead."""
    return lambda first: segment if first == segment.first else None


def test_an_error_in_a_worker_is_raised(day: Path) -> None:
    reader = JournalReader(str(day / "eucom"))
    with Workers(2) as workers, pytest.raises(ZeroDivisionError):
        workers.submit(divmod, 1, 0).result()
    with pytest.raises(UserError) as raised, ahead_of(reader, 2) as ahead:
        _abort(ahead)
    assert raised.value.exit_code == 1
    assert "a process that helped to read it was ended" in str(raised.value)


def _abort(ahead: Ahead | None) -> None:
    """End a worker as the kernel does when memory runs out."""
    assert ahead is not None
    ahead.segment(1)
    ahead.workers.submit(os._exit, 9).result()


def test_the_quota_of_control_groups_limits_the_workers(tmp_path: Path) -> None:
    groups, mount = tmp_path / "cgroup", tmp_path / "sys"
    allowed = len(os.sched_getaffinity(0))
    assert processors(groups, mount) == allowed
    (mount / "a" / "b").mkdir(parents=True)
    groups.write_text("4:memory:/m\n0::/a/b\n")
    assert processors(groups, mount) == allowed
    (mount / "a" / "b" / "cpu.max").write_text("max 100000\n")
    assert processors(groups, mount) == allowed
    (mount / "a" / "cpu.max").write_text("50000 100000\n")
    assert processors(groups, mount) == 1
    groups.write_text("1:cpu,cpuacct:/c\n")
    (mount / "cpu" / "c").mkdir(parents=True)
    assert processors(groups, mount) == allowed
    (mount / "cpu" / "c" / "cpu.cfs_quota_us").write_text("-1\n")
    (mount / "cpu" / "c" / "cpu.cfs_period_us").write_text("100000\n")
    assert processors(groups, mount) == allowed
    (mount / "cpu" / "cpu.cfs_quota_us").write_text("100000\n")
    (mount / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert processors(groups, mount) == 1


def test_one_long_line_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "long"
    lines = [b"a\n", b"b" * 300 + b"\n", b"c\n", b"d\n", b"e" * 95]
    path.write_bytes(b"".join(lines))
    parts = [(begin, min(begin + 50, path.stat().st_size)) for begin in range(0, path.stat().st_size, 50)]
    found = [list(lines_in(path, *part)) for part in parts]
    assert [line for each in found for _, line in each] == lines[:-1]
    assert all(path.read_bytes().startswith(line, offset) for each in found for offset, line in each)
    assert found[1:6] == [[], [], [], [], []]
