"""Runs `deconflict` as a user does, and times it: a command, or the start of an endpoint."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import broker
from endpoints.clocks.clock import SystemClock
from endpoints.errors import UserError
from load.arrivals import SECOND_NS
from load.at_control import get
from load.child import STOP_WITHIN_S
from load.processes import resident_mib
from protocol.phrases import phrase

START_WITHIN_S = 60.0
COMMAND_WITHIN_S = 600.0
REPEATS = 3
_LAUNCH = Path(broker.__file__).with_name("launch.py")
_LOOK_EVERY_S = 0.005


async def command_s(
    words: Sequence[str], *, repeats: int = REPEATS, fails: bool = False
) -> tuple[float, dict[str, Any]]:
    """Return the median time of a command in seconds, and the JSON document that it printed last, with `--json`.

    Raises UserError if it fails, unless `fails` allows that.
    """
    found: dict[str, Any] = {}
    taken_s = []
    for _ in range(repeats):
        async with _started(words, 'exec "$@"') as (process, begins_ns):
            try:
                out, err = await asyncio.wait_for(process.communicate(), COMMAND_WITHIN_S)
            except TimeoutError:
                raise _late(words[0], COMMAND_WITHIN_S) from None
            taken_s.append((SystemClock().precise_ns() - begins_ns) / SECOND_NS)
        if process.returncode and not fails:
            why = err.decode(errors="replace").strip().rpartition("\n")[2]
            failed = phrase("{name} ended with {code}: {why}", name=words[0], code=process.returncode, why=why)
            raise UserError(failed, exit_code=1)
        found = json.loads(out) if "--json" in words else {}
    return median(taken_s), found


async def start_s(configuration: Path, control: Path) -> tuple[float, float]:
    """Return how long an endpoint takes from its start to its first answer, and its memory (MiB) then.

    It is stopped in order afterwards. Raises UserError if it does not answer in time.
    """
    async with _started(["run", str(configuration)], 'exec "$@" >/dev/null 2>&1') as (process, begins_ns):
        try:
            async with asyncio.timeout(START_WITHIN_S):
                while process.returncode is None:
                    try:
                        await get(control, "/v1/links")
                    except UserError:
                        await asyncio.sleep(_LOOK_EVERY_S)
                    else:
                        return (SystemClock().precise_ns() - begins_ns) / SECOND_NS, resident_mib(process.pid)
        except TimeoutError:
            raise _late(str(configuration), START_WITHIN_S) from None
        ended = phrase("{name} ended with {code}: {why}", name="run", code=process.returncode, why=configuration)
        raise UserError(ended, exit_code=1)


def _late(name: str, seconds: float) -> UserError:
    return UserError(phrase("{name}: not ready within {seconds} s", name=name, seconds=round(seconds)), exit_code=1)


@asynccontextmanager
async def _started(words: Sequence[str], becomes: str) -> AsyncIterator[tuple[Process, int]]:
    """Start a command and yield its process and when it began; at the end, stop it if it still runs.

    The launcher ends it when this process ends, and is an interpreter itself. So a shell stands between both: it writes
    a line when the launcher is done, and then becomes the command as `becomes` says.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid())),
        *("/bin/sh", "-c", f"echo; {becomes}", "deconflict"),
        *(sys.executable, "-m", "endpoints.cli.main", *words),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None, "a pipe"
        await process.stdout.readline()
        yield process, SystemClock().precise_ns()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
            if process.returncode is None:
                process.kill()
        await process.wait()
