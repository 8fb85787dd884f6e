"""A stopped link is reopened from its journal; until then nothing is invented, cut or started from scratch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from endpoints.config import default_terms
from endpoints.errors import UserError
from endpoints.journal.segments import locked, segments
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter, UnusableJournal
from endpoints.runtime.link_runner import LinkRunner
from endpoints.runtime.reopening import LinkOpener, recovered_core
from protocol.core.events import PeerPresenceChanged, SpaceLow, TransportConnected
from protocol.core.observer import Observer
from protocol.record.journal import decode
from protocol.wire.instants import parsed
from tests.support.exchange import Notices
from tests.support.exchange import link_file as linked
from tests.support.failing_disk import refuse_writes
from tests.support.hand_turned import HandClock, hand_turned
from tests.support.journal_samples import raw_state

LINK, WATCH = "eucom-ndmc", "watch"
BEGIN = parsed("2022-11-29T15:59:00.000Z")


class Bench:
    """A watch of one link, its loop turned by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "journal"
        self.notices = Notices()
        self.back = 0
        file = linked(default_terms.terms(LINK))

        def build(journal: JournalWriter) -> LinkRunner[Observer]:
            return LinkRunner(recovered_core(journal, Observer.new(LINK, WATCH)), journal, file, self.notices)

        self.build = build
        self.opener = LinkOpener(JournalWriter(FolderStore(self.folder), LINK, WATCH), build, every_s=0.02)
        self.runners = {LINK: self.opener.open()}
        self.loop = hand_turned(self.runners, HandClock(BEGIN))
        self.loop.start()
        self.keeping = asyncio.create_task(self.opener.keep_open(self.runners, self.loop.queue, self._came_back))

    def _came_back(self) -> None:
        self.back += 1

    @property
    def runner(self) -> LinkRunner[Observer]:
        return self.runners[LINK]

    def exchange(self) -> bool:
        return self.opener.exchange(self.runners, self.loop.queue, self.loop.settle())

    def events(self) -> list[str]:
        lines = b"".join(path.read_bytes().rstrip(b"\0") for path in segments(self.folder)).splitlines()
        return [type(decode(line).entry).__name__ for line in lines]

    def fails(self) -> None:
        """Let the journal fail: from now on its file is open for reading only."""
        refuse_writes(segments(self.folder)[-1])
        now = self.loop.now()
        self.runner.take(SpaceLow(at=now.at, mono=now.mono, free_bytes=1))
        self.loop.turn(self.runners)
        assert self.runner.failure is not None

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not wanted():
                self.loop.turn(self.runners)
                await asyncio.sleep(0.001)

    async def tried(self) -> None:
        """Wait for the next attempt to open the journal."""
        before = self.opener.journal
        lock = self.folder / "lock"
        lock.unlink(missing_ok=True)
        await self.until(lambda: lock.exists() or self.opener.journal is not before)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.keeping.cancel()
    with suppress(asyncio.CancelledError):
        await bench.keeping
    bench.opener.journal.let_go()


async def test_a_runner_that_has_failed_is_replaced(bench: Bench) -> None:
    first = bench.runner
    n = bench.opener.journal.n
    bench.fails()
    looked_on = first.changed.next

    await bench.until(lambda: bench.back > 0)

    assert bench.runner is not first
    assert bench.runner.failure is None
    assert first.failure is not None
    assert looked_on.is_set()
    raised = f"alarm/journal_failure/{LINK}/{first.failure.raised_at}"
    assert bench.notices.ids == [raised, f"{raised}/over"]
    # the event that could not be written is lost: the journal continues after the last record on disk
    assert bench.runner.core.snapshot().alarms == ()
    assert bench.opener.journal.n == n + 2
    # the next failure is repaired as well
    bench.fails()
    await bench.until(lambda: bench.back == 2)
    assert len(bench.notices.ids) == 4


async def test_a_disk_that_is_not_mounted_is_waited_for(bench: Bench) -> None:
    bench.fails()
    failure = bench.runner.failure
    away = bench.folder.rename(bench.folder.with_name("away"))
    bench.folder.mkdir()

    await bench.tried()
    await bench.tried()

    assert segments(bench.folder) == []
    assert bench.runner.failure is failure
    assert len(bench.notices.ids) == 1
    (bench.folder / "lock").unlink()
    bench.folder.rmdir()
    away.rename(bench.folder)
    await bench.until(lambda: bench.back == 1)
    assert len(bench.notices.ids) == 2


async def test_an_older_copy_is_not_continued(bench: Bench) -> None:
    (path,) = segments(bench.folder)
    now = bench.loop.now()
    bench.runner.take(SpaceLow(at=now.at, mono=now.mono, free_bytes=1))
    bench.loop.turn(bench.runners)
    whole = path.read_bytes().rstrip(b"\0")
    bench.fails()

    # half copied: opening it as the journal would cut its end
    half = whole[: whole.rindex(b"\n", 0, -1) + 10]
    path.write_bytes(half)
    await bench.tried()
    await bench.tried()
    assert path.read_bytes() == half
    assert bench.runner.failure is not None

    path.write_bytes(whole)
    await bench.until(lambda: bench.back == 1)
    assert path.read_bytes().startswith(whole)


