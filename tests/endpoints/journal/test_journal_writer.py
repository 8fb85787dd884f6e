import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from endpoints.errors import UserError
from endpoints.journal.segments import locked, segments
from endpoints.journal.store import AHEAD_MAX_BYTES, AHEAD_MIN_BYTES, FolderStore
from endpoints.journal.writer import SEGMENT_BYTES, Batch, DamagedJournal, JournalFailure, JournalWriter
from protocol.core.events import BatchClosed, SpaceLow
from protocol.errors import JournalError
from protocol.record.journal import HEAD_TYPE, Chain, Checkpoint, Closed, Record, head_payload
from tests.support.failing_disk import refuse_writes
from tests.support.journal_samples import LINK, NOON, SIDE, batch, raw_state

_MEMORY = Path("/dev/shm")


def opened(folder: Path, segment_bytes: int = SEGMENT_BYTES) -> JournalWriter:
    return JournalWriter.open(FolderStore(folder), LINK, SIDE, segment_bytes=segment_bytes)


def sealed(payload_type: str, payload: bytes) -> bytes:
    return payload_type.encode() + b" " + payload


def crash(journal: JournalWriter) -> None:
    """End the journal as a killed process does: nothing more is written."""
    journal.let_go()


def assert_not_due(journal: JournalWriter) -> None:
    assert not journal.rotate_due


def records(folder: Path) -> Iterator[Record]:
    chain = Chain()
    for path in segments(folder):
        for line in path.read_bytes().rstrip(b"\0").splitlines():
            yield chain.take(line)


