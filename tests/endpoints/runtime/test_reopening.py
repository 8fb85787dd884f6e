"""A link's room is opened again after its journal has failed, and nothing is made up, cut or begun anew meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from endpoints.config.settings import LinkSettings
from endpoints.errors import UserError
from endpoints.journal.segments import locked, segments
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter, UnusableJournal
from endpoints.runtime.link_runner import LinkRunner
from endpoints.runtime.loop import Loop
from endpoints.runtime.reopening import Opening
from endpoints.runtime.work_items import AnyLink
from protocol.core.events import SpaceLow
from protocol.core.observer import Observer
from tests.endpoints.runtime.test_loop import HandClock
from tests.endpoints.runtime.test_turn import Told
from tests.support.failing_disk import refuse_writes
from tests.support.journal_samples import raw_state
from tests.vectors.terms import party_keys

LINK, WATCH = "eucom-ndmc", "watch"


def link_file() -> LinkFile:
    keys = party_keys("ed25519")
    parties = {side: msgspec.structs.replace(default_terms.party(side), keys=keys[side]) for side in keys}
    return LinkFile(terms=default_terms.terms(LINK), parties=parties)


class Bench:
    """A watch of one link, its loop turned by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "journal"
        self.told = Told()
        self.back = 0
        file = link_file()
        self.opening = Opening(
            LinkSettings(file=folder / "link.toml", content=file, journal=self.folder),
            WATCH,
            lambda: Observer.new(LINK, WATCH),
            lambda core, journal: LinkRunner(core, journal, file, self.told),
            every_s=0.02,
        )
        self.runners: dict[str, AnyLink] = {LINK: self.opening.open()}
        self.loop = Loop(HandClock(), self.runners, lambda: None)
        self.runner.start(self.loop.now())
        self.loop.turn()
        self.keeping = asyncio.create_task(self.opening.keep_open(self.runners, self.loop.queue, self._came_back))

    def _came_back(self) -> None:
        self.back += 1

    @property
    def runner(self) -> AnyLink:
        return self.runners[LINK]

    def fails(self) -> None:
        """The file that the journal writes to is there for reading only now."""
        refuse_writes(segments(self.folder)[-1])
        now = self.loop.now()
        self.runner.take(SpaceLow(at=now.at, mono=now.mono, free_bytes=1))
        self.loop.turn()
        assert self.runner.failure is not None

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not wanted():
                self.loop.turn()
                await asyncio.sleep(0.001)

    async def tried(self) -> None:
        """Wait for the next attempt to open the journal."""
        before = self.opening.journal
        lock = self.folder / "lock"
        lock.unlink(missing_ok=True)
        await self.until(lambda: lock.exists() or self.opening.journal is not before)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.keeping.cancel()
    with suppress(asyncio.CancelledError):
        await bench.keeping
    bench.opening.journal.let_go()


async def test_a_room_that_has_failed_is_followed_by_another_one(bench: Bench) -> None:
    first = bench.runner
    n = bench.opening.journal.n
    bench.fails()
    looked_on = first.changed.coming

    await bench.until(lambda: bench.back > 0)

    assert bench.runner is not first
    assert bench.runner.failure is None
    assert first.failure is not None
    assert looked_on.is_set()
    raised = f"alarm/journal_failure/{LINK}/{first.failure.raised_at}"
    assert bench.told.notices == [raised, f"{raised}/over"]
    # what could not be written is not made up for: it goes on behind the last record that is there
    assert bench.runner.core.state.alarms == {}
    assert bench.opening.journal.n == n + 2
    # and it is kept open from now on as well
    bench.fails()
    await bench.until(lambda: bench.back == 2)
    assert len(bench.told.notices) == 4


async def test_a_disk_that_is_not_mounted_is_waited_for(bench: Bench) -> None:
    bench.fails()
    failure = bench.runner.failure
    away = bench.folder.rename(bench.folder.with_name("away"))
    bench.folder.mkdir()

    await bench.tried()
    await bench.tried()

    assert segments(bench.folder) == []
    assert bench.runner.failure is failure
    assert len(bench.told.notices) == 1
    (bench.folder / "lock").unlink()
    bench.folder.rmdir()
    away.rename(bench.folder)
    await bench.until(lambda: bench.back == 1)
    assert len(bench.told.notices) == 2


async def test_an_older_copy_is_not_gone_on_with(bench: Bench) -> None:
    (path,) = segments(bench.folder)
    now = bench.loop.now()
    bench.runner.take(SpaceLow(at=now.at, mono=now.mono, free_bytes=1))
    bench.loop.turn()
    whole = path.read_bytes().rstrip(b"\0")
    bench.fails()

    # half copied: its torn end would be cut, were it the journal
    half = whole[: whole.rindex(b"\n", 0, -1) + 10]
    path.write_bytes(half)
    await bench.tried()
    await bench.tried()
    assert path.read_bytes() == half
    assert bench.runner.failure is not None

    path.write_bytes(whole)
    await bench.until(lambda: bench.back == 1)
    assert path.read_bytes().startswith(whole)


async def test_a_damaged_journal_is_left_to_people(bench: Bench) -> None:
    bench.fails()
    (path,) = segments(bench.folder)
    damaged = path.read_bytes().replace(b'"Started"', b'"Stareed"', 1)
    path.write_bytes(damaged)

    async with asyncio.timeout(10):
        await bench.keeping

    assert bench.runner.failure is not None
    assert "record 3" in bench.runner.failure.detail
    assert path.read_bytes() == damaged
    assert not locked(bench.folder)
    assert len(bench.told.notices) == 1


async def test_a_record_that_this_version_cannot_take_is_left_to_people(bench: Bench) -> None:
    bench.fails()
    now = bench.loop.now()
    # whole and well chained: written by another version, or by a bug of ours
    journal = bench.opening.journal.reopen()
    journal.rotate(raw_state(link=7), Observer.RULES, "Observer", now.at, now.mono, None)
    bench.opening.journal = journal

    async with asyncio.timeout(10):
        await bench.keeping

    assert bench.runner.failure is not None
    assert bench.runner.failure.detail.startswith(f"{bench.folder}: record {journal.n}: this version cannot apply it: ")
    assert "\n" not in bench.runner.failure.detail
    assert len(bench.told.notices) == 1
    # whoever comes to look, or runs another version on it, finds it free
    assert not locked(bench.folder)


def test_a_room_that_cannot_be_furnished_leaves_its_journal_free(tmp_path: Path) -> None:
    def furnish(_core: Observer, journal: JournalWriter) -> AnyLink:
        assert locked(Path(journal.name))
        raise UserError("the key can't be read")

    settings = LinkSettings(file=tmp_path / "link.toml", content=link_file(), journal=tmp_path / "journal")
    opening = Opening(settings, WATCH, lambda: Observer.new(LINK, WATCH), furnish)

    with pytest.raises(UserError, match="key"):
        opening.open()
    assert not locked(tmp_path / "journal")


async def test_a_journal_that_was_never_opened_is_not_begun_anew(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.write_text("not a folder")
    journal = JournalWriter(FolderStore(folder), LINK, WATCH)
    with pytest.raises(UnusableJournal, match="Not a directory"):
        journal.reopen()
    folder.unlink()

    with pytest.raises(UnusableJournal, match="No such file"):
        journal.reopen()
    assert not folder.exists()
