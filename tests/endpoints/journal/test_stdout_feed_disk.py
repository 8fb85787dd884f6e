"""While a journal's disk fails, standard output still carries everything else."""

import json
import os
from pathlib import Path

import pytest

from endpoints.journal.stdout_feed import PLACE, StdoutFeed
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from tests.endpoints.journal.test_stdout_feed import DEADLINE_S, Reader, folder_of, on_disk
from tests.support.journal_samples import LINK, SIDE, batch


@pytest.fixture
def journals(tmp_path: Path) -> list[JournalWriter]:
    journals = [JournalWriter.open(FolderStore(tmp_path / name), LINK, SIDE) for name in ("bad", "good")]
    for journal in journals:
        journal.append(batch(0))
    return journals


def printed(output: StdoutFeed, reader: Reader, journals: list[JournalWriter]) -> list[bytes]:
    output.start()
    for journal in journals:
        journal.append(batch(1))
    output.wake()
    output.write_line(b'{"level":"info","event":"still here"}')
    assert output.close(DEADLINE_S)
    lines = reader.lines()
    assert b'{"level":"info","event":"still here"}\n' in lines
    return lines


def test_a_place_that_can_t_be_written_loses_no_line(journals: list[JournalWriter]) -> None:
    reader = Reader()
    output = StdoutFeed(reader.descriptor)
    for journal in journals:
        output.follow(folder_of(journal), journal)
    # a descriptor that refuses every write, as one on a read-only disk does
    refusing = os.open(folder_of(journals[0]) / PLACE, os.O_RDONLY)
    os.dup2(refusing, output._tails[folder_of(journals[0])]._place)
    os.close(refusing)

    lines = printed(output, reader, journals)

    for journal in journals:
        assert set(on_disk(journal)) <= set(lines)
        journal.let_go()


def test_a_place_that_can_t_be_made_loses_no_line(journals: list[JournalWriter]) -> None:
    (folder_of(journals[0]) / PLACE).mkdir()
    reader = Reader()
    output = StdoutFeed(reader.descriptor)
    for journal in journals:
        output.follow(folder_of(journal), journal)

    lines = printed(output, reader, journals)

    for journal in journals:
        assert set(on_disk(journal)) <= set(lines)
        journal.let_go()


def test_a_reopened_journal_is_continued(journals: list[JournalWriter]) -> None:
    reader = Reader()
    output = StdoutFeed(reader.descriptor)
    for journal in journals:
        output.follow(folder_of(journal), journal)
    output.start()
    journals[0].append(batch(1))
    output.wake()
    journals[0] = journals[0].reopen()
    journals[0].append(batch(2))
    output.follow(folder_of(journals[0]), journals[0])
    journals[0].append(batch(3))
    output.wake()

    assert output.close(DEADLINE_S)

    # the first batch is the same in both
    wanted = on_disk(journals[0])[len(batch(0)) :]
    assert [line for line in reader.lines() if line in wanted] == wanted
    for journal in journals:
        journal.let_go()


def test_a_journal_that_was_given_up_is_continued_when_it_is_reopened(journals: list[JournalWriter]) -> None:
    reader = Reader()
    output = StdoutFeed(reader.descriptor)
    for journal in journals:
        output.follow(folder_of(journal), journal)
    segment = folder_of(journals[0]) / "0000000000000001.jsonl"
    kept = segment.rename(segment.with_suffix(".kept"))
    segment.symlink_to(segment.name)
    output.start()
    reader.start()
    reader.until(b"journal not printed any more")
    segment.unlink()
    kept.rename(segment)

    journals[0] = journals[0].reopen()
    output.follow(folder_of(journals[0]), journals[0])
    journals[0].append(batch(1))
    output.wake()

    assert output.close(DEADLINE_S)
    assert set(on_disk(journals[0])) <= set(reader.lines())
    for journal in journals:
        journal.let_go()


def test_a_journal_that_can_t_be_read_is_given_up_and_named_and_the_others_are_printed(
    journals: list[JournalWriter],
) -> None:
    reader = Reader()
    output = StdoutFeed(reader.descriptor)
    for journal in journals:
        output.follow(folder_of(journal), journal)
    (folder_of(journals[0]) / "0000000000000001.jsonl").unlink()
    (folder_of(journals[0]) / "0000000000000001.jsonl").symlink_to("0000000000000001.jsonl")

    lines = printed(output, reader, journals)

    assert set(on_disk(journals[1])) <= set(lines)
    told = [json.loads(line) for line in lines if b'"level":"error"' in line]
    assert [each["journal"] for each in told] == [str(folder_of(journals[0]))]
    for journal in journals:
        journal.let_go()
