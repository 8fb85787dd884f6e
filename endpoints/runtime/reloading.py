"""Takes over changed files while the process runs: settings, link files, private keys, officers (SPEC E1.6).

Everything is checked before anything stops. Then each link whose files have changed stops in order and starts again, in
one step of the event loop: no frame and no request arrives in between. The connection to the broker stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Generic, TypeVar

from msgspec import UNSET, Struct, UnsetType, structs

from endpoints.config.settings import LinkSettings, ProcessSettings, WatchSettings
from endpoints.journal.writer import JournalWriter
from endpoints.keys.officer_credentials import OfficerCredentials
from endpoints.runtime.loop import Loop
from endpoints.runtime.reopening import LinkOpener, RunnerT
from endpoints.runtime.start_checks import check_restored
from endpoints.structured_log import get_logger
from protocol.errors import LinkError, LocalProtocolError
from protocol.phrases import Phrase, Said, phrase, said

SettingsT = TypeVar("SettingsT", bound=ProcessSettings)

Build = Callable[[SettingsT, LinkSettings, JournalWriter, RunnerT | None], RunnerT]
"""Returns the runner of a link and its opened journal; beside a running one, on its core. Raises LinkError."""

_log = get_logger()


class Later(Struct, frozen=True, kw_only=True):
    """Something that only a start takes over, in words."""

    text: str
    said: Said | UnsetType = UNSET


class Reloaded(Struct, frozen=True, kw_only=True):
    """What a reload has taken over.

    Attributes:
        restarted: the links that were stopped and started again.
        stopped: those whose journal cannot be written: they take their files over when it can.
        officers: whether other officers, or other credentials, are in force.
        next_start: what takes effect at the next start of the process.
    """

    restarted: tuple[str, ...]
    stopped: tuple[str, ...]
    officers: bool
    next_start: tuple[Later, ...]


class Reloader(Generic[SettingsT, RunnerT]):
    """Reloads one process, one reload at a time."""

    def __init__(
        self,
        settings: SettingsT,
        read: Callable[[], SettingsT],
        build: Build[SettingsT, RunnerT],
        openers: Sequence[LinkOpener[RunnerT]],
        runners: dict[str, RunnerT],
        loop: Loop,
        officers: OfficerCredentials,
        *,
        taken: Callable[[SettingsT], None],
        opened: Callable[[LinkOpener[RunnerT]], None],
    ) -> None:
        """Make it.

        Args:
            settings: those with which the process has started.
            read: reads them anew, from files alone; raises UserError.
            build: returns the runner of a link.
            openers: of each link.
            runners: the process's.
            loop: the process's.
            officers: authenticates those who act.
            taken: called with the settings that are in force from now on.
            opened: called when a link's journal was opened again.
        """
        self._started = self._present = settings
        self._read = read
        self._build = build
        self._openers = {opener.link: opener for opener in openers}
        self._runners = runners
        self._loop = loop
        self._officers = officers
        self._taken = taken
        self._opened = opened
        self._lock = asyncio.Lock()

    async def reload(self) -> Reloaded:
        """Read the files anew, and take over what has changed; a reload that is under way is waited for.

        Raises LocalProtocolError, and then nothing has changed: `invalid_files`, `not_reloadable`, `stopping`.
        """
        async with self._lock:
            try:
                # in a thread: the links go on, whatever the disk or the user database does
                read = await asyncio.to_thread(self._read)
            except LinkError as error:
                raise _refused(error) from error
            if self._loop.stopping:
                raise LocalProtocolError(
                    "stopping", phrase("the process is stopping; it reads its files when it starts")
                )
            return self._take_over(read)

    def _take_over(self, read: SettingsT) -> Reloaded:
        """Check everything, then take it over. Never awaits, so that nothing arrives meanwhile."""
        _check_same(self._started, read)
        present = _merged(self._present, read)
        now = self._loop.settle()
        running = [link for link in present.links if self._runners[link.id].failure is None]
        try:
            changed = [link.id for link in running if self._differs(present, link)]
        except LinkError as error:
            raise _refused(error) from error
        officers = present.officers != self._present.officers
        self._present = present
        self._officers.exchange({name: officer.credential for name, officer in present.officers.items()})
        self._taken(present)
        for link in present.links:
            opener = self._openers[link.id]
            opener.use(partial(built, self._build, present, link), partial(check_restored, present, link))
            if link.id in changed and opener.exchange(self._runners, self._loop.queue, now):
                self._opened(opener)
        failed = [link.id for link in present.links if self._runners[link.id].failure is not None]
        restarted = tuple(link for link in changed if link not in failed)
        stopped = tuple(link for link in failed if self._openers[link].heals)
        waiting = [
            *_later(self._started, read),
            *(
                phrase("the files of link {link}, which stays stopped", link=link)
                for link in failed
                if link not in stopped
            ),
        ]
        later = tuple(Later(text=str(each), said=said(each) or UNSET) for each in waiting)
        if changed or officers:
            _log.info("files taken over", links=list(restarted))
        return Reloaded(restarted=restarted, stopped=stopped, officers=officers, next_start=later)

    def _differs(self, settings: SettingsT, link: LinkSettings) -> bool:
        """Return whether a running link has to start again. Raises LinkError as its start would."""
        runner = self._runners[link.id]
        candidate = self._build(settings, link, self._openers[link.id].journal, runner)
        candidate.check_link_file()
        return runner.differs(candidate, self._loop.now())


def built(build: Build[SettingsT, RunnerT], settings: SettingsT, link: LinkSettings, journal: JournalWriter) -> RunnerT:
    """Return the runner of a link and its opened journal. Raises LinkError."""
    return build(settings, link, journal, None)


def _refused(error: LinkError) -> LocalProtocolError:
    _log.warning("changed files refused", why=str(error))
    what = phrase("nothing was taken over, and everything runs on as before: {error}", error=error)
    return LocalProtocolError("invalid_files", what)


def _check_same(started: SettingsT, read: SettingsT) -> None:
    """Raise LocalProtocolError if the files are of another process: another side, or a link of other parties."""
    if read.side != started.side:
        raise _other(
            phrase(
                "{path}: this is the process of {side}, not of {other}",
                path=read.path,
                side=started.side,
                other=read.side,
            )
        )
    before = {link.id: link for link in started.links}
    for link in read.links:
        known = before.get(link.id)
        if known is not None and set(known.content.parties) != set(link.content.parties):
            raise _other(phrase("{file}: link {link} has other parties", file=link.file, link=link.id))


def _other(what: Phrase) -> LocalProtocolError:
    return LocalProtocolError(
        "not_reloadable", phrase("{what}: nothing was taken over; a restart of the process takes it over", what=what)
    )


def _merged(present: SettingsT, read: SettingsT) -> SettingsT:
    """Return the settings `read` with the links that run, each with the journal that it has open."""
    new = {link.id: link for link in read.links}
    links = tuple(
        structs.replace(new[link.id], journal=link.journal) if link.id in new else link for link in present.links
    )
    return structs.replace(read, links=links)


def _later(started: SettingsT, read: SettingsT) -> Iterator[Phrase]:
    """Yield what only a start takes over."""
    before = {link.id: link for link in started.links}
    after = {link.id: link for link in read.links}
    for link in after.keys() - before.keys():
        yield phrase("the new link {link}", link=link)
    for link in before.keys() - after.keys():
        yield phrase("the end of link {link}, which runs on until then", link=link)
    for link in before.keys() & after.keys():
        if before[link].journal != after[link].journal:
            yield phrase("another journal folder of link {link}: {folder}", link=link, folder=after[link].journal)
    if started.control != read.control:
        yield phrase("another control socket: {path}", path=read.control)
    if started.broker != read.broker:
        yield phrase("another address or other certificate files of the broker")
    if started.notifications != read.notifications:
        yield phrase("other receivers of notifications")
    if _dead_man(started) != _dead_man(read):
        yield phrase("another monitor that expects a sign of life")
    if started.health != read.health:
        yield phrase("another address of the health listener")
    if started.console != read.console:
        yield phrase("whether a console is to show this process")
    if (started.exercise_clock, started.allow_ptrace) != (read.exercise_clock, read.allow_ptrace):
        yield phrase("another exercise clock, or whether a debugger may attach")


def _dead_man(settings: ProcessSettings) -> object:
    return settings.dead_man if isinstance(settings, WatchSettings) else None
