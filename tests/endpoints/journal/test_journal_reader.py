from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from endpoints.errors import UserError
from endpoints.journal.reader import JournalReader
from endpoints.journal.segments import segments
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import DamagedJournal, JournalWriter
from tests.support.journal_samples import LINK, NOON, SIDE, Batch, batch, checkpoint, closed, lines_of, raw_state

BATCHES: list[Batch] = [batch(0), batch(1), batch(2), checkpoint(3), batch(4), closed(5)]
LINES = lines_of(BATCHES)
LOG = b"".join(LINES)


def collected(data: bytes, **chosen: str) -> JournalReader:
    return JournalReader("-", stdin=io.BytesIO(data), **chosen)


def problems(reader: JournalReader) -> list[tuple[int, str]]:
    for _ in reader.records():
        pass
    return [(each.record, each.reason) for each in reader.verification.problems]


def a_folder(tmp_path: Path) -> Path:
    """Return a journal of three segments, closed cleanly."""
    journal = JournalWriter.open(FolderStore(tmp_path / "journal"), LINK, SIDE)
    for number in range(3):
        journal.append(batch(number))
        if number < 2:
            journal.rotate(raw_state(number=number), "1", "Link", NOON, 1, None)
    journal.close(NOON, 1, None)
    return Path(journal.name)


def numbers(reader: JournalReader) -> list[int]:
    return [record.n for record in reader.records()]


def test_a_folder_a_file_and_a_collected_log_read_alike(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    one = tmp_path / "one.jsonl"
    one.write_bytes(b"".join(path.read_bytes().rstrip(b"\0") for path in segments(folder)))
    readers = [JournalReader(str(folder)), JournalReader(str(one)), collected(one.read_bytes())]
    expected = list(range(1, 11))
    for reader in readers:
        assert numbers(reader) == expected
        assert reader.verification.problems == []
        assert not reader.live
    # each segment alone as well: the later ones begin with a checkpoint
    for path in segments(folder):
        alone = JournalReader(str(path))
        assert problems(alone) == []


@pytest.mark.parametrize(
    "dress",
    [
        lambda line: b"eucom-1  | " + line,
        lambda line: b"\x1b[2K\x1b[36meucom-1  | \x1b[0m" + line,
        lambda line: b"\x1b[2K" + line.rstrip(b"\n") + b"\r\n",
        lambda line: b"eucom-1  | 2022-11-29T10:00:00.123456789Z " + line,
        lambda line: b"\n" + line,
        lambda line: b'{"event":"listening","level":"info"}\n' + line,
        lambda line: b"Traceback (most recent call last):\n  {oops}\n" + line,
        lambda line: b"\xff\xfe\x00binary\n" + line,
        lambda line: line + line,
    ],
)
def test_collected_logs_come_as_log_systems_keep_them(dress: Callable[[bytes], bytes]) -> None:
    reader = collected(b"".join(dress(line) for line in LINES))
    assert numbers(reader) == list(range(1, len(LINES) + 1))
    assert reader.verification.problems == []


def test_gaps_of_a_collected_log_are_reported() -> None:
    assert problems(collected(b"".join(LINES[:3] + LINES[5:]))) == [(4, "records 4 to 5 are missing")]
    start = next(index for index, line in enumerate(LINES) if b'"Checkpoint"' in line)
    assert problems(collected(b"".join(LINES[start:]))) == []
    assert problems(collected(b"".join(LINES[start + 1 :]))) == [(1, f"records 1 to {start + 1} are missing")]


@pytest.mark.parametrize("kind", ["file", "folder", "collected"])
def test_every_flipped_bit_is_found(tmp_path: Path, kind: str) -> None:
    log = b"".join(lines_of([batch(1), closed(2)])) + (b"" if kind == "collected" else bytes(64))
    path = tmp_path / f"{1:016d}.jsonl"
    where = {"file": str(path), "folder": str(tmp_path), "collected": "-"}[kind]
    for index in range(0, len(log), 1 if kind == "collected" else 7):
        for bit in range(8):
            changed = bytearray(log)
            changed[index] ^= 1 << bit
            if kind != "collected":
                path.write_bytes(changed)
            reader = JournalReader(where, stdin=io.BytesIO(changed))
            found = problems(reader)
            if not found:
                # around records a collected log may hold anything
                assert kind == "collected"
                assert changed.strip() == log.strip() or reader.verification.records == len(log.splitlines())


def test_every_truncation_is_found_except_between_batches(tmp_path: Path) -> None:
    log = b"".join(lines_of([batch(1), batch(2), closed(2)]))
    path = tmp_path / f"{1:016d}.jsonl"
    ends = {len(b"".join(lines_of([batch(1), batch(2)][:count]))) for count in (1, 2)}
    for length in range(10, len(log)):
        path.write_bytes(log[:length])
        found = problems(JournalReader(str(path)))
        assert bool(found) == (length not in ends)
        if length < min(ends):
            # a segment is named after its first batch is on disk
            continue
        for reader in (JournalReader(str(path)), collected(log[:length])):
            # what went before is still good
            whole = list(reader.whole_records())
            assert [record.ends_batch for record in whole[-1:]] in ([True], [])


def test_replays_stop_at_damage_and_leave_out_an_unfinished_batch(tmp_path: Path) -> None:
    path = tmp_path / f"{1:016d}.jsonl"
    path.write_bytes(b"".join(LINES[:6]))
    reader = JournalReader(str(path))
    assert [record.n for record in reader.whole_records()] == [1, 2, 3, 4, 5]
    assert reader.verification.verdict == "incomplete"
    path.write_bytes(b"".join(LINES[:5] + LINES[6:]))
    reader = JournalReader(str(path))
    with pytest.raises(DamagedJournal, match=": record 6 is missing; see: deconflict log verify") as raised:
        list(reader.whole_records())
    assert raised.value.exit_code == 4


def test_a_journal_that_is_being_written_may_end_anywhere(tmp_path: Path) -> None:
    journal = JournalWriter.open(FolderStore(tmp_path), LINK, SIDE)
    journal.append(batch(0))
    (path,) = segments(tmp_path)
    end = journal.flushed[1]
    following = b"".join(lines_of([batch(1)], n=4, prev=journal.head))
    for torn in (following[:50], following[: following.index(b"\n") + 1], bytes(200) + following[200:]):
        with path.open("r+b") as file:
            file.seek(end)
            file.write(torn)
        for where in (tmp_path, path):
            reader = JournalReader(str(where))
            assert problems(reader) == []
            assert reader.live
            assert reader.verification.records >= 3
    journal.let_go()
    assert problems(JournalReader(str(tmp_path))) != []


def test_a_live_journal_is_checked_all_the_same(tmp_path: Path) -> None:
    journal = JournalWriter.open(FolderStore(tmp_path), LINK, SIDE)
    journal.append(batch(0))
    (path,) = segments(tmp_path)
    with path.open("r+b") as file:
        file.seek(40)
        file.write(b"?")
    assert problems(JournalReader(str(tmp_path))) != []
    journal.let_go()


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"hello\n" * 10, os.urandom(3000), b'{"event":"x"}\n', b"{}\n"])
def test_nothing_that_is_a_record_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.log"
    path.write_bytes(content)
    for reader in (JournalReader(str(path)), collected(content)):
        with pytest.raises(UserError, match="holds no journal record"):
            list(reader.records())


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, reason in [
        ("", "no journal in this folder"),
        ("none", "can't be read: No such file or directory"),
        ("fifo", "neither a folder nor a regular file"),
        ("nul\0name", "not the name of a file"),
        ("x" * 300, "File name too long"),
    ]:
        with pytest.raises(UserError, match=reason):
            list(JournalReader(f"{tmp_path}/{name}").records())


