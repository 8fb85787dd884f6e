"""How a link's room comes into being: at the start of the process, and again after its journal has failed.

There is one way only: open the journal, fold it, start on it. Nothing that a failed room holds is taken over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from endpoints.config.settings import LinkSettings
from endpoints.errors import UserError
from endpoints.failpoints import failpoint
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter, UnusableJournal
from endpoints.runtime.link_runner import Now
from endpoints.runtime.work_items import AnyLink
from endpoints.runtime.work_queue import WorkQueue
from protocol.core.core import Core
from protocol.record.fold import CoreT, FoldError, fold

REOPEN_EVERY_S = 5.0
"""How often the journal of a stopped link is tried again, in real time: it costs the reading of one segment."""


class Opening:
    """Opens one link's room, as often as it takes."""

    def __init__(
        self,
        link: LinkSettings,
        side: str,
        empty: Callable[[], Core],
        furnish: Callable[[Any, JournalWriter], AnyLink],
        every_s: float = REOPEN_EVERY_S,
    ) -> None:
        """Prepare it; nothing is opened yet.

        Args:
            link: the link.
            side: whose journal it is.
            empty: returns a core of which nothing is known yet.
            furnish: returns the room of a core and its journal; raises UserError for a mistake in the settings.
            every_s: how often a stopped link is tried; only tests need another.
        """
        self.link = link.id
        self.folder = link.journal
        self.journal = JournalWriter(FolderStore(link.journal), link.id, side)
        """The one that was opened last, or is to be opened."""
        self._heals = True
        self._every_s = every_s
        self._empty = empty
        self._furnish = furnish

    def open(self) -> AnyLink:
        """Return the room, not started yet, from what is on disk; may take a second.

        Raises UnusableJournal, and UserError for what else is wrong; the journal is free then.
        """
        try:
            self.journal = self.journal.reopen()
            failpoint("after_lock")
            return self._furnish(recovered_core(self.journal, self._empty()), self.journal)
        except BaseException as error:
            # it may be open already
            self.journal.let_go()
            if isinstance(error, UnusableJournal):
                self._heals = error.heals
            raise

    def stopped(self) -> AnyLink:
        """Return a room without a journal, of which nothing is known: to stand there until there is one."""
        return self._furnish(self._empty(), self.journal)

    async def keep_open(self, runners: dict[str, AnyLink], queue: WorkQueue, back: Callable[[], None]) -> None:
        """Whenever the link has stopped, try again and again to bring it back, unless its journal needs people.

        Whoever puts a copy in a damaged journal's place must not be disturbed by a service that cuts a half copied one.

        Args:
            runners: the process's; the new room takes the old one's place.
            queue: the loop's.
            back: told when the new room's start is on disk.
        """
        while self._heals:
            await asyncio.sleep(self._every_s)
            if runners[self.link].failure is None:
                continue
            try:
                # beside the loop: the other links go on
                runner = await asyncio.to_thread(self.open)
            except UnusableJournal as error:
                if not error.heals:
                    runners[self.link].stay_stopped(error)
                continue
            except UserError:
                # another service holds it, or a key can't be read: until that is put right
                continue
            revival = Revival(runners, runner, back)
            queue.push(revival)
            await revival.settled.wait()


def recovered_core(journal: JournalWriter, empty: CoreT) -> CoreT:
    """Return the core that the journal's recovered records lead to, and release them.

    Raises UnusableJournal for a record that this version cannot continue from: other links must still run.
    """
    try:
        return fold(journal.take_recovered(), empty)
    except FoldError as error:
        raise UnusableJournal(f"{journal.name}: {error}", heals=False) from error


class Revival:
    """A stopped link's journal is open again: the new room takes the old one's place, and starts as at any start."""

    def __init__(self, runners: dict[str, AnyLink], runner: AnyLink, back: Callable[[], None]) -> None:
        self.settled = asyncio.Event()
        self._runners = runners
        self._runner = runner
        self._back = back
        self._now: Now | None = None

    def take(self, now: Now) -> None:
        """Let the new room start."""
        self._now = now
        runner, old = self._runner, self._runners[self._runner.link]
        runner.standing = old.failure
        self._runners[runner.link] = runner
        try:
            runner.start(now)
        except UserError as error:
            runner.fail(now, error)
        old.changed.beat()

    def settle(self) -> None:
        """Tell that the link is back, if its start is on disk; else the failure stands as before."""
        assert self._now is not None, "a room that is settled has been taken"
        if self._runner.failure is None:
            self._runner.come_back(self._now)
            self._back()
        self.settled.set()
