import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from endpoints.journal.segments import segments
from endpoints.journal.stdout_feed import LINES_MAX, PLACE, StdoutFeed
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from tests.support.journal_samples import LINK, NOON, SIDE, batch, raw_state

DEADLINE_S = 20


class Reader:
    """Reads the far end of standard output, once it is started."""

    def __init__(self) -> None:
        self._end, self.descriptor = os.pipe()
        self._data = bytearray()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = False

    def start(self) -> None:
        self._started = True
        self._thread.start()

    def _run(self) -> None:
        while data := os.read(self._end, 1 << 16):
            self._data += data

    def until(self, piece: bytes) -> None:
        """Wait until `piece` has been read."""
        deadline = time.monotonic() + DEADLINE_S
        while piece not in self._data:
            assert time.monotonic() < deadline, bytes(self._data)
            time.sleep(0.001)

    def lines(self) -> list[bytes]:
        """Close the near end and return all lines."""
        if not self._started:
            self.start()
        os.close(self.descriptor)
        self._thread.join(DEADLINE_S)
        os.close(self._end)
        return bytes(self._data).splitlines(keepends=True)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    journal = JournalWriter.open(FolderStore(tmp_path / "journal"), LINK, SIDE)
    yield journal
    journal.let_go()


def folder_of(journal: JournalWriter) -> Path:
    return Path(journal.name)


def on_disk(journal: JournalWriter) -> list[bytes]:
    return [
        line
        for path in segments(folder_of(journal))
        for line in path.read_bytes().rstrip(b"\0").splitlines(keepends=True)
    ]


def test_records_are_printed_as_they_are_flushed(journal: JournalWriter) -> None:
    reader = Reader()
    output = StdoutFeed(reader.descriptor)
    output.follow(folder_of(journal), journal)
    output.start()
    reader.start()
    for number in range(50):
        journal.append(batch(number))
        output.wake()
        if number == 30:
            journal.rotate(raw_state(long="x" * 600_000), "1", "Link", NOON, 1, None)
    journal.close(NOON, 1, None)
    assert output.close(DEADLINE_S)
    assert reader.lines() == on_disk(journal)


def test_an_ended_journal_keeps_no_file_open_and_is_continued_when_reopened(journal: JournalWriter) -> None:
    """Its disk can be unmounted meanwhile."""
    reader = Reader()
    reader.start()
    output = StdoutFeed(reader.descriptor)
    output.follow(folder_of(journal), journal)
    output.start()
    journal.append(batch(0))
    output.wake()
    reader.until(journal.head.encode())
    journal.let_go()
    output.wake()
    deadline = time.monotonic() + DEADLINE_S
    while held := [path for path in open_files() if path.is_relative_to(folder_of(journal))]:
        assert time.monotonic() < deadline, held
        time.sleep(0.001)
    again = journal.reopen()
    output.follow(folder_of(again), again)
    again.append(batch(1))
    output.wake()
    reader.until(again.head.encode())
    again.let_go()
    assert output.close(DEADLINE_S)
    assert reader.lines() == on_disk(journal)
    assert (folder_of(journal) / PLACE).read_bytes().endswith(b" clean\n")