def test_several_journals_in_one_log_must_be_chosen_from() -> None:
    other = lines_of(BATCHES, link="syria")
    both = b"".join(line for pair in zip(LINES, other, strict=True) for line in pair)
    with pytest.raises(UserError, match=r"holds several journals; choose one: --link eucom-ndmc --side eucom, --link"):
        list(collected(both).records())
    assert len(numbers(collected(both, link="syria"))) == len(LINES)
    with pytest.raises(UserError, match="holds no record of the journal chosen by"):
        list(collected(LOG, link="nosuch").records())


def test_segments_of_a_folder_must_follow_each_other(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    first, second, third = segments(folder)
    content = second.read_bytes()
    second.unlink()
    assert problems(JournalReader(str(folder))) == [(4, "records 4 to 6 are missing")]
    second.write_bytes(b"")
    assert [record for record, _ in problems(JournalReader(str(folder)))] == [4, 4]
    second.write_bytes(content[:-30])
    assert problems(JournalReader(str(folder)))[0] == (6, "the last line is cut: it has no newline")
    second.write_bytes(content)
    first.unlink()
    assert problems(JournalReader(str(folder))) == [(1, "records 1 to 3 are missing")]
    third.rename(third.with_name(f"{9:016d}.jsonl"))
    name = f"{9:016d}.jsonl"
    assert (7, f"record 7 stands first in {name}, whose name says 9") in problems(JournalReader(str(folder)))
