"""The sessions of those who read, and the browsers that are known: tables in a private file, which survive a restart.

It holds digests of the tokens, never the tokens. The commands `board-link` and `end-sessions` write into the same file,
whether or not the console runs.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct

from endpoints.console.facts import Role
from endpoints.errors import UserError, os_reason
from protocol.phrases import phrase
from protocol.wire.instants import Millis

SESSION_MS: Millis = 12 * 3_600_000
"""How long an officer's or an investigator's session lasts at most."""
BOARD_MS: Millis = 366 * 86_400_000
"""How long a wall display's session lasts: nobody stands there to log in again."""
LINK_MS: Millis = 600_000
"""How long a one-time link may wait for its use."""
SESSIONS_MAX = 256
BROWSER_MS: Millis = 366 * 86_400_000
"""How long a browser is known after a session began in it."""
BROWSERS_MAX = 256
_TOKEN_BYTES = 32
_TOKEN_MAX = 64
_SELECT = "SELECT id, role, officer, proof, texts, ends_at FROM sessions"
_VERSION = 2
"""Of the tables. A file of another version is begun anew: its sessions end."""
_TABLES = f"""
BEGIN EXCLUSIVE;
DROP TABLE IF EXISTS sessions;
DROP TABLE IF EXISTS links;
DROP TABLE IF EXISTS browsers;
CREATE TABLE sessions (
    digest TEXT PRIMARY KEY, id TEXT NOT NULL, role TEXT NOT NULL, officer TEXT NOT NULL, proof TEXT NOT NULL,
    texts INTEGER NOT NULL, ends_at INTEGER NOT NULL
);
CREATE TABLE links (
    digest TEXT PRIMARY KEY, role TEXT NOT NULL, texts INTEGER NOT NULL, ends_at INTEGER NOT NULL
);
CREATE TABLE browsers (
    digest TEXT PRIMARY KEY, ends_at INTEGER NOT NULL
);
PRAGMA user_version = {_VERSION};
COMMIT;
"""


_REASONS = {
    sqlite3.SQLITE_BUSY: phrase("another process is using the file"),
    sqlite3.SQLITE_CANTOPEN: phrase("the file cannot be opened"),
    sqlite3.SQLITE_CORRUPT: phrase("the file is damaged"),
    sqlite3.SQLITE_FULL: phrase("No space left on device"),
    sqlite3.SQLITE_IOERR: phrase("Input/output error"),
    sqlite3.SQLITE_NOTADB: phrase("the file is not a database"),
    sqlite3.SQLITE_READONLY: phrase("the file cannot be written"),
}
"""By primary code. Details that SQLite adds to a code stand above its lowest byte."""


class ReaderSession(Struct, frozen=True, kw_only=True):
    """Who reads.

    Attributes:
        id: names the session in the journal; it is no secret.
        role: what they may see.
        officer: the officer who has logged in, empty for others.
        proof: the digest of the officer's entry then, empty if it was not known; another entry is another credential.
        texts: whether the texts of messages are shown; a wall display may be seen by visitors.
        ends_at: when the session ends, by the machine's clock.
    """

    id: str
    role: Role
    officer: str
    proof: str
    texts: bool
    ends_at: Millis


