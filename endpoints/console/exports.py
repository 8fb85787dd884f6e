"""Makes what an investigator takes away: the records of an interval, and the account of it as a page and as a table.

Each file says of which interval it is, up to which record with which hash, by which version it was made, and what was
left out. The account is made by the command line in a process of its own: it reads the whole journal, and verifies it.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
from markupsafe import escape
from msgspec import Struct

from endpoints.config.settings import LinkSettings
from endpoints.journal.archived_segment import open_segment
from endpoints.journal.batch_reader import LINE_MAX_BYTES
from endpoints.journal.segments import segments
from endpoints.texts.i18n import Translator
from endpoints.texts.timeline_rows import COLUMNS, cell
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Utc

TOOL: Final = f"deconfliction-link {version('deconfliction-link')}"
OUTPUT_MAX_BYTES: Final = 1 << 16
"""Far more than a command of ours says: of many problems it lists the first twenty."""
_NICE: Final = 10
"""The line goes first."""
CHILD_S: Final = 600
"""How long an account may take: far longer than that of a year."""
_WAIT_S: Final = 60
_CHUNK_BYTES: Final = 1 << 16
_RECORD: Final = re.compile(rb'\{"n":(\d{1,16}),"link":"[^"]*","side":"[^"]*","batch":\d{1,16},"at":"([^"]{1,40})"')
_HASH: Final = re.compile(rb'"hash":"([0-9a-f]{64})"}$')
_ONE = asyncio.BoundedSemaphore(1)
"""One account at a time: each takes a processor."""


class Head(NamedTuple):
    """A record and its hash."""

    record: int
    hash: str


class Interval(Struct, frozen=True, kw_only=True):
    """From when to when, both included; None for the beginning and for the end of the journal."""

    since: Millis | None = None
    until: Millis | None = None

    @property
    def first(self) -> Utc | None:
        """The beginning, written."""
        return None if self.since is None else written(self.since)

    @property
    def last(self) -> Utc | None:
        """The end, written."""
        return None if self.until is None else written(self.until)

    def contains(self, at: Utc) -> bool:
        """Return whether an instant lies in it."""
        return (self.first is None or at >= self.first) and (self.last is None or at <= self.last)


def file_name(link: LinkSettings, side: str, interval: Interval, ending: str) -> str:
    """Return the name of a file: it begins with what the link is for."""
    status = link.content.terms.policy.status.upper()
    times = [re.sub(r"[-:]|\.\d+", "", each) for each in (interval.first, interval.last) if each]
    return "-".join([status, link.id, side, *times]) + f".{ending}"


# --- records ------------------------------------------------------------------------------------------------------


def records(link: LinkSettings, side: str, interval: Interval) -> Iterator[bytes]:
    """Yield the records of an interval, byte for byte, as JSON lines; the first and the last line say what they are.

    `log verify` accepts the file: the two lines are no records to it. Raises OSError.
    """
    about = {
        "link": link.id,
        "side": side,
        "status": link.content.terms.policy.status,
        "since": interval.first,
        "until": interval.last,
        "made_by": TOOL,
    }
    yield _line({"export": about})
    counts = _Counts()
    for path in segments(link.journal):
        with open_segment(path) as stream:
            yield from _of_segment(stream, interval, counts)
    yield _line({"export_end": counts.document()})


class _Counts:
    """What was taken, and what was left out."""

    def __init__(self) -> None:
        self.first = self.last = self.taken = self.left_out = 0
        self.head = ""

    def document(self) -> dict[str, Any]:
        left = [f"{self.left_out} records of this journal outside the interval"] if self.left_out else []
        return {
            "records": self.taken,
            "first": self.first or None,
            "last": self.last or None,
            "head": self.head or None,
            "left_out": [*left, "the journals of the other side and of the independent watch"],
        }


def _of_segment(stream: BinaryIO, interval: Interval, counts: _Counts) -> Iterator[bytes]:
    while line := stream.readline(LINE_MAX_BYTES):
        # the end of what is written
        if b"\0" in line or not line.endswith(b"\n"):
            return
        found = _RECORD.match(line)
        if found is None or not interval.contains(found[2].decode("ascii", "replace")):
            counts.left_out += 1
            continue
        n = int(found[1])
        counts.first = counts.first or n
        counts.last, counts.taken = n, counts.taken + 1
        digest = _HASH.search(line[-_CHUNK_BYTES:].rstrip(b"\n"))
        counts.head = digest[1].decode() if digest else counts.head
        yield line


def _line(document: dict[str, Any]) -> bytes:
    return msgspec.json.encode(document) + b"\n"


# --- accounts -----------------------------------------------------------------------------------------------------


async def account(
    link: LinkSettings, side: str, interval: Interval, form: str, t: Translator, head: Head
) -> AsyncIterator[bytes]:
    """Yield the account of an interval: `form` is `html` or `csv`. What prevents it stands in the file.

    Args:
        link: whose journal.
        side: whose side.
        interval: of what.
        form: of the file.
        t: the language.
        head: how far the console has read the journal; the file may have later records.
    """
    try:
        async with asyncio.timeout(_WAIT_S):
            await _ONE.acquire()
    except TimeoutError:
        yield t("another account is being made; try again in a minute").encode()
        return
    try:
        with tempfile.TemporaryDirectory(prefix="deconflict-account-") as folder:
            path = Path(folder, f"account.{form}")
            words = ["timeline", str(link.journal), f"--{form}", str(path), "--lang", t.language]
            for option, at in (("--from", interval.first), ("--to", interval.last)):
                words += [option, at] if at else []
            _, said = await run(words)
            content = await asyncio.to_thread(_content, path)
            if content is None:
                yield said
                return
    finally:
        _ONE.release()
    about = _about(link, interval, head, t)
    if form == "csv":
        header, _, rows = content.partition(b"\r\n")
        yield header + b"\r\n" + _about_row(side, about) + rows
    else:
        # it says itself which journals it has, and what is wrong with them
        before, _, after = content.rpartition(b"</body>")
        yield before + f"<p>{escape(about)}</p>".encode() + b"</body>" + after


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _about(link: LinkSettings, interval: Interval, head: Head, t: Translator) -> str:
    """Return what an account is, in one line."""
    begins, ends = interval.first or t("the beginning of the journal"), interval.last or t("the end of the journal")
    return t(
        "account of {link} ({status}), {begins} to {ends}; made by {tool} when record {record} with hash {hash} was "
        "the last; left out: what is outside the interval, the journals of the other side and of the independent watch",
        link=link.id,
        status=t.term("status", link.content.terms.policy.status),
        begins=begins,
        ends=ends,
        tool=TOOL,
        record=head.record,
        hash=head.hash,
    )


def command(words: list[str]) -> list[str]:
    """Return how a command of ours is started."""
    return [sys.executable, "-P", "-m", "endpoints.cli.main", *words]


async def run(words: list[str]) -> tuple[int, bytes]:
    """Return the exit code of a command and what it said; -1 if it took too long. Raises OSError."""
    child = await asyncio.create_subprocess_exec(
        *command(words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, child.pid, _NICE)
        async with asyncio.timeout(CHILD_S):
            said = await _output(child)
            return await child.wait(), said
    except TimeoutError:
        return -1, b""
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()


async def _output(child: asyncio.subprocess.Process) -> bytes:
    """Return what a process says, up to a limit; the rest is read and dropped, so that it ends."""
    assert child.stdout is not None
    kept = b""
    while part := await child.stdout.read(OUTPUT_MAX_BYTES):
        kept += part[: OUTPUT_MAX_BYTES - len(kept)]
    return kept


def _about_row(side: str, said: str) -> bytes:
    """Return the first row of a table, which says what it is."""
    row = io.StringIO(newline="")
    cells = {"what": "export", "journal": side, "detail": cell(said)}
    csv.DictWriter(row, COLUMNS, lineterminator="\r\n").writerow(cells)
    return row.getvalue().encode()
