"""What every segment store promises to the writer: the one on a file system, and the simulated one."""

import random
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from endpoints.errors import UserError
from endpoints.journal.segments import locked, segment_path, segments
from endpoints.journal.store import FolderStore, LastSegment, SegmentStore
from scenario.simulation.disk import Crashed, Disk
from tests.support.failing_disk import refuse_writes


class Stored:
    """A store, and what its tests do to it from outside.

    Attributes:
        store: the store.
        segments: returns the bytes of each segment by its first number, without the zeros at its end.
        crash: ends the process that has it open.
        fail: makes every write to the last segment fail.
    """

    def __init__(
        self,
        store: SegmentStore,
        segments: Callable[[], dict[int, bytes]],
        crash: Callable[[], None],
        fail: Callable[[], None],
    ) -> None:
        self.store = store
        self.segments = segments
        self.crash = crash
        self.fail = fail

    def last(self) -> tuple[int, bytes] | None:
        """Open the store again after a crash; return the last segment's number and data."""
        self.crash()
        last = self.store.open(create=False)
        return None if last is None else (last.first, last.data)


def in_folder(folder: Path) -> Stored:
    def kept() -> dict[int, bytes]:
        return {int(path.stem): path.read_bytes().rstrip(b"\0") for path in segments(folder)}

    store = FolderStore(folder)
    return Stored(store, kept, store.close, lambda: refuse_writes(segments(folder)[-1]))


def simulated(_folder: Path) -> Stored:
    disk = Disk("disk", random.Random(1))

    def kept() -> dict[int, bytes]:
        return {first: bytes(data).rstrip(b"\0") for first, data in disk.segments.items()}

    return Stored(disk, kept, lambda: None, partial(disk.fill, full=True))


@pytest.fixture(params=[in_folder, simulated])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    """A store that is open, and empty."""
    made: Stored = request.param(tmp_path / "journal")
    assert made.store.open(create=True) is None
    return made


def test_what_was_flushed_survives_a_crash(stored: Stored) -> None:
    stored.store.start_segment(1, b"one\n")
    stored.store.append(b"two\n")
    stored.store.append(b"three\n")
    assert stored.last() == (1, b"one\ntwo\nthree\n")


def test_an_empty_store_stays_empty(stored: Stored) -> None:
    assert stored.last() is None
    assert stored.segments() == {}


def test_a_resumed_segment_grows_at_its_end(stored: Stored) -> None:
    stored.store.start_segment(1, b"one\n")
    assert stored.last() == (1, b"one\n")
    stored.store.resume(4, b"one\n")
    stored.store.append(b"two\n")
    assert stored.last() == (1, b"one\ntwo\n")


def test_what_comes_after_the_end_is_cut_and_does_not_come_back(stored: Stored) -> None:
    stored.store.start_segment(1, b"one\n")
    stored.store.append(b"half a batch that is long")
    assert stored.last() == (1, b"one\nhalf a batch that is long")
    stored.store.resume(4, b"one\n")
    assert stored.last() == (1, b"one\n")
    stored.store.resume(4, b"one\n")
    stored.store.append(b"two\n")
    assert stored.last() == (1, b"one\ntwo\n")


def test_opening_alone_changes_no_segment(stored: Stored) -> None:
    stored.store.start_segment(1, b"one\n")
    stored.store.append(b"half")
    before = stored.segments()
    stored.last()
    stored.last()
    assert stored.segments() == before


def test_a_new_segment_follows_the_one_before(stored: Stored) -> None:
    stored.store.start_segment(1, b"one\n")
    stored.store.append(b"two\n")
    stored.store.start_segment(3, b"three\n")
    stored.store.append(b"four\n")
    assert stored.segments() == {1: b"one\ntwo\n", 3: b"three\nfour\n"}
    assert stored.last() == (3, b"three\nfour\n")


def test_long_batches_are_kept_whole(stored: Stored) -> None:
    batches = [bytes([65 + number]) * 700_000 + b"\n" for number in range(4)]
    stored.store.start_segment(1, batches[0])
    for batch in batches[1:]:
        stored.store.append(batch)
    assert stored.last() == (1, b"".join(batches))


def test_a_failed_write_raises_and_keeps_what_was_flushed(stored: Stored) -> None:
    stored.store.start_segment(1, b"one\n")
    stored.fail()
    with pytest.raises(OSError, match=r"Bad file|No space"):
        stored.store.append(b"two\n")
    data = stored.segments()[1]
    assert data.startswith(b"one\n")
    # of a batch that failed, a part may be there
    assert b"one\ntwo\n".startswith(data)


def test_a_closed_store_refuses_writes_until_it_is_opened(stored: Stored) -> None:
    stored.store.start_segment(1, b"one\n")
    stored.store.close()
    stored.store.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        stored.store.append(b"two\n")
    with pytest.raises(OSError, match="Bad file descriptor"):
        stored.store.start_segment(2, b"two\n")
    assert stored.segments() == {1: b"one\n"}
    assert stored.store.open(create=False) is not None
    stored.store.resume(4, b"one\n")
    stored.store.append(b"two\n")
    assert stored.segments() == {1: b"one\ntwo\n"}


def test_free_space_is_a_number_of_bytes(stored: Stored) -> None:
    assert stored.store.free_bytes() > 0
    stored.store.close()
    assert stored.store.free_bytes() > 0


