from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from endpoints.console.sessions import (
    BOARD_MS,
    BROWSER_MS,
    BROWSERS_MAX,
    LINK_MS,
    SESSION_MS,
    SESSIONS_MAX,
    Sessions,
)
from endpoints.errors import UserError
from endpoints.texts.i18n import translator
from protocol.phrases import worded


class Hands:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def sessions(tmp_path: Path, hands: Hands) -> Iterator[Sessions]:
    with closing(Sessions(tmp_path / "console.db", hands)) as opened:
        yield opened


def test_a_file_of_another_version_is_begun_anew(tmp_path: Path, hands: Hands) -> None:
    path = tmp_path / "console.db"
    with closing(sqlite3.connect(path)) as former:
        former.executescript("CREATE TABLE sessions (digest TEXT PRIMARY KEY); PRAGMA user_version = 77;")

    with closing(Sessions(path, hands)) as sessions:
        token = sessions.begin("officer", officer="watch-1")
    with closing(Sessions(path, hands)) as again:
        assert again.of(token)


def test_a_token_opens_its_session_until_it_ends(sessions: Sessions, hands: Hands) -> None:
    token = sessions.begin("officer", officer="watch-1", proof="d1")

    found = sessions.of(token)
    assert found is not None
    assert (found.role, found.officer, found.proof, found.texts) == ("officer", "watch-1", "d1", True)
    assert sessions.over() == []
    hands.now += SESSION_MS
    assert sessions.of(token) is None
    assert (sessions.all(), sessions.over()) == ([], [found])


@pytest.mark.parametrize("forged", ["", "a", "x" * 43, "x" * 10_000, "☢" * 20, "\x00"])
def test_a_forged_token_opens_nothing(sessions: Sessions, forged: str) -> None:
    sessions.begin("officer", officer="watch-1")
    assert sessions.of(forged) is None


def test_a_session_that_was_ended_is_over_and_others_go_on(sessions: Sessions) -> None:
    token, other = sessions.begin("officer"), sessions.begin("investigator")
    session = sessions.of(token)
    assert session is not None
    sessions.end(session)
    assert sessions.of(token) is None
    assert sessions.of(other) is not None


def test_a_link_opens_one_session_once_and_not_for_ever(sessions: Sessions, hands: Hands) -> None:
    token = sessions.redeem(link := sessions.offer("board", texts=False)) or ""
    board = sessions.of(token)
    assert board is not None
    assert (board.role, board.texts, board.ends_at) == ("board", False, hands.now + BOARD_MS)
    assert sessions.redeem(link) is None

    late = sessions.offer("investigator", texts=True)
    hands.now += LINK_MS
    assert sessions.redeem(late) is None
    assert sessions.redeem("x" * 10_000) is None


def test_sessions_survive_a_restart_and_end_from_another_process(
    tmp_path: Path, sessions: Sessions, hands: Hands
) -> None:
    token = sessions.begin("officer", officer="watch-1")
    link = sessions.offer("board", texts=False)
    sessions.close()

    path = tmp_path / "console.db"
    with closing(Sessions(path, hands)) as again, closing(Sessions(path, hands)) as beside:
        assert again.of(token) is not None
        beside.end_links()
        (session,) = beside.all()
        beside.end(session)
        assert again.of(token) is None
        assert again.redeem(link) is None, "an unused link ends with them"


def test_the_file_is_private_and_holds_no_token(tmp_path: Path, sessions: Sessions) -> None:
    token, link = sessions.begin("officer", officer="watch-1"), sessions.offer("board", texts=False)
    browser = sessions.know("")
    sessions.close()
    path = tmp_path / "console.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token.encode() not in path.read_bytes()
    assert link.encode() not in path.read_bytes()
    assert browser.encode() not in path.read_bytes()


def test_there_are_only_so_many_sessions(sessions: Sessions, hands: Hands) -> None:
    tokens = []
    for _ in range(SESSIONS_MAX + 2):
        hands.now += 1
        tokens.append(sessions.begin("officer"))
    assert sessions.of(tokens[0]) is None
    assert sessions.of(tokens[-1]) is not None
    assert len(sessions.all()) == SESSIONS_MAX


def test_a_browser_is_known_by_its_newest_token_for_a_year(sessions: Sessions, hands: Hands) -> None:
    first = sessions.know("")
    assert sessions.browser(first)
    second = sessions.know(first)
    assert sessions.browser(second) not in {"", second}, "it is named by a digest"
    for stranger in (first, "", "x" * 10_000, "\x00"):
        assert sessions.browser(stranger) == ""
    hands.now += BROWSER_MS
    assert sessions.browser(second) == ""


def test_there_are_only_so_many_known_browsers(sessions: Sessions, hands: Hands) -> None:
    tokens = []
    for _ in range(BROWSERS_MAX + 1):
        hands.now += 1
        tokens.append(sessions.know(""))
    assert [bool(sessions.browser(token)) for token in (tokens[0], tokens[1], tokens[-1])] == [False, True, True]


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, hands: Hands) -> None:
    path = tmp_path / "console.db"
    path.write_text("this is no database, and it is long enough to be taken for one" * 20)
    with pytest.raises(UserError, match=r"console\.db: the sessions of the console can't be kept here: .*database"):
        Sessions(path, hands)


def test_why_a_file_cannot_be_used_is_said_in_the_readers_language(tmp_path: Path, hands: Hands) -> None:
    t = translator("ru")
    damaged = tmp_path / "damaged.db"
    damaged.write_text("this is no database, and it is long enough to be taken for one" * 20)
    used = tmp_path / "used.db"
    with closing(Sessions(used, hands)) as sessions, closing(sqlite3.connect(used)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError) as busy:
            sessions.begin("board")
    with pytest.raises(UserError) as no_database:
        Sessions(damaged, hands)
    with pytest.raises(UserError) as no_folder:
        Sessions(tmp_path / "nowhere" / "console.db", hands)
    said = [t.say(worded(each.value)).partition(": ")[2] for each in (busy, no_database, no_folder)]
    assert said == [
        f"здесь нельзя хранить сеансы консоли: {why}"
        for why in ("файл занят другим процессом", "файл не является базой данных", "нет такого файла или папки")
    ]