def test_what_is_appended_is_recovered(tmp_path: Path) -> None:
    folder = tmp_path / "journal" / LINK
    journal = opened(folder)
    assert journal.recovered == ()
    assert journal.flushed == (0, 0)
    assert journal.append(batch(0)) == 1
    assert journal.append(batch(1)) == 4
    assert journal.n == 5
    end = journal.flushed[1]
    crash(journal)

    again = opened(folder)
    assert [record.entry for record in again.recovered] == [entry for n in (0, 1) for entry, _ in batch(n)]
    assert again.cut_bytes == 0
    assert again.flushed == (1, end)
    assert again.head == again.recovered[-1].hash
    assert again.append(batch(2)) == 6
    again.close(NOON, 1, sealed)
    found = list(records(folder))
    assert [record.n for record in found] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert isinstance(found[-1].entry, Closed)
    assert found[-1].entry.signed_head == f"{HEAD_TYPE} {head_payload(LINK, SIDE, 7, found[-2].hash).decode()}"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the system calls by which a journal is made durable, in order."""
    made: list[str] = []

    def noting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            made.append(name)
            return call(*arguments)

        return noted

    for name in ("pwrite", "fdatasync", "fsync"):
        monkeypatch.setattr(os, name, noting(name, getattr(os, name)))
    monkeypatch.setattr(Path, "rename", noting("rename", Path.rename))
    return made


def test_a_batch_is_flushed_before_anybody_acts_upon_it(tmp_path: Path, calls: list[str]) -> None:
    journal = opened(tmp_path)
    calls.clear()
    journal.append(batch(0))
    # the file before its name, the name before the batch counts
    assert calls == ["pwrite", "fsync", "rename", "fsync"]
    calls.clear()
    journal.append(batch(1))
    assert calls == ["pwrite", "fdatasync"]
    crash(journal)
    calls.clear()
    # the last batch of an earlier run may not have been flushed
    opened(tmp_path)
    assert calls == ["pwrite", "fdatasync", "fsync"]


def test_zeros_are_written_ahead_and_only_their_owner_may_read(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = opened(folder)
    journal.append(batch(0))
    (segment,) = segments(folder)
    assert segment.stat().st_size == journal.flushed[1] + AHEAD_MIN_BYTES
    # written, not only promised
    assert segment.stat().st_blocks * 512 >= AHEAD_MIN_BYTES
    # as many as there are records: a busy link rarely changes the file's size, and a quiet one takes little space
    ahead = []
    while journal.flushed[1] < 3 * AHEAD_MAX_BYTES:
        before = segment.stat().st_size
        journal.append([entry for _ in range(10) for entry in batch(1)[:-1]] + batch(1)[-1:])
        if segment.stat().st_size != before:
            ahead.append((segment.stat().st_size - journal.flushed[1], journal.flushed[1]))
    assert [zeros for zeros, _ in ahead] == [min(end, AHEAD_MAX_BYTES) for _, end in ahead]
    assert len(ahead) < 10
    for path in (segment, folder / "lock"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    crash(journal)


def test_a_segment_is_followed_by_one_that_opens_with_a_checkpoint(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=2_000)
    number = 0
    while not journal.rotate_due:
        number += 1
        journal.append(batch(number))
    n, head = journal.n, journal.head
    state = raw_state(long="x" * 5_000)
    journal.rotate(state, "1", "Link", NOON, 7, sealed)
    # the checkpoint's own size does not count
    assert_not_due(journal)
    first, second = segments(tmp_path)
    assert second.name == f"{n + 1:016d}.jsonl"
    assert not first.read_bytes().endswith(b"\0")
    journal.append(batch(0))
    crash(journal)

    again = opened(tmp_path, segment_bytes=2_000)
    opening = again.recovered[0].entry
    assert isinstance(opening, Checkpoint)
    assert opening.state == state
    assert opening.signed_head == f"{HEAD_TYPE} {head_payload(LINK, SIDE, n, head).decode()}"
    assert len(again.recovered) == 4
    assert not again.rotate_due
    again.close(NOON, 8, None)
    found = list(records(tmp_path))
    assert [record.n for record in found] == list(range(1, n + 6))


def test_a_second_service_is_refused(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert locked(tmp_path)
    with pytest.raises(UserError, match="another service writes this journal"):
        opened(tmp_path)
    script = (
        "import sys; from pathlib import Path; from endpoints.journal.store import FolderStore\n"
        "from endpoints.journal.writer import JournalWriter\n"
        f"JournalWriter.open(FolderStore(Path(sys.argv[1])), {LINK!r}, {SIDE!r})"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=False, capture_output=True, text=True, timeout=30
    )
    assert "another service writes this journal" in other.stderr
    journal.close(NOON, 1, None)
    assert not locked(tmp_path)
    opened(tmp_path).close(NOON, 1, None)


def test_querying_the_lock_does_not_take_it(tmp_path: Path) -> None:
    assert not locked(tmp_path)
    opened(tmp_path).close(NOON, 1, None)
    assert not locked(tmp_path)


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where the system has one: for what is opened hundreds of times, each time with a flush."""
    if not os.access(_MEMORY, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=_MEMORY) as folder:
        yield Path(folder)


def test_a_torn_tail_is_cut_and_overwritten(in_memory: Path) -> None:
    journal = opened(in_memory)
    journal.append(batch(0))
    end = journal.flushed[1]
    journal.append(batch(1))
    later = journal.flushed[1]
    crash(journal)
    (segment,) = segments(in_memory)
    whole = segment.read_bytes()
    for length in range(end, later):
        # as many zeros as are written ahead, and later so few that they are written fast
        segment.write_bytes(whole[:length] + bytes(AHEAD_MIN_BYTES if length == end else 4_096))
        again = opened(in_memory)
        assert again.cut_bytes == length - end
        assert again.n == 3
        assert again.flushed == (1, end)
        again.append(batch(1))
        crash(again)
        assert segment.read_bytes().rstrip(b"\0") == whole.rstrip(b"\0")


