"""Makes what an investigator takes away: the records of an interval, and the account of it as a page and as a table.

Each file says of which interval it is, up to which record with which hash, by which version it was made, and what was
left out. The account is made by the command line in a process of its own: it reads the whole journal, and verifies it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from markupsafe import escape

from endpoints.config.settings import LinkSettings
from endpoints.errors import UserError
from endpoints.journal.archived_segment import open_segment
from endpoints.journal.batch_reader import LINE_MAX_BYTES
from endpoints.journal.segments import segments
from endpoints.texts.exporting import Head, Interval, RecordLines, about, heading
from endpoints.texts.i18n import Translator

OUTPUT_MAX_BYTES: Final = 1 << 16
"""Far more than a command of ours says: of many problems it lists the first twenty."""
_NICE: Final = 10
"""The line goes first."""
CHILD_S: Final = 600
"""How long an account may take: far longer than that of a year."""
_WAIT_S: Final = 60
_ONE = asyncio.BoundedSemaphore(1)
"""One account at a time: each takes a processor."""


def file_name(link: LinkSettings, side: str, interval: Interval, ending: str) -> str:
    """Return the name of a file: it begins with what the link is for."""
    status = link.content.terms.policy.status.upper()
    times = [re.sub(r"[-:]|\.\d+", "", each) for each in (interval.first, interval.last) if each]
    return "-".join([status, link.id, side, *times]) + f".{ending}"


# --- records ------------------------------------------------------------------------------------------------------


def records(link: LinkSettings, side: str, interval: Interval) -> Iterator[bytes]:
    """Yield the records of an interval, byte for byte, as JSON lines; the first and the last line say what they are.

    `log verify` accepts the file: the two lines are no records to it. An archived segment that is damaged is left
    out, and named in the last line. Raises OSError.
    """
    lines = RecordLines(interval)
    yield lines.begin(heading(link.id, side, link.content.terms.policy.status, interval))
    lost: list[str] = []
    for path in segments(link.journal):
        try:
            stream = open_segment(path)
        except UserError as error:
            lost.append(f"{error}")
            continue
        with stream:
            while line := stream.readline(LINE_MAX_BYTES):
                # the end of what is written
                if b"\0" in line or not line.endswith(b"\n"):
                    break
                if taken := lines.take(line):
                    yield taken
    yield lines.end(*lost)


# --- accounts -----------------------------------------------------------------------------------------------------


async def account(link: LinkSettings, interval: Interval, form: str, t: Translator, head: Head) -> AsyncIterator[bytes]:
    """Yield the account of an interval: `form` is `html` or `csv`. What prevents it stands in the file.

    Args:
        link: whose journal.
        interval: of what.
        form: of the file.
        t: the language.
        head: how far the console has read the journal, for a page; it may have later records.
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
            # a table says what it is by itself
            words = ["log", "export"] if form == "csv" else ["timeline"]
            words += [str(link.journal), f"--{form}", str(path), "--lang", t.language]
            for option, at in (("--from", interval.first), ("--to", interval.last)):
                words += [option, at] if at else []
            _, said = await run(words)
            content = await asyncio.to_thread(_content, path)
            if content is None:
                yield said
                return
    finally:
        _ONE.release()
    if form == "csv":
        yield content
    else:
        # it says itself which journals it has, and what is wrong with them
        about_it = about(link.id, link.content.terms.policy.status, interval, head, t)
        before, _, after = content.rpartition(b"</body>")
        yield before + f"<p>{escape(about_it)}</p>".encode() + b"</body>" + after


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


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
