"""The console's history: it follows a journal that rotates, is cut by a crash, damaged, or restored under it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from endpoints.config.settings import LinkSettings
from endpoints.console.history import History, Meanwhile
from endpoints.journal.reader import JournalReader
from endpoints.journal.segments import segments
from protocol.core.duty import OwnWords
from protocol.record.ledger import ledger_of
from protocol.wire.messages import Reference
from tests.support.exchange import link_file
from tests.support.journal_samples import batch, lines_of
from tests.support.small_day import a_day, begun

FAR = 1 << 40


def link_of(folder: Path) -> LinkSettings:
    return LinkSettings(file=folder / "link.toml", content=link_file(), journal=folder, words=OwnWords())


def history_of(folder: Path, **options: int) -> History:
    return History(link_of(folder), folder.name, **options)


@pytest.fixture
def day(tmp_path: Path) -> Path:
    a_day(tmp_path, segment_bytes=1 << 13)
    return tmp_path / "eucom"


async def test_a_journal_of_many_segments_is_folded_as_a_reader_folds_it(day: Path) -> None:
    assert len(segments(day)) > 1
    history = history_of(day)
    await history.bring_up_to(FAR)
    whole = ledger_of(JournalReader(str(day)).whole_records())
    assert list(history.ledger.entries) == list(whole.entries)
    assert history.ledger.happenings.listed == whole.happenings.listed
    assert (history.begins, history.trouble, history.catching_up) == (1, "", False)


async def test_new_records_are_folded_when_they_are_asked_for(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    history = history_of(tmp_path / "eucom")
    await history.bring_up_to(FAR)
    before = history.upto
    assert not history.ledger.entries
    reference = Reference.parse(exchange.delivered("eucom"))
    await history.bring_up_to(before + 1)
    assert reference in history.ledger.entries
    assert history.between(before, history.upto) == Meanwhile(messages=1, alerts=1, tests=0, alarms=0)
    assert history.between(history.upto, history.upto) == Meanwhile(messages=0, alerts=0, tests=0, alarms=0)


async def test_a_batch_that_a_crash_cut_is_read_as_the_next_start_writes_it(tmp_path: Path) -> None:
    lines = lines_of([batch(0), batch(1)])
    path = tmp_path / "0000000000000001.jsonl"
    whole = len(lines_of([batch(0)]))
    # of the second batch, one whole record is there
    path.write_bytes(b"".join(lines[: whole + 1]))
    history = history_of(tmp_path)
    await history.bring_up_to(FAR)
    assert history.upto == whole
    other = lines_of([batch(0), batch(2)])
    path.write_bytes(b"".join(other))
    await history.bring_up_to(FAR)
    assert (history.upto, history.trouble, history.generation) == (len(other), "", 0)


async def test_a_restored_journal_is_read_anew(day: Path) -> None:
    history = history_of(day)
    await history.bring_up_to(FAR)
    known = history.upto
    copy = day.with_name("copy")
    shutil.copytree(day, copy)
    for path in segments(copy)[1:]:
        path.unlink()
    shutil.move(day, day.with_name("aside"))
    # between the two renames nothing is there: what is known stays
    await history.bring_up_to(FAR)
    assert "can't be read" in history.trouble
    assert history.upto == known
    shutil.move(copy, day)
    await history.bring_up_to(FAR)
    assert (history.trouble, history.generation) == ("", 1)
    assert 0 < history.upto < known


async def test_a_journal_that_was_rewritten_in_place_is_read_anew(day: Path) -> None:
    history = history_of(day)
    await history.bring_up_to(FAR)
    for path in segments(day)[1:]:
        path.unlink()
    first = segments(day)[0]
    with first.open("r+b") as file:
        file.truncate(0)
        file.write(b"".join(lines_of([batch(0)])))
    await history.bring_up_to(FAR)
    await history.bring_up_to(FAR)
    assert history.upto == len(lines_of([batch(0)]))
    assert history.generation == 1


async def test_damage_is_said_and_what_was_read_before_stays(day: Path) -> None:
    history = history_of(day)
    await history.bring_up_to(FAR)
    upto, last = history.upto, segments(day)[-1]
    content = last.read_bytes()
    end = len(content.rstrip(b"\0"))
    with last.open("r+b") as file:
        file.seek(end)
        file.write(b"rubbish\n")
    await history.bring_up_to(upto + 1)
    assert "it is cut" in history.trouble
    assert history.upto == upto
    with last.open("r+b") as file:
        file.write(content)
        file.truncate(len(content))
    await history.bring_up_to(upto + 1)
    assert history.trouble == ""


async def test_of_a_long_journal_the_oldest_segments_are_left_out(day: Path) -> None:
    newest = segments(day)[-1]
    history = history_of(day, most_bytes=newest.stat().st_size)
    await history.bring_up_to(FAR)
    assert history.begins == int(newest.stem)
    assert history.ledger.partial


async def test_a_journal_that_is_not_there_yet_is_read_once_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "eucom"
    history = history_of(folder)
    await history.bring_up_to(1)
    assert "No such file" in history.trouble
    a_day(tmp_path)
    await asyncio.gather(*(history.bring_up_to(FAR) for _ in range(5)))
    assert history.trouble == ""
    assert history.ledger.entries