def test_no_damage_is_ever_accepted_or_repaired(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(batch(0))
    journal.append(batch(1))
    end = journal.flushed[1]
    crash(journal)
    (segment,) = segments(tmp_path)
    whole = segment.read_bytes()[: end + 100]
    for index in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[index] ^= 1 << index % 8
        segment.write_bytes(changed)
        with pytest.raises(DamagedJournal, match=rf"^{segment}: record [1-6]: ") as raised:
            opened(tmp_path)
        assert raised.value.exit_code == 4
        assert segment.read_bytes() == changed
    for changed in (bytearray(), bytearray(100), bytearray(b"\xff\xfe\n")):
        segment.write_bytes(changed)
        with pytest.raises(DamagedJournal):
            opened(tmp_path)


def test_a_journal_of_another_link_or_side_is_refused(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(batch(0))
    journal.close(NOON, 1, None)
    with pytest.raises(DamagedJournal, match="it is of link eucom-ndmc, not other"):
        JournalWriter.open(FolderStore(tmp_path), "other", SIDE)
    with pytest.raises(DamagedJournal, match="it is of side eucom, not ndmc"):
        JournalWriter.open(FolderStore(tmp_path), LINK, "ndmc")


def test_an_unfinished_segment_is_ignored(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(batch(0))
    crash(journal)
    (tmp_path / f"{4:016d}.new").write_bytes(b"half a checkpoint")
    again = opened(tmp_path)
    assert again.n == 3
    assert len(segments(tmp_path)) == 1
    again.rotate(raw_state(), "1", "Link", NOON, 1, None)
    again.close(NOON, 1, None)


def test_a_folder_that_can_t_be_made_is_reported_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for folder in (file, file / "below"):
        with pytest.raises(UserError, match="the journal can't be opened: Not a directory"):
            opened(folder)


def test_a_batch_ends_with_its_only_batch_closed(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for wrong in ([], batch(0)[:-1], batch(0) + batch(1)):
        with pytest.raises(ValueError, match="ends with its only BatchClosed"):
            journal.append(wrong)
    journal.append(batch(0))
    crash(journal)


def test_a_record_that_could_not_be_read_again_stops_the_journal(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(batch(0))
    closed = BatchClosed(at=NOON, mono=1)
    with pytest.raises(JournalFailure, match="could not be read again"):
        journal.append([(SpaceLow(at=NOON, mono=1, free_bytes=-1), ()), (closed, ())])
    with pytest.raises(JournalFailure, match="could not be read again"):
        journal.append(batch(1))
    journal.close(NOON, 1, None)
    assert len(list(records(tmp_path))) == 3


def test_a_closed_journal_refuses_records(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(batch(0))
    journal.close(NOON, 1, None)
    journal.close(NOON, 1, None)
    with pytest.raises(JournalFailure, match="is closed"):
        journal.append(batch(1))
    with pytest.raises(JournalFailure, match="is closed"):
        journal.rotate(raw_state(), "1", "Link", NOON, 1, None)
    empty = opened(tmp_path / "empty")
    empty.close(NOON, 1, None)
    assert segments(tmp_path / "empty") == []


@pytest.fixture
def file_size_limit() -> Iterator[int]:
    """Limit the size of files, which works like a full disk: a write is cut short, and the next one fails."""
    limit = AHEAD_MIN_BYTES + 40_000
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_stops_the_journal_at_once_and_loses_nothing(tmp_path: Path, file_size_limit: int) -> None:
    journal = opened(tmp_path)
    written = 0
    with pytest.raises(JournalFailure, match="the journal can't be written: File too large"):  # noqa: PT012 - which one fails is the disk's business
        while journal.flushed[1] < file_size_limit:
            journal.append(batch(1))
            written += 2
    (segment,) = segments(tmp_path)
    before = segment.read_bytes()
    with pytest.raises(JournalFailure):
        journal.append(batch(1))
    with pytest.raises(JournalFailure):
        journal.rotate(raw_state(), "1", "Link", NOON, 1, None)
    journal.close(NOON, 1, None)
    assert segment.read_bytes() == before

    again = opened(tmp_path)
    # the batch that failed was not acted upon; it may be whole or torn
    assert written <= again.n <= written + 2
    crash(again)


def test_a_failing_write_stops_the_journal(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(batch(0))
    (segment,) = segments(tmp_path)
    before = segment.read_bytes()
    refuse_writes(segment)
    with pytest.raises(JournalFailure, match=f"^{tmp_path}: the journal can't be written: Bad file descriptor"):
        journal.append(batch(1))
    journal.close(NOON, 1, None)
    assert segment.read_bytes() == before


def test_a_disk_that_fails_at_closing_keeps_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(tmp_path)
    journal.append(batch(0))
    close, closed = os.close, []

    def closes(descriptor: int) -> None:
        close(descriptor)
        closed.append(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as disk:
        disk.setattr(os, "close", closes)
        journal.let_go()
    # the segment, the lock, and two that are held for the next segment
    assert len(closed) == 4
    assert not locked(tmp_path)
    again = journal.reopen()
    assert again.n == 3
    crash(again)
    assert not locked(tmp_path)


def test_a_segment_that_can_t_be_made_is_one_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(tmp_path)
    close = os.close

    def full(_descriptor: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    def closes(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        disk.setattr(os, "close", closes)
        with pytest.raises(JournalFailure, match="quota"):
            journal.append(batch(0))
    crash(journal)


def test_a_full_disk_at_rotation_leaves_a_journal_that_starts(tmp_path: Path, file_size_limit: int) -> None:
    journal = opened(tmp_path)
    journal.append(batch(0))
    with pytest.raises(JournalFailure):
        journal.rotate(raw_state(long="x" * file_size_limit), "1", "Link", NOON, 1, None)
    journal.close(NOON, 1, None)
    again = opened(tmp_path)
    assert again.n == 3
    crash(again)


def test_a_disk_that_cannot_tell_its_free_space_is_a_failure(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    assert journal.free_bytes() > 0
    (tmp_path / "journal").rename(tmp_path / "gone")
    with pytest.raises(JournalFailure, match="No such file"):
        journal.free_bytes()


def test_each_batch_is_reported_once_it_is_on_disk(tmp_path: Path) -> None:
    reported: list[list[str]] = []

    def on_disk(given: Batch) -> None:
        assert len(list(records(tmp_path))) == len(given) + sum(map(len, reported))
        reported.append([type(entry).__name__ for entry, _ in given])

    journal = JournalWriter.open(FolderStore(tmp_path), LINK, SIDE, on_disk=on_disk)
    journal.append(batch(0))
    journal.rotate(raw_state(), "1", "Link", NOON, 1, None)
    journal = journal.reopen()
    journal.append(batch(1))
    journal.close(NOON, 1, None)
    assert reported == [
        [type(entry).__name__ for entry, _ in batch(0)],
        ["Checkpoint"],
        [type(entry).__name__ for entry, _ in batch(1)],
        ["Closed"],
    ]


def test_recovered_records_are_handed_over_once(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(batch(0))
    again = journal.reopen()
    assert [record.n for record in again.take_recovered()] == [1, 2, 3]
    assert again.recovered == again.take_recovered() == ()
    crash(again)


def test_a_closed_journal_leaves_the_store_to_the_one_opened_after_it(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(batch(0))
    again = journal.reopen()
    journal.let_go()
    journal.close(NOON, 1, None)
    with pytest.raises(JournalFailure, match="is closed"):
        journal.append(batch(1))
    again.append(batch(1))
    crash(again)
    assert len(list(records(tmp_path))) == 5


def test_records_chain_over_segments(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for number in range(3):
        journal.append(batch(number))
        journal.rotate(raw_state(number=number), "1", "Observer", NOON, 1, None)
    journal.close(NOON, 1, None)
    assert len(segments(tmp_path)) == 4
    list(records(tmp_path))
    segments(tmp_path)[1].unlink()
    with pytest.raises(JournalError, match="records 4 to 6 are missing"):
        list(records(tmp_path))
