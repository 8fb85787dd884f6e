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
        begins_ns = SystemClock().precise_ns()
        async with _started(words, output=PIPE) as process:
            out, err = await asyncio.wait_for(process.communicate(), COMMAND_WITHIN_S)
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
    begins_ns = SystemClock().precise_ns()
    async with _started(["run", str(configuration)], output=DEVNULL) as process:
        try:
            async with asyncio.timeout(START_WITHIN_S):
                while process.returncode is None:
                    try:
                        await get(control, "/v1/links")
                        break
                    except UserError:
                        await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            late = phrase("{name}: not ready within {seconds} s", name=configuration, seconds=round(START_WITHIN_S))
            raise UserError(late, exit_code=1) from None
        return (SystemClock().precise_ns() - begins_ns) / SECOND_NS, resident_mib(process.pid)


@asynccontextmanager
async def _started(words: Sequence[str], *, output: int) -> AsyncIterator[Process]:
    """Start a command; at the end, stop it if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid())),
        *(sys.executable, "-m", "endpoints.cli.main", *words),
        stdin=DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        await process.wait()
