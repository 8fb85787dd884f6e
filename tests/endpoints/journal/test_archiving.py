"""Archiving a journal: what every reader makes of it, what a kill leaves, and what is never removed."""

import gzip
import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from endpoints.errors import UserError
from endpoints.journal.archived_segment import DamagedArchive, open_segment
from endpoints.journal.archiving import Step, archive
from endpoints.journal.batch_reader import BatchReader
from endpoints.journal.reader import JournalReader
from endpoints.journal.segments import is_archived, lock_against_archiving, segments
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import DamagedJournal, JournalWriter
from protocol.record.journal import Record
from protocol.wire.instants import parsed
from tests.support.journal_samples import LINK, NOON, SIDE, batch, raw_state, records
from tests.support.recorded import record

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    record(folder, hours=3, segment_bytes=20_000)
    assert len(segments(folder / SIDE)) > 3
    return folder / SIDE


@pytest.fixture
def journal(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "journal"))


def content(folder: Path) -> bytes:
    """Return the records of a journal, whatever form its segments have."""
    found = []
    for path in segments(folder):
        with open_segment(path) as file:
            found.append(file.read().rstrip(b"\0"))
    return b"".join(found)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith("lock"))


# --- in place -----------------------------------------------------------------------------------------------------


def test_every_segment_but_the_last_is_replaced_by_its_archive(journal: Path, recorded: Path) -> None:
    done = archive(journal, NOON)

    *ended, last = segments(recorded)
    assert names(journal) == [f"{path.name}.gz" for path in ended] + [last.name]
    assert content(journal) == content(recorded)
    assert records(journal) == records(recorded)
    assert [path.name for path in done.archived] == [f"{path.name}.gz" for path in ended]
    assert done.bytes > 2 * done.archive_bytes


def test_gzip_unpacks_an_archive(journal: Path, recorded: Path) -> None:
    archive(journal, NOON)

    assert gzip.decompress(segments(journal)[0].read_bytes()) == segments(recorded)[0].read_bytes()


def test_archiving_again_changes_nothing(journal: Path) -> None:
    archive(journal, NOON)
    before = {path.name: path.read_bytes() for path in segments(journal)}

    assert not archive(journal, NOON).archived
    assert {path.name: path.read_bytes() for path in segments(journal)} == before


def test_a_service_goes_on_writing_and_begins_segments_meanwhile(tmp_path: Path) -> None:
    """It holds its own lock, and never waits for the archive."""
    service = JournalWriter.open(FolderStore(tmp_path / "journal"), LINK, SIDE)
    for number in range(3):
        service.append(batch(number))
        service.rotate(raw_state(number=number), "1", "Link", NOON, number, None)

    def goes_on(step: Step, _path: Path, _bytes: int) -> None:
        number = service.n
        service.append(batch(number))
        if step == "packed":
            service.rotate(raw_state(number=number), "1", "Link", NOON, number, None)

    done = archive(tmp_path / "journal", NOON, noted=goes_on)
    service.close(NOON, 1, None)

    assert len(done.archived) == 3
    found = records(tmp_path / "journal")
    assert [each.n for each in found] == list(range(1, service.n + 1))
    again = JournalWriter.open(FolderStore(tmp_path / "journal"), LINK, SIDE)
    assert again.n == service.n
    again.let_go()


def test_zeros_behind_the_last_batch_are_not_archived(journal: Path, recorded: Path) -> None:
    """The service has not cut them yet."""
    first = segments(journal)[0]
    first.write_bytes(first.read_bytes() + bytes(70_000))

    archive(journal, NOON)

    assert content(journal) == content(recorded)


@pytest.mark.parametrize("what", ["changed", "cut", "hole"])
def test_a_damaged_segment_is_not_archived(journal: Path, what: str) -> None:
    first = segments(journal)[0]
    data = bytearray(first.read_bytes())
    if what == "changed":
        data[300] ^= 1
    elif what == "hole":
        data[512:1_024] = bytes(512)
    else:
        del data[-100:]
    first.write_bytes(data)

    with pytest.raises(DamagedJournal, match=r"0000000000000001\.jsonl: .*not archived"):
        archive(journal, NOON)
    assert first.read_bytes() == data
    assert f"{first.name}.gz" not in names(journal)


def test_two_archivings_do_not_run_at_once(journal: Path) -> None:
    held = lock_against_archiving(journal)
    with pytest.raises(UserError, match="another process archives this journal now"):
        archive(journal, NOON)
    os.close(held)
    assert archive(journal, NOON).archived