def open_files() -> list[Path]:
    """Return the files that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that lists them is closed by now
            found.append(descriptor.readlink())
    return found


def test_the_next_start_continues_where_a_clean_stop_ended(journal: JournalWriter) -> None:
    for number in range(3):
        journal.append(batch(number))
        before = len(on_disk(journal)) - len(batch(number))
        reader = Reader()
        output = StdoutFeed(reader.descriptor)
        output.follow(folder_of(journal), journal)
        output.start()
        assert output.close(DEADLINE_S)
        assert reader.lines() == on_disk(journal)[before:]


def test_ordinary_lines_and_several_journals_share_the_output(journal: JournalWriter, tmp_path: Path) -> None:
    other = JournalWriter.open(FolderStore(tmp_path / "other"), "syria", SIDE)
    reader = Reader()
    output = StdoutFeed(reader.descriptor)
    for each in (journal, other):
        each.append(batch(0))
        output.follow(folder_of(each), each)
    output.write_line(b'{"event":"listening"}')
    output.start()
    assert output.close(DEADLINE_S)
    other.let_go()
    lines = reader.lines()
    assert sorted(lines) == sorted([b'{"event":"listening"}\n', *on_disk(journal), *on_disk(other)])
    assert [line for line in lines if b'"link":"syria"' in line] == on_disk(other)


def test_a_stalled_reader_stalls_nothing_else_and_the_dropped_lines_are_counted(journal: JournalWriter) -> None:
    reader = Reader()
    output = StdoutFeed(reader.descriptor)
    output.follow(folder_of(journal), journal)
    output.start()
    # much more than a pipe takes
    for number in range(LINES_MAX * 3):
        output.write_line(b'{"event":"line","number":%d,"long":"%b"}' % (number, b"x" * 200))
    journal.append(batch(0))
    output.wake()
    assert not output.close(0.05)
    reader.start()
    assert output.close(DEADLINE_S)
    lines = [json.loads(line) for line in reader.lines()]
    # once or twice: who comes first, the writer or its thread, is open
    lost = sum(line["count"] for line in lines if line["event"] == "ordinary log lines dropped")
    printed = [line["number"] for line in lines if line["event"] == "line"]
    assert lost > 0
    assert lost + len(printed) == LINES_MAX * 3
    assert len([line for line in lines if "n" in line]) == len(batch(0))


def test_a_kill_in_the_very_first_write_is_known_to_the_next_start(journal: JournalWriter) -> None:
    """A pipe takes a part of a line; a process killed then has noted nothing after its start."""
    for number in range(400):
        journal.append(batch(number))
    reader = Reader()
    output = StdoutFeed(reader.descriptor)
    output.follow(folder_of(journal), journal)
    output.start()
    output.wake()
    # the pipe is full: the thread stands in the middle of its first write
    deadline = time.monotonic() + DEADLINE_S
    while select.select([], [reader.descriptor], [], 0)[1]:
        assert time.monotonic() < deadline
        time.sleep(0.01)

    killed = StdoutFeed(reader.descriptor)
    killed.follow(folder_of(journal), journal)
    assert not next(iter(killed._tails.values())).clean

    reader.start()
    assert output.close(DEADLINE_S)
    assert reader.lines() == on_disk(journal)


def test_a_reader_that_disconnects_loses_no_record(journal: JournalWriter) -> None:
    gone, descriptor = os.pipe()
    os.close(gone)
    output = StdoutFeed(descriptor)
    output.follow(folder_of(journal), journal)
    output.start()
    journal.append(batch(0))
    output.wake()
    output.write_line(b"{}")
    output.close(DEADLINE_S)
    os.close(descriptor)
    reader = Reader()
    again = StdoutFeed(reader.descriptor)
    again.follow(folder_of(journal), journal)
    again.start()
    assert again.close(DEADLINE_S)
    # nobody knows whether half a line was left
    assert reader.lines() == [b"\n", *on_disk(journal)]


@pytest.mark.parametrize(
    "place",
    [
        b"",
        b"nonsense",
        b"\0" * 40,
        b"0000000000000001 0000000000000007 going\n",
        b"0000000000000001 0000000000999999 going\n",
        b"0000000000000002 0000000000000000 going\n",
        b"9999999999999999 0000000000000000 going\n",
    ],
)
def test_printing_begins_earlier_if_the_noted_place_can_t_be_right(journal: JournalWriter, place: bytes) -> None:
    journal.append(batch(0))
    (folder_of(journal) / PLACE).write_bytes(place)
    reader = Reader()
    output = StdoutFeed(reader.descriptor)
    output.follow(folder_of(journal), journal)
    output.start()
    assert output.close(DEADLINE_S)
    assert [line for line in reader.lines() if line != b"\n"] == on_disk(journal)


def test_nothing_that_is_not_on_disk_is_printed(journal: JournalWriter) -> None:
    journal.append(batch(0))
    (path,) = segments(folder_of(journal))
    printed = on_disk(journal)
    with path.open("r+b") as file:
        file.seek(journal.flushed[1])
        file.write(b'{"n":4,"half"')
    reader = Reader()
    output = StdoutFeed(reader.descriptor)
    output.follow(folder_of(journal), journal)
    output.start()
    assert output.close(DEADLINE_S)
    assert reader.lines() == printed


WRITER = """
import sys
from pathlib import Path
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.journal.stdout_feed import StdoutFeed
from tests.support.journal_samples import LINK, SIDE, batch, raw_state
journal = JournalWriter.open(FolderStore(Path(sys.argv[1])), LINK, SIDE, segment_bytes=20_000)
output = StdoutFeed()
output.follow(Path(sys.argv[1]), journal)
output.start()
number = 0
while True:
    number += 1
    journal.append(batch(number))
    output.wake()
    if journal.rotate_due:
        journal.rotate(raw_state(number=number), "1", "Link", 1669716000000, 1, None)
"""


def test_a_kill_repeats_lines_and_loses_none(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    collected = bytearray()
    for length in (1, 3_000, 100_000, 250_001):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, cwd=Path.cwd())
        assert process.stdout is not None
        enough = len(collected) + length
        while len(collected) < enough:
            collected += os.read(process.stdout.fileno(), 4_096)
        process.send_signal(signal.SIGKILL)
        # what it wrote before it died is still in the pipe
        collected += process.stdout.read()
        process.stdout.close()
        process.wait(DEADLINE_S)
    journal = JournalWriter.open(FolderStore(folder), LINK, SIDE)
    reader = Reader()
    # more may be left than a pipe holds
    reader.start()
    output = StdoutFeed(reader.descriptor)
    output.follow(folder_of(journal), journal)
    output.start()
    assert output.close(DEADLINE_S)
    journal.let_go()
    lines = bytes(collected + b"".join(reader.lines())).splitlines(keepends=True)
    written = on_disk(journal)
    whole = set(written)
    numbers = [json.loads(line)["n"] for line in lines if line in whole]
    # every record is there, and none comes before the one that it follows
    seen = 0
    for number in numbers:
        assert number <= seen + 1
        seen = max(seen, number)
    assert seen == len(written)
    fragments = [line for line in lines if line not in whole and line != b"\n"]
    assert len(fragments) <= 4