def test_a_store_and_its_segments_have_names_for_error_texts(stored: Stored) -> None:
    stored.store.start_segment(1, b"one\n")
    stored.store.close()
    last = stored.store.open(create=False)
    assert isinstance(last, LastSegment)
    assert last.name.startswith(stored.store.name + "/")


# --- on a file system -------------------------------------------------------------------------------------------------


def test_a_folder_is_open_in_one_place_only(tmp_path: Path) -> None:
    store, other = FolderStore(tmp_path), FolderStore(tmp_path)
    store.open(create=True)
    with pytest.raises(UserError, match="another service writes this journal"):
        other.open(create=True)
    other.close()
    assert locked(tmp_path)
    store.close()
    assert not locked(tmp_path)
    assert other.open(create=False) is None
    other.close()


def test_a_missing_folder_is_made_only_when_asked(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "deep" / "journal")
    with pytest.raises(FileNotFoundError):
        store.open(create=False)
    assert not (tmp_path / "deep").exists()
    assert store.open(create=True) is None
    store.close()


def test_an_unfinished_segment_is_removed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.open(create=True)
    store.start_segment(1, b"one\n")
    store.close()
    unfinished = segment_path(tmp_path, 2).with_suffix(".new")
    unfinished.write_bytes(b"half a checkpoint")
    assert store.open(create=False) == LastSegment(str(segment_path(tmp_path, 1)), 1, b"one\n")
    assert not unfinished.exists()
    store.close()


def test_a_finished_segment_loses_its_zeros(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.open(create=True)
    store.start_segment(1, b"one\n")
    assert segment_path(tmp_path, 1).stat().st_size > 4
    store.start_segment(2, b"two\n")
    store.close()
    assert segment_path(tmp_path, 1).read_bytes() == b"one\n"


# --- in the simulation ------------------------------------------------------------------------------------------------


def crashed_at(disk: Disk, write: Callable[[], None]) -> bytes:
    with pytest.raises(Crashed):
        write()
    disk.cancel_crash()
    last = disk.open(create=False)
    assert last is not None
    return last.data


@pytest.mark.parametrize("full", [False, True])
def test_a_failing_disk_keeps_what_was_flushed_and_makes_no_segment(*, full: bool) -> None:
    disk = Disk("disk", random.Random(1))
    disk.open(create=True)
    disk.start_segment(1, b"one\n")
    disk.fill(full=full)
    disk.break_flushes(broken=not full)
    with pytest.raises(OSError, match=r"No space left|Input/output error"):
        disk.append(b"two\n")
    with pytest.raises(OSError, match=r"No space left|Input/output error"):
        disk.start_segment(2, b"two\n")
    disk.fill(full=False)
    disk.break_flushes(broken=False)
    last = disk.open(create=False)
    assert last is not None
    assert last.first == 1
    assert last.data.startswith(b"one\n")


def test_a_crash_before_the_append_leaves_nothing_of_the_batch() -> None:
    disk = Disk("disk", random.Random(1))
    disk.open(create=True)
    disk.start_segment(1, b"one\n")
    disk.crash_in_next_write("before_append", power_cut=False)
    assert crashed_at(disk, partial(disk.append, b"two\n")) == b"one\n"


@pytest.mark.parametrize("power_cut", [False, True])
def test_a_torn_batch_follows_what_was_flushed_and_a_torn_segment_is_not_there(*, power_cut: bool) -> None:
    batch = b"x" * 5_000 + b"\n"
    left = set()
    for seed in range(40):
        disk = Disk("disk", random.Random(seed))
        disk.open(create=True)
        disk.start_segment(1, b"one\n")
        disk.crash_in_next_write("torn", power_cut=power_cut)
        data = crashed_at(disk, partial(disk.append, batch))
        assert data.startswith(b"one\n")
        assert all(kept in (0, wanted) for kept, wanted in zip(data[4:], batch, strict=False))
        assert power_cut or (b"one\n" + batch).startswith(data)
        left.add(data)
        disk.crash_in_next_write("torn", power_cut=power_cut)
        assert crashed_at(disk, partial(disk.start_segment, 2, batch)) == data
    assert len(left) > 10
    assert any(b"\0" in data for data in left) == power_cut


def test_an_older_copy_lacks_the_last_batches_but_never_the_first() -> None:
    for lacking, wanted in ((1, {1: b"one\ntwo\n"}), (2, {1: b"one\n"}), (9, {1: b"one\n"})):
        disk = Disk("disk", random.Random(1))
        disk.open(create=True)
        disk.start_segment(1, b"one\n")
        disk.append(b"two\n")
        disk.start_segment(3, b"three\n")
        disk.restore(lacking)
        assert {first: bytes(data) for first, data in disk.segments.items()} == wanted


def test_a_segment_begins_although_descriptors_have_run_out(tmp_path: Path) -> None:
    script = f"""
import os, resource
from pathlib import Path
from endpoints.journal.store import FolderStore
store = FolderStore(Path({str(tmp_path / "journal")!r}))
store.open(create=True)
store.start_segment(1, b"first\\n")
taken = []
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for first in (2, 3):
    store.start_segment(first, b"next\\n")
store.close()
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert [path.name for path in segments(tmp_path / "journal")] == [f"{n:016}.jsonl" for n in (1, 2, 3)]