class Sessions:
    """The sessions of one console. Raises UserError if its file can't be used."""

    def __init__(self, path: Path, now: Callable[[], Millis]) -> None:
        """Open the file, which is made if there is none; `now` reads the machine's wall clock."""
        self._now = now
        self._path = path
        try:
            path.touch(mode=0o600)
            self._file = _opened(path)
        except (OSError, sqlite3.Error) as error:
            raise _unusable(self._path, error) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def begin(
        self,
        role: Role,
        *,
        officer: str = "",
        proof: str = "",
        texts: bool = True,
        lasting_ms: Millis | None = None,
        identity: str = "",
    ) -> str:
        """Begin a session; return its token, which the browser keeps and nobody else. The oldest give way."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        ends_at = self._now() + (lasting_ms or (BOARD_MS if role == "board" else SESSION_MS))
        self._clean()
        self._write(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)",
            (_digest(token), identity or secrets.token_hex(8), role, officer, proof, texts, ends_at),
        )
        return token

    def of(self, token: str) -> ReaderSession | None:
        """Return the session of a token, None if there is none or it has ended."""
        if not 0 < len(token) <= _TOKEN_MAX:
            return None
        rows = self._read(
            f"{_SELECT} WHERE digest = ? AND ends_at > ?",
            (_digest(token), self._now()),
        )
        return _session(*rows[0]) if rows else None

    def end(self, session: ReaderSession) -> None:
        """End a session."""
        self._write("DELETE FROM sessions WHERE id = ?", (session.id,))

    def end_links(self) -> None:
        """End the links that were not used."""
        self._write("DELETE FROM links", ())

    def all(self) -> list[ReaderSession]:
        """Return the sessions whose time is not over."""
        return [_session(*row) for row in self._read(f"{_SELECT} WHERE ends_at > ?", (self._now(),))]

    def over(self) -> list[ReaderSession]:
        """Return the sessions whose time is over."""
        return [_session(*row) for row in self._read(f"{_SELECT} WHERE ends_at <= ?", (self._now(),))]

    def offer(self, role: Role, *, texts: bool) -> str:
        """Return the token of a new one-time link, which begins a session of `role`."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._write("INSERT INTO links VALUES (?, ?, ?, ?)", (_digest(token), role, texts, self._now() + LINK_MS))
        return token

    def redeem(self, token: str) -> str | None:
        """Begin the session of a one-time link; return its token, None if the link was used, is too old or unknown."""
        rows = self._read(
            "DELETE FROM links WHERE digest = ? RETURNING role, texts, ends_at", (_digest(token[:_TOKEN_MAX]),)
        )
        if not rows or rows[0][2] <= self._now():
            return None
        return self.begin(rows[0][0], texts=bool(rows[0][1]))

    def know(self, former: str) -> str:
        """Return a new token for a browser in which a session has begun, in place of its `former` one."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._write("DELETE FROM browsers WHERE digest = ?", (_digest(former),))
        self._write("INSERT INTO browsers VALUES (?, ?)", (_digest(token), self._now() + BROWSER_MS))
        self._write(
            "DELETE FROM browsers WHERE digest NOT IN (SELECT digest FROM browsers ORDER BY ends_at DESC LIMIT ?)",
            (BROWSERS_MAX,),
        )
        return token

    def browser(self, token: str) -> str:
        """Return what names a known browser, by its token; empty for a stranger."""
        digest = _digest(token)
        rows = self._read("SELECT digest FROM browsers WHERE digest = ? AND ends_at > ?", (digest, self._now()))
        return digest if rows else ""

    def _clean(self) -> None:
        now = self._now()
        self._write("DELETE FROM links WHERE ends_at <= ?", (now,))
        self._write(
            "DELETE FROM sessions WHERE digest NOT IN (SELECT digest FROM sessions ORDER BY ends_at DESC LIMIT ?)",
            (SESSIONS_MAX - 1,),
        )

    def _read(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            with closing(self._file.execute(statement, values)) as rows:
                return rows.fetchall()
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from None

    def _write(self, statement: str, values: tuple[Any, ...]) -> int:
        try:
            with closing(self._file.execute(statement, values)) as done:
                return done.rowcount
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from None


def check_file(path: Path) -> None:
    """Read the file of the sessions, which stays as it is. Raises UserError if it can't be used."""
    try:
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.2)) as file,
            closing(file.execute("PRAGMA quick_check(1)")) as rows,
        ):
            found = rows.fetchone()[0]
    except sqlite3.Error as error:
        raise _unusable(path, error) from None
    if found != "ok":
        raise _unusable(path, sqlite3.DatabaseError(found))


def _opened(path: Path) -> sqlite3.Connection:
    """Return the open file with its tables of this version. Raises sqlite3.Error."""
    file = sqlite3.connect(path, timeout=0.2, isolation_level=None)
    try:
        with closing(file.execute("PRAGMA user_version")) as rows:
            (version,) = rows.fetchone()
        if version != _VERSION:
            file.executescript(_TABLES)
    except sqlite3.Error:
        file.close()
        raise
    return file


def _unusable(path: Path, error: OSError | sqlite3.Error) -> UserError:
    why = os_reason(error) if isinstance(error, OSError) else _reason(error)
    return UserError(phrase("{path}: the sessions of the console can't be kept here: {error}", path=path, error=why))


def _reason(error: sqlite3.Error) -> str:
    """Return why the file can't be used: a phrase for the usual reasons, else SQLite's own text."""
    return _REASONS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF) or str(error)


def _session(identity: str, role: Role, officer: str, proof: str, texts: int, ends_at: Millis) -> ReaderSession:
    return ReaderSession(id=identity, role=role, officer=officer, proof=proof, texts=bool(texts), ends_at=ends_at)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
