"""Opens a link's journal and builds its runner: at the start of the process, after a failure, and for changed files.

All take the same steps: open the journal, fold it, start on it. Nothing of an earlier runner is reused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from endpoints.errors import UserError
from endpoints.failpoints import failpoint
from endpoints.journal.writer import JournalWriter, UnusableJournal
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.ports import Now
from endpoints.runtime.work_queue import WorkQueue
from protocol.phrases import phrase
from protocol.record.fold import CoreT, FoldError, fold
from protocol.wire.messages import Identifier

REOPEN_EVERY_S = 5.0
"""How often the journal of a stopped link is opened again, in real time: each attempt reads one segment."""

RunnerT = TypeVar("RunnerT", bound=AnyRunner)


class LinkOpener(Generic[RunnerT]):
    """Opens one link, as often as its journal fails."""

    def __init__(
        self,
        journal: JournalWriter,
        build: Callable[[JournalWriter], RunnerT],
        every_s: float = REOPEN_EVERY_S,
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare it; nothing is opened yet.

        Args:
            journal: the link's journal, not opened yet.
            build: returns the runner of a journal, not started; raises UserError for a mistake in the settings.
            every_s: how often a stopped link is tried, in seconds of real time.
            admit: called before the journal is opened; raises UnusableJournal for one that may not be.
        """
        self.link = journal.link
        self.journal = journal
        """The journal that was opened last, or is to be opened."""
        self._build = build
        self._every_s = every_s
        self._admit = admit
        self._heals = True

    def open(self) -> RunnerT:
        """Return a runner, not started yet, on what is on disk; may take a second.

        Raises UnusableJournal, and UserError for a mistake in the settings; the journal's lock is free then.
        """
        try:
            self._admit()
            self.journal = self.journal.reopen()
            failpoint("after_lock")
            return self._build(self.journal)
        except BaseException as error:
            # it may be open already
            self.journal.let_go()
            if isinstance(error, UnusableJournal):
                self._heals = error.heals
            raise

    @property
    def heals(self) -> bool:
        """Whether a link that has stopped is opened again by itself."""
        return self._heals

    def use(self, build: Callable[[JournalWriter], RunnerT], admit: Callable[[], None] = lambda: None) -> None:
        """Build the following runners with `build`, where `admit` does not object: the files have changed."""
        self._build, self._admit = build, admit

    def exchange(self, runners: dict[str, RunnerT], queue: WorkQueue, now: Now) -> bool:
        """Stop the running link in order, and start it again on its journal, before anything else happens to it.

        The queue must have no item that refers to the runner; it wakes the loop for the deadlines of the new one. If
        the journal fails meanwhile, the link has stopped. Returns whether the journal was opened again.
        """
        before = runners[self.link]
        before.shorten(now)
        if before.failure is None:
            before.stop(now)
        if before.failure is None:
            before.close(now)
        if before.failure is not None:
            return False
        try:
            runner = self.open()
        except UserError as error:
            before.fail(now, error)
            return False
        runners[self.link] = runner
        queue.wake([self.link])
        try:
            runner.start(now)
        except UserError as error:
            runner.fail(now, error)
        else:
            if runner.failure is None:
                runner.follow(before, now)
                runner.commit(now)
                runner.perform(now)
                failpoint("after_started")
        before.changed.send()
        return True

    def stopped(self) -> RunnerT:
        """Return a runner without history, to hold the place of a link whose journal could not be opened."""
        return self._build(self.journal)

    async def keep_open(self, runners: dict[str, RunnerT], queue: WorkQueue, back: Callable[[], None]) -> None:
        """Reopen the link whenever it has stopped, until its journal is damaged.

        A damaged journal is not retried: an operator may be copying a replacement, and opening a half-copied file
        would cut it.

        Args:
            runners: the process's; the new runner replaces the stopped one.
            queue: the loop's.
            back: called when the new runner's start is on disk.
        """
        while self._heals:
            await asyncio.sleep(self._every_s)
            if runners[self.link].failure is None:
                continue
            build = self._build
            try:
                # in a thread, so that the other links go on
                runner = await asyncio.to_thread(self.open)
            except UnusableJournal as error:
                if not error.heals:
                    runners[self.link].failure_alarm.keep(error)
                continue
            except UserError:
                # another service holds the lock, or a key can't be read: try again later
                continue
            if build is not self._build:
                # the files have changed meanwhile
                self.journal.let_go()
                continue
            revival = Revival(runners, runner, back)
            queue.push(revival)
            await revival.settled.wait()


def recovered_core(journal: JournalWriter, empty: CoreT) -> CoreT:
    """Return `empty` after the journal's recovered records, and release them.

    Raises UnusableJournal for a record that this version cannot continue from: other links must still run.
    """
    try:
        return fold(journal.take_recovered(), empty)
    except FoldError as error:
        raise UnusableJournal(phrase("{name}: {error}", name=journal.name, error=error), heals=False) from error


class Revival(Generic[RunnerT]):
    """Work item that replaces a stopped runner by one on the reopened journal, and starts it."""

    def __init__(self, runners: dict[str, RunnerT], runner: RunnerT, back: Callable[[], None]) -> None:
        self.settled = asyncio.Event()
        self._runners = runners
        self._runner = runner
        self._back = back
        self._now: Now | None = None

    @property
    def links(self) -> Collection[Identifier]:
        """The link of the runner."""
        return (self._runner.link,)

    def take(self, now: Now) -> None:
        """Start the new runner."""
        self._now = now
        runner, old = self._runner, self._runners[self._runner.link]
        runner.failure_alarm.inherit(old.failure)
        self._runners[runner.link] = runner
        try:
            runner.start(now)
        except UserError as error:
            runner.fail(now, error)
        old.changed.send()

    def settle(self) -> None:
        """Clear the alarm if the start is on disk; else the failure stands as before."""
        assert self._now is not None, "the loop takes an item before it settles it"
        if self._runner.failure is None:
            self._runner.failure_alarm.clear(self._now.at)
            self._back()
        self.settled.set()