# --- elsewhere ----------------------------------------------------------------------------------------------------


def test_the_archive_has_the_last_segment_as_far_as_it_goes(tmp_path: Path) -> None:
    folder, to = tmp_path / "journal", tmp_path / "archive"
    service = JournalWriter.open(FolderStore(folder), LINK, SIDE)
    service.append(batch(0))
    archive(folder, NOON, to=to)
    first = records(to)
    service.append(batch(1))
    service.rotate(raw_state(number=1), "1", "Link", NOON, 1, None)
    service.append(batch(2))
    done = archive(folder, NOON, to=to)
    service.let_go()

    assert len(first) == len(batch(0))
    assert records(to) == records(folder)
    assert (done.records, done.head) == (service.n, service.head)
    assert all(is_archived(path) for path in segments(to))
    # the journal is as it was
    assert not any(is_archived(path) for path in segments(folder))


def test_only_what_is_old_and_in_the_archive_is_removed(journal: Path, recorded: Path, tmp_path: Path) -> None:
    to = tmp_path / "archive"
    ends = [records_of(path)[-1].entry.at for path in segments(recorded)]

    done = archive(journal, parsed("2022-11-30T00:00:00.000Z"), to=to, remove_older_ms=HOUR_MS)

    old = [path.name for path, at in zip(segments(recorded), ends, strict=True) if at < ends[-1] - HOUR_MS]
    assert 0 < len(old) < len(ends) - 1
    assert [path.name for path in done.removed] == old
    assert content(to) == content(recorded)
    reader = JournalReader(str(journal))
    kept = list(reader.whole_records())
    assert reader.verification.verdict == "intact"
    assert reader.moved is not None
    assert reader.moved.records == kept[0].n - 1
    assert reader.moved.head == kept[0].prev
    assert content(recorded).endswith(content(journal))


def records_of(path: Path) -> list[Record]:
    return list(JournalReader(str(path)).records())


def test_segments_that_are_missing_beyond_the_mark_are_reported(journal: Path, tmp_path: Path) -> None:
    archive(journal, NOON, to=tmp_path / "archive", remove_older_ms=HOUR_MS)
    segments(journal)[0].unlink()

    reader = JournalReader(str(journal))
    assert list(reader.records())
    assert reader.verification.verdict == "changed"


def test_a_mark_of_another_journal_is_reported(journal: Path, tmp_path: Path) -> None:
    archive(journal, NOON, to=tmp_path / "archive", remove_older_ms=HOUR_MS)
    mark = journal / "archived.json"
    head = records(journal)[0].prev
    mark.write_text(mark.read_text().replace(head, "a" * 64))

    reader = JournalReader(str(journal))
    assert list(reader.records())
    assert [problem.reason.partition(",")[0] for problem in reader.verification.problems] == [
        f"it does not follow from record {records_before(journal)}"
    ]


def test_nothing_is_removed_for_an_archive_that_lacks_what_was_removed_before(journal: Path, tmp_path: Path) -> None:
    first = archive(journal, NOON, to=tmp_path / "a", remove_older_ms=HOUR_MS)
    assert first.removed
    mark, kept = (journal / "archived.json").read_bytes(), segments(journal)

    with pytest.raises(UserError, match="lacks the records before"):
        archive(journal, NOON, to=tmp_path / "b", remove_older_ms=0)
    assert (journal / "archived.json").read_bytes() == mark
    assert segments(journal) == kept

    assert archive(journal, NOON, to=tmp_path / "a", remove_older_ms=0).removed


def test_a_mark_that_names_a_record_beyond_the_journal_is_reported(journal: Path, tmp_path: Path) -> None:
    archive(journal, NOON, to=tmp_path / "archive", remove_older_ms=HOUR_MS)
    mark = journal / "archived.json"
    mark.write_text(mark.read_text().replace(f'"records":{records_before(journal)}', f'"records":{10**12}'))
    assert str(10**12) in mark.read_text()

    reader = JournalReader(str(journal))
    assert list(reader.records())
    assert [problem.reason for problem in reader.verification.problems] == [
        f"the note of the archive names record {10**12}, which is not in this journal"
    ]


def records_before(journal: Path) -> int:
    return int(segments(journal)[0].name[:16]) - 1


