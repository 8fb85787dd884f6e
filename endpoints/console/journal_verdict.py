"""Has `log verify` judge a journal in a process of its own, once for each state of it that somebody asks about."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Final, Literal

from msgspec import Struct

from endpoints.config.settings import LinkSettings
from endpoints.console.exports import CHILD_S, command
from endpoints.errors import os_reason

VerdictState = Literal["running", "intact", "incomplete", "changed", "failed"]
OUTPUT_MAX_BYTES: Final = 1 << 16
"""Far more than `log verify` says: of many problems it lists the first twenty."""
_NICE: Final = 10
"""The line goes first."""
_STATES: Final[dict[int, VerdictState]] = {0: "intact", 3: "incomplete", 4: "changed"}


class JournalVerdict(Struct, frozen=True, kw_only=True):
    """What `log verify` said.

    Attributes:
        state: whether it is still judging, its verdict, or that it failed.
        upto: the last record when it was asked.
        language: of its lines.
        lines: what it said.
    """

    state: VerdictState
    upto: int
    language: str
    lines: tuple[str, ...] = ()


class JournalJudge:
    """Judges one journal on demand.

    Attributes:
        last: the last verdict, or that one is being made; None before the first.
    """

    def __init__(self, link: LinkSettings) -> None:
        self.last: JournalVerdict | None = None
        self._link = link
        self._judging: asyncio.Task[None] | None = None

    def judge(self, upto: int, language: str) -> None:
        """Begin to judge the journal, unless that is under way, or done up to this record."""
        last = self.last
        if last is not None and (last.state == "running" or (last.upto, last.language) == (upto, language)):
            return
        self.last = JournalVerdict(state="running", upto=upto, language=language)
        self._judging = asyncio.create_task(self._judge(upto, language))

    async def done(self) -> None:
        """Return when the journal is judged, at once if it is not being judged."""
        if self._judging is not None:
            await asyncio.shield(self._judging)

    async def _judge(self, upto: int, language: str) -> None:
        words = ["log", "verify", str(self._link.journal), "--link-file", str(self._link.file), "--lang", language]
        try:
            code, said = await _run(words)
        except OSError as error:
            code, said = -1, os_reason(error).encode()
        lines = tuple(line.strip() for line in said.decode(errors="replace").splitlines() if line.strip())
        state = _STATES.get(code, "failed")
        self.last = JournalVerdict(state=state, upto=upto, language=language, lines=lines)


async def _run(words: list[str]) -> tuple[int, bytes]:
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
