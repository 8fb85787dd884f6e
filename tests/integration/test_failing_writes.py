"""Whichever system call fails while a process writes a journal, every batch that it reported is still on disk."""

import multiprocessing
import os
from collections.abc import Iterator
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from endpoints.errors import UserError
from endpoints.journal.segments import segments
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalFailure, JournalWriter
from protocol.core.events import BatchClosed
from protocol.record.journal import decode
from tests.support.failing_disk import Injection
from tests.support.journal_samples import LINK, NOON, SIDE, batch, raw_state, records

pytestmark = pytest.mark.integration

PREPARED = 2
BATCHES = range(PREPARED, PREPARED + 5)
ROTATE_BEFORE = {PREPARED + 1, PREPARED + 3}
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


def serve(tell: Connection) -> None:
    """Write a journal in each folder whose name arrives, until an empty name does."""
    tell.send(("ready", ""))
    while name := tell.recv():
        write(Path(name), tell)


def write(folder: Path, tell: Connection) -> None:
    """Continue the journal in `folder`, and send the number of each batch that is on disk."""
    try:
        journal = JournalWriter.open(FolderStore(folder), LINK, SIDE)
    except UserError as error:
        tell.send(("refused to start", str(error)))
        return
    try:
        for number in BATCHES:
            if number in ROTATE_BEFORE:
                journal.rotate(raw_state(before=number), "1", "Link", NOON, number, None)
            journal.append(batch(number))
            tell.send(("on disk", number))
        journal.close(NOON, 99, None)
    except JournalFailure as error:
        with pytest.raises(JournalFailure):
            journal.append(batch(1))
        journal.let_go()
        tell.send(("failed", str(error)))
    else:
        tell.send(("closed", ""))


def prepare(folder: Path) -> None:
    journal = JournalWriter.open(FolderStore(folder), LINK, SIDE)
    for number in range(PREPARED):
        journal.append(batch(number))
    journal.let_go()


def written_batches(folder: Path) -> list[int]:
    """Return the numbers of the batches in the journal: `mono` of each `BatchClosed`."""
    lines = b"".join(path.read_bytes().rstrip(b"\0") for path in segments(folder)).splitlines()
    records = [decode(line) for line in lines]
    return [record.entry.mono for record in records if isinstance(record.entry, BatchClosed)]


@pytest.fixture(scope="module")
def writer() -> Iterator[tuple[Connection, int]]:
    """Start a process that writes journals on demand, and nothing else."""
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=serve, args=(there,), daemon=True)
    process.start()
    there.close()
    assert process.pid is not None
    # from here on the process makes these calls for the journal alone
    assert answer(here) == ("ready", "")
    yield here, process.pid
    here.send("")
    process.join(20)
    here.close()
    assert process.exitcode == 0


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("pwrite64", "ENOSPC"),
        ("fdatasync", "EIO"),
        ("fsync", "EIO"),
        ("rename", "EIO"),
        ("ftruncate", "EIO"),
        ("openat", "EROFS"),
    ],
)
def test_nothing_that_was_on_disk_is_lost_whichever_call_fails(
    call: str, error: str, writer: tuple[Connection, int], tmp_path: Path
) -> None:
    here, pid = writer
    for failed in count(1):
        folder = tmp_path / str(failed)
        prepare(folder)
        on_disk = list(range(PREPARED))
        with Injection(pid, call, f"error={error}:when={failed}") as injection:
            here.send(str(folder))
            while (told := answer(here))[0] == "on disk":
                on_disk.append(int(told[1]))
        last, why = told

        JournalWriter.open(FolderStore(folder), LINK, SIDE).let_go()
        # a batch whose flush failed may be there; it was not acted upon
        assert written_batches(folder) in (on_disk, [*on_disk, on_disk[-1] + 1])
        assert records(folder), "raises at the first damage"
        if not injection.calls:
            break
        if any(os.devnull in made for made in injection.calls):
            # a descriptor held in reserve for the next segment: without it the journal goes on
            assert last == "closed"
            continue
        assert last != "closed", f"call {failed} of {call} failed, and the journal went on: {injection.calls}"
        assert str(folder) in str(why)
    assert last == "closed"
    assert failed > 2


def answer(here: Connection) -> tuple[str, int | str]:
    assert here.poll(30)
    told: tuple[str, int | str] = here.recv()
    return told
