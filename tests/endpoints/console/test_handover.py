"""Sessions end with the watch of their officer, relieved in a browser or on the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import pytest

from endpoints.change_signal import ChangeSignal
from endpoints.console.handover import Handover
from endpoints.console.log_in import EndOfSession
from endpoints.console.sessions import ReaderSession, Sessions
from endpoints.errors import UserError

WITHIN_S = 5.0


class Links:
    """Who has the watch of each link, as a test says it."""

    def __init__(self, **officers: str | None) -> None:
        self.changed = ChangeSignal()
        self.officers: dict[str, str | None] = dict(officers)

    def on_watch(self) -> Mapping[str, str | None]:
        return dict(self.officers)

    def say(self, **officers: str | None) -> None:
        self.officers |= officers
        self.changed.send()


class Ended:
    """Ends sessions, and lists them."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.why: list[tuple[str, EndOfSession]] = []
        self.fails = False
        self.any = asyncio.Event()

    async def end(self, session: ReaderSession, why: EndOfSession) -> bool:
        if self.fails:
            raise UserError("the disk is full")
        self.sessions.end(session)
        self.why.append((session.officer, why))
        self.any.set()
        return True


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    with closing(Sessions(tmp_path / "console.db", lambda: 1_000)) as sessions:
        yield sessions


def officers(sessions: Sessions) -> list[str]:
    return sorted(each.officer for each in sessions.all())


async def test_the_sessions_of_the_relieved_officer_end_and_no_others(sessions: Sessions) -> None:
    for officer in ("watch-1", "watch-1", "watch-2"):
        sessions.begin("officer", officer=officer)
    sessions.begin("board")
    links, ended = Links(a="watch-1"), Ended(sessions)
    handover = Handover(links, sessions, ended)
    await handover.look()
    assert officers(sessions) == ["", "watch-1", "watch-1", "watch-2"]
    links.say(a="watch-2")
    await handover.look()
    assert officers(sessions) == ["", "watch-2"]
    assert ended.why == [("watch-1", "handover")] * 2
    # who was relieved may log in to read
    sessions.begin("officer", officer="watch-1")
    await handover.look()
    assert officers(sessions) == ["", "watch-1", "watch-2"]


async def test_who_leaves_the_watch_or_has_that_of_another_link_stays_logged_in(sessions: Sessions) -> None:
    sessions.begin("officer", officer="watch-1")
    links = Links(a="watch-1", b="watch-1")
    handover = Handover(links, sessions, Ended(sessions))
    await handover.look()
    for said in ({"a": "watch-2"}, {"b": None}, {"b": "watch-2"}):
        links.say(**said)
        await handover.look()
    assert officers(sessions) == ["watch-1"]


async def test_a_link_that_is_heard_again_is_compared_with_what_was_known(sessions: Sessions) -> None:
    sessions.begin("officer", officer="watch-1")
    links = Links(a="watch-1")
    handover = Handover(links, sessions, Ended(sessions))
    await handover.look()
    del links.officers["a"]
    await handover.look()
    links.say(a="watch-2")
    await handover.look()
    assert officers(sessions) == []


async def test_a_session_that_cannot_be_ended_ends_no_console(sessions: Sessions) -> None:
    sessions.begin("officer", officer="watch-1")
    links, ended = Links(a="watch-1"), Ended(sessions)
    handover = Handover(links, sessions, ended)
    await handover.look()
    ended.fails = True
    links.say(a="watch-2")
    await handover.look()
    assert officers(sessions) == ["watch-1"]


async def test_it_follows_the_links_until_it_is_cancelled(sessions: Sessions) -> None:
    sessions.begin("officer", officer="watch-1")
    links, ended = Links(a="watch-1"), Ended(sessions)
    handover = Handover(links, sessions, ended)
    await handover.look()
    task = asyncio.create_task(handover.run())
    links.say(a="watch-2")
    await asyncio.wait_for(ended.any.wait(), WITHIN_S)
    assert officers(sessions) == []
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
