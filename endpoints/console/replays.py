"""Puts links at instants of their past: in a process of its own, one at a time, within a limit of time and bytes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from endpoints.config.settings import LinkSettings
from endpoints.console.condition import UNHEARD, Condition, heard
from endpoints.console.facts import Facts, Replayed
from endpoints.console.rewinding import RewindOutcome, Rewound
from endpoints.console.screen import Screen
from endpoints.control.past_status import past_status
from endpoints.errors import os_reason
from protocol.phrases import Phrase, phrase, rephrased, said
from protocol.wire.instants import Millis, parsed, written

LIMIT_S: Final = 20.0
"""How long a replay may take: a segment takes a second or two, on a machine that is busy with the line longer."""
WAIT_S: Final = 5.0
"""How long one waits for those before it."""
OUTPUT_MAX_BYTES: Final = 32 << 20
"""Far more than the state of a link with thousands of open alerts."""
KEPT_MAX: Final = 16
"""Results that are kept: an open page asks again at each change of the present."""
PROGRAM: Final = ("-m", "endpoints.console.rewinding")
_NICE: Final = 5
"""The line goes first."""
_Key = tuple[str, Millis, int, int]


class Replays:
    """The replays of one console."""

    def __init__(self, program: tuple[str, ...] = PROGRAM, limit_s: float = LIMIT_S) -> None:
        """Prepare it.

        Args:
            program: what Python runs for a replay.
            limit_s: how long that may take.
        """
        self._program = program
        self._limit_s = limit_s
        self._one = asyncio.BoundedSemaphore(1)
        self._kept: OrderedDict[_Key, RewindOutcome] = OrderedDict()

    async def shown(self, present: Facts, screen: Screen, query: Mapping[str, str]) -> Facts:
        """Return the facts that a screen shows: with what the journal says of the instant that it asks for, if any."""
        instant = None if screen.replays is None else screen.replays(present, query)
        return present if instant is None else await self.at(present, instant)

    async def at(self, present: Facts, instant: Millis) -> Facts:
        """Return the present facts with what the journal says of an instant."""
        if instant > present.now:
            now = f"{written(present.now)[:10]} {written(present.now)[11:19]}"
            why = phrase("this instant has not come yet: it is {now} UTC", now=now)
            return replace(present, replayed=Replayed(at=instant, trouble=why))
        found = await self._outcome(present, instant)
        if found.rewound is None:
            why_not = rephrased(found.trouble, found.made_from)
            return replace(present, replayed=Replayed(at=instant, trouble=why_not))
        return replace(
            present, replayed=Replayed(at=instant, then=_then(present, instant, found.rewound), hash=found.rewound.hash)
        )

    async def _outcome(self, present: Facts, instant: Millis) -> RewindOutcome:
        generation = 0 if present.history is None else present.history.generation
        link = present.settings
        keys: tuple[_Key, _Key] = (
            (link.id, instant, generation, 0),
            # nothing is added before a record; without one after the instant, the next one may belong to it
            (link.id, instant, generation, present.upto),
        )
        if (known := self._known(keys)) is not None:
            return known
        try:
            async with asyncio.timeout(WAIT_S):
                await self._one.acquire()
        except TimeoutError:
            return _trouble(phrase("other instants are being shown; try again in a few seconds"))
        try:
            # somebody else may have asked for it meanwhile
            if (known := self._known(keys)) is not None:
                return known
            found = await self._run(link, present.side, instant)
        finally:
            self._one.release()
        if found.rewound is not None:
            self._kept[keys[0] if found.rewound.later else keys[1]] = found
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return found

    def _known(self, keys: tuple[_Key, _Key]) -> RewindOutcome | None:
        return next((self._kept[key] for key in keys if key in self._kept), None)

    async def _run(self, link: LinkSettings, side: str, instant: Millis) -> RewindOutcome:
        words = [str(link.journal), link.id, side, str(instant)]
        try:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                *self._program,
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            return _trouble(phrase("the journal can't be replayed: {why}", why=os_reason(error)))
        try:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, child.pid, _NICE)
            async with asyncio.timeout(self._limit_s):
                printed = await _output(child)
                await child.wait()
            return msgspec.json.decode(printed, type=RewindOutcome)
        except TimeoutError:
            at = written(instant)
            return _trouble(
                phrase(
                    "this took longer than {seconds} s; on the command line: deconflict replay JOURNAL --until {at}",
                    seconds=int(self._limit_s),
                    at=at,
                )
            )
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _trouble(phrase("the replay of the journal ended without a result"))
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await _output(child)
                await child.wait()


async def _output(child: asyncio.subprocess.Process) -> bytes:
    """Return what a process prints; nothing if it is more than the limit."""
    assert child.stdout is not None
    kept, length = bytearray(), 0
    # to its end: a process whose output is not read never ends
    while part := await child.stdout.read(1 << 16):
        length += len(part)
        if length <= OUTPUT_MAX_BYTES:
            kept += part
    return bytes(kept) if length <= OUTPUT_MAX_BYTES else b""


def _trouble(why: Phrase) -> RewindOutcome:
    return RewindOutcome(trouble=why)


def _then(present: Facts, instant: Millis, found: Rewound) -> Facts:
    """Return the facts of the instant: what the journal does not have is not known."""
    status = past_status(found.snapshot, instant)
    absence = _absence(present, instant, found)
    condition = absence or heard(status, found.snapshot, instant, UNHEARD)
    return replace(
        present,
        status=status,
        snapshot=found.snapshot,
        heard_at=None,
        presence={},
        upto=found.record,
        condition=Condition(state="replayed") if condition.state == "live" else condition,
        now=instant,
        watch=None,
        history=None,
    )


def _absence(present: Facts, instant: Millis, found: Rewound) -> Condition | None:
    """Return the condition at an instant at which the service was not at work, None if it was, as far as is known."""
    if found.absence is not None:
        since = parsed(found.absence.since or found.absence.at)
        until = f"{found.absence.at[:10]} {found.absence.at[11:19]}"
        causes = {
            "clock_set": phrase("The clock was set forward to {until} UTC.", until=until),
            "suspended": phrase("The machine stood still until {until} UTC.", until=until),
        }
        detail = causes.get(found.absence.detail, phrase("It ran again at {until} UTC.", until=until))
        return Condition(state="absent", since=since, detail=str(detail), made_from=said(detail))
    if found.stopped is not None:
        return Condition(state="absent", since=parsed(found.stopped))
    silent = not present.condition.current and (present.heard_at is None or instant > present.heard_at)
    if silent and not found.later:
        return Condition(state="absent", since=present.heard_at or parsed(found.at))
    return None
