"""Has `log verify` judge a journal in a process of its own, once for each state of it that somebody asks about."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from msgspec import Struct

from endpoints.config.settings import LinkSettings
from endpoints.console.exports import run
from endpoints.errors import os_reason

VerdictState = Literal["running", "intact", "incomplete", "changed", "failed"]
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
        if last is not None and (last.state == "running" or last.upto >= upto):
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
            code, said = await run(words)
        except OSError as error:
            code, said = -1, os_reason(error).encode()
        lines = tuple(line.strip() for line in said.decode(errors="replace").splitlines() if line.strip())
        state = _STATES.get(code, "failed")
        self.last = JournalVerdict(state=state, upto=upto, language=language, lines=lines)