async def test_a_damaged_journal_is_not_retried(bench: Bench) -> None:
    bench.fails()
    (path,) = segments(bench.folder)
    damaged = path.read_bytes().replace(b'"Started"', b'"Stareed"', 1)
    path.write_bytes(damaged)

    async with asyncio.timeout(60):
        await bench.keeping

    assert bench.runner.failure is not None
    assert "record 3" in bench.runner.failure.detail
    assert path.read_bytes() == damaged
    assert not locked(bench.folder)
    assert len(bench.notices.ids) == 1


async def test_a_record_that_this_version_cannot_apply_is_not_retried(bench: Bench) -> None:
    bench.fails()
    now = bench.loop.now()
    # complete and correctly chained: written by another version, or by a bug
    journal = bench.opener.journal.reopen()
    journal.rotate(raw_state(link=7), Observer.RULES, "Observer", now.at, now.mono, None)
    bench.opener.journal = journal

    async with asyncio.timeout(60):
        await bench.keeping

    assert bench.runner.failure is not None
    assert bench.runner.failure.detail.startswith(f"{bench.folder}: record {journal.n}: this version cannot apply it: ")
    assert "\n" not in bench.runner.failure.detail
    assert len(bench.notices.ids) == 1
    # its lock is free for an operator's tools, and for another version
    assert not locked(bench.folder)


def test_a_runner_that_cannot_be_built_leaves_its_journal_free(tmp_path: Path) -> None:
    def build(journal: JournalWriter) -> LinkRunner[Observer]:
        assert locked(Path(journal.name))
        raise UserError("the key can't be read")

    opener = LinkOpener(JournalWriter(FolderStore(tmp_path / "journal"), LINK, WATCH), build)

    with pytest.raises(UserError, match="key"):
        opener.open()
    assert not locked(tmp_path / "journal")


async def test_a_journal_that_was_never_opened_is_not_created_later(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.write_text("not a folder")
    journal = JournalWriter(FolderStore(folder), LINK, WATCH)
    with pytest.raises(UnusableJournal, match="Not a directory"):
        journal.reopen()
    folder.unlink()

    with pytest.raises(UnusableJournal, match="No such file"):
        journal.reopen()
    assert not folder.exists()


# --- an exchange in a running process -----------------------------------------------------------------------------


async def test_an_exchange_ends_a_run_and_begins_another_at_one_instant(bench: Bench) -> None:
    """SPEC E1.6"""
    first = bench.runner
    now = bench.loop.now()
    first.take(TransportConnected(at=now.at, mono=now.mono))
    first.presence["eucom"].hear(now.real_s)
    first.presence["ndmc"].see(present=False)
    bench.loop.turn(bench.runners)
    looked_on, written = first.changed.next, len(bench.events())

    assert bench.exchange()

    assert bench.runner is not first
    assert first.failure is bench.runner.failure is None
    assert looked_on.is_set()
    assert bench.events()[written:] == [
        *("Stopped", "BatchClosed", "Closed"),
        *("Started", "TransportConnected", "BatchClosed"),
    ]
    view, gauges = bench.runner.core.snapshot(), bench.runner.gauges()
    assert (view.connected, view.alarms, gauges.connection_trouble) == (True, (), "")
    # what was heard over the connection holds, and is journaled once more
    assert gauges.heard_s == {"eucom": now.real_s}
    bench.loop.turn(bench.runners)
    assert bench.runner.core.snapshot().present == {"eucom": True, "ndmc": False}
    assert bench.notices.ids == []


async def test_without_a_connection_an_exchange_knows_its_reason(bench: Bench) -> None:
    bench.runner.connection_lost("refused")
    assert bench.exchange()
    assert not bench.runner.core.snapshot().connected
    assert bench.runner.gauges().connection_trouble == "refused"


async def test_a_long_segment_is_not_read_again(bench: Bench) -> None:
    bench.exchange()
    assert len(segments(bench.folder)) == 1
    now, presence = bench.loop.now(), True
    while not bench.opener.journal.long:
        for _ in range(500):
            presence = not presence
            bench.runner.take(PeerPresenceChanged(at=now.at, mono=now.mono, party="ndmc", present=presence))
        bench.loop.turn(bench.runners)

    assert bench.exchange()

    first, second = segments(bench.folder)
    assert second.read_bytes().rstrip(b"\0").count(b"\n") < 10 < first.read_bytes().count(b"\n")
    assert bench.opener.journal.n == len(bench.events())


@pytest.mark.parametrize("how", ["write", "open"])
async def test_a_journal_that_fails_in_an_exchange_stops_its_link_until_it_is_back(bench: Bench, how: str) -> None:
    first, path = bench.runner, segments(bench.folder)[-1]
    if how == "write":
        refuse_writes(path)
    else:
        bench.opener.use(lambda journal: refused(journal.name))

    assert not bench.exchange()

    assert bench.runner is first
    assert first.failure is not None
    bench.opener.use(bench.build)
    await bench.until(lambda: bench.back == 1)
    assert bench.runner.failure is None


def refused(name: str) -> LinkRunner[Observer]:
    raise UserError(f"{name}: the key can't be read")


async def test_a_runner_of_older_files_is_dropped(bench: Bench) -> None:
    """The files change while a stopped link is being opened in a thread."""
    built: list[LinkRunner[Observer]] = []

    def older(journal: JournalWriter) -> LinkRunner[Observer]:
        built.append(bench.build(journal))
        # as a reload does meanwhile
        bench.opener.use(bench.build)
        return built[-1]

    bench.opener.use(older)
    bench.fails()
    await bench.until(lambda: bench.back == 1)
    assert len(built) == 1
    assert bench.runner is not built[0]
    assert bench.runner.failure is None