@pytest.mark.parametrize("damage", ["flipped", "cut", "another"])
def test_nothing_is_removed_whose_archive_is_not_as_it_was(journal: Path, tmp_path: Path, damage: str) -> None:
    to = tmp_path / "archive"
    archive(journal, NOON, to=to)
    archived = segments(to)[1]
    data = bytearray(archived.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 4
    elif damage == "cut":
        del data[-1:]
    else:
        data = bytearray(segments(to)[0].read_bytes())
    archived.write_bytes(data)
    before = content(journal)

    with pytest.raises(DamagedArchive) as raised:
        archive(journal, NOON, to=to, remove_older_ms=0)

    assert raised.value.exit_code == (3 if damage == "cut" else 4)
    assert content(journal) == before
    assert archived.read_bytes() == data


def test_a_journal_is_not_archived_into_itself(journal: Path) -> None:
    with pytest.raises(UserError, match="the journal itself"):
        archive(journal, NOON, to=journal / ".." / journal.name)


# --- kills --------------------------------------------------------------------------------------------------------


def killed(work: Callable[..., object], at: int) -> bool:
    """Run `work` in a process that is killed at its step `at`; return whether it came so far."""
    child = os.fork()
    if child == 0:
        left = at

        def noted(_step: Step, _path: Path, _bytes: int) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            work(noted=noted)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("mode", ["in place", "elsewhere"])
def test_a_kill_at_any_step_loses_nothing(recorded: Path, tmp_path: Path, mode: str) -> None:
    whole = content(recorded)
    step = 0
    while True:
        step += 1
        folder = tmp_path / str(step)
        journal, to = Path(shutil.copytree(recorded, folder / "journal")), folder / "archive"
        work = partial(archive, journal, NOON)
        if mode == "elsewhere":
            work = partial(archive, journal, NOON, to=to, remove_older_ms=0)
        reached = killed(work, step)
        left = content(journal)
        if mode == "in place":
            assert left == whole, step
            assert JournalReader(str(journal)).files == segments(journal)
        else:
            # what is not in the journal any more is in the archive
            assert whole.endswith(left), step
            assert content(to) == whole if left != whole else whole.startswith(content(to)), step
        reader = JournalReader(str(journal))
        assert list(reader.records())
        assert reader.verification.verdict == "intact", step
        # the next run completes it
        work()
        if mode == "in place":
            assert [is_archived(path) for path in segments(journal)] == [True] * (len(segments(recorded)) - 1) + [False]
            assert len(names(journal)) == len(segments(recorded))
        else:
            assert content(to) == whole
            assert len(segments(journal)) == 1
        if not reached:
            break
    assert step > 4 * (len(segments(recorded)) - 1)


@pytest.mark.parametrize("step", ["packed", "verified"])
def test_an_interrupt_leaves_nothing_half_done(journal: Path, recorded: Path, step: Step) -> None:
    def interrupted(now: Step, _path: Path, _bytes: int) -> None:
        if now == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive(journal, NOON, noted=interrupted)
    assert names(journal) == names(recorded)


# --- readers that follow ------------------------------------------------------------------------------------------


def test_a_follower_reads_on_when_what_it_has_read_is_archived(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    service = JournalWriter.open(FolderStore(folder), LINK, SIDE)
    service.append(batch(0))
    service.append(batch(1))
    follower = BatchReader(folder)
    got = [each.n for each in next(follower.batches())]
    service.rotate(raw_state(), "1", "Link", NOON, 1, None)
    service.append(batch(2))
    archive(folder, NOON)
    got += [each.n for found in follower.batches() for each in found]
    service.rotate(raw_state(), "1", "Link", NOON, 1, None)
    service.append(batch(3))
    archive(folder, NOON)
    got += [each.n for found in follower.batches() for each in found]
    service.let_go()

    assert got == list(range(1, service.n + 1))


def test_a_follower_reads_on_when_what_it_has_read_is_removed(tmp_path: Path) -> None:
    folder, to = tmp_path / "journal", tmp_path / "archive"
    service = JournalWriter.open(FolderStore(folder), LINK, SIDE)
    service.append(batch(0))
    follower = BatchReader(folder)
    got = [each.n for found in follower.batches() for each in found]
    service.rotate(raw_state(), "1", "Link", NOON + 9_000_000, 1, None)
    service.append(batch(2))
    archive(folder, NOON, to=to, remove_older_ms=0)
    assert len(segments(folder)) == 1
    got += [each.n for found in follower.batches() for each in found]
    service.let_go()

    assert got == list(range(1, service.n + 1))


def test_a_journal_whose_last_segment_is_archived_is_not_continued(journal: Path, tmp_path: Path) -> None:
    archive(journal, NOON, to=tmp_path / "archive")

    with pytest.raises(UserError, match="deconflict log restore"):
        FolderStore(tmp_path / "archive").open(create=False)
