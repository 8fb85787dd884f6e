"""Measures what is not an exchange: replay, verification, start-up, backlog, many links, the control socket."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from msgspec import Struct

import broker
from endpoints.clocks.clock import SystemClock
from endpoints.errors import UserError
from endpoints.journal.reader import JournalReader
from load.alerts import Template
from load.arrivals import SECOND_NS
from load.at_control import get
from load.driver import Load
from load.histogram import Latencies
from load.local_stack import LocalStack, local_stack
from load.measuring import LinkSubject
from load.plan import PATIENCE_S, LoadPlan, What
from load.processes import resident_mib
from load.provenance import Provenance, provenance
from protocol.phrases import phrase
from protocol.record.replay import Replay

COUNT_DEFAULT = 2_000
COUNT_MAX = 10_000
"""An outbox has room for as many."""
RAISED_PER_S = 1_000
"""How fast alerts are raised while the receiver is down."""
BACKLOG_WITHIN_S = 300.0
START_WITHIN_S = 60.0
COMMAND_WITHIN_S = 600.0
_LAUNCH = Path(broker.__file__).with_name("launch.py")
_LOOK_EVERY_S = 0.005
_WINDOW = 4
"""Exchanges in flight while a journal is made: few, so that it has many frames and signatures."""


class Measured(Struct, frozen=True, kw_only=True):
    """The result: figures by name, each with its unit as the last word of its name."""

    what: What
    figures: dict[str, float]
    provenance: Provenance


class Measurement:
    """Measures one of `What` over stacks of its own."""

    def __init__(self, plan: LoadPlan, count: int, folder: Path, command: str, told: Callable[[str], None]) -> None:
        """Prepare it.

        Args:
            plan: options of exchanges, where they matter.
            count: how many alerts make the journal, or the backlog.
            folder: where stacks are made.
            command: the command line, for the record.
            told: takes what is done at the moment.
        """
        self._plan = plan
        self._count = count
        self._folder = folder
        self._command = command
        self._told = told
        self._clock_ns = SystemClock().precise_ns

    async def run(self, what: What) -> Measured:
        """Measure it. Raises UserError."""
        measures = {
            "replay": self._replay,
            "verify": self._verify,
            "startup": self._startup,
            "backlog": self._backlog,
            "links": self._links,
            "control": self._control,
        }
        origin = provenance(self._command, self._plan.seed, self._folder)
        figures = await measures[what]()
        return Measured(
            what=what, figures={name: round(value, 4) for name, value in figures.items()}, provenance=origin
        )

    # --- records --------------------------------------------------------------------------------------------------

    async def _replay(self) -> dict[str, float]:
        async with local_stack(self._folder, links=1, at_queue=True) as stack:
            journal = await self._journal_of(stack)
            seconds, done = await self._command_s(["replay", str(journal), "--json"])
            core_s = await asyncio.to_thread(self._core_s, journal)
        records = done["records"]
        return {
            "records": records,
            "command_s": seconds,
            "command_records_per_s": records / seconds,
            "core_records_per_s": records / core_s,
        }

    async def _verify(self) -> dict[str, float]:
        async with local_stack(self._folder, links=1, at_queue=True) as stack:
            journal = await self._journal_of(stack)
            link_file = str(stack.folder / "d" / "link.toml")
            seconds, done = await self._command_s(["log", "verify", str(journal), "--link-file", link_file, "--json"])
            sender = await asyncio.to_thread(_signatures, journal)
        return {
            "records": done["records"],
            "signatures": sender,
            "command_s": seconds,
            "records_per_s": done["records"] / seconds,
            "signatures_per_s": sender / seconds,
        }

    async def _journal_of(self, stack: LocalStack) -> Path:
        """Return the sender's journal, after exchanges, with its endpoint stopped."""
        self._told(phrase("{count} exchanges make a journal", count=self._count))
        await self._exchanges(
            stack, Load(window=_WINDOW, seconds=COMMAND_WITHIN_S, count_max=self._count, patience_s=PATIENCE_S)
        )
        await stack.stop_sender()
        return stack.links[0].journals[0]

    async def _exchanges(self, stack: LocalStack, load: Load) -> LinkSubject:
        link = LinkSubject(stack, self._template(stack), lambda _: None)
        await link.run(load)
        return link

    def _template(self, stack: LocalStack) -> Template:
        return stack.template(f"{os.getpid():08x}", self._plan.size_bytes)

    def _core_s(self, journal: Path) -> float:
        """Return how long the core takes for all events of a journal, without reading it."""
        records = list(JournalReader(str(journal)).whole_records())
        replay = Replay()
        begins_ns = self._clock_ns()
        for record in records:
            replay.take(record)
        return (self._clock_ns() - begins_ns) / SECOND_NS

    # --- processes ------------------------------------------------------------------------------------------------

    async def _startup(self) -> dict[str, float]:
        async with local_stack(self._folder, links=1, at_queue=True) as stack:
            await self._journal_of(stack)
            starts: list[float] = []
            idle_mib = 0.0
            for _ in range(self._plan.repeats):
                self._told(phrase("starting an endpoint"))
                seconds, idle_mib = await self._start_s(stack)
                starts.append(seconds)
            configuration = str(stack.config(stack.names[1]))
            status_s = [(await self._command_s(["status", configuration], fails=True))[0] for _ in starts]
            help_s = [(await self._command_s(["--help"]))[0] for _ in starts]
        return {
            "start_s": median(starts),
            "start_longest_s": max(starts),
            "status_s": median(status_s),
            "help_s": median(help_s),
            "memory_after_start_mib": idle_mib,
        }

    async def _start_s(self, stack: LocalStack) -> tuple[float, float]:
        """Return how long the sender takes from its start to its first answer, and its memory (MiB) then."""
        side = stack.names[0]
        command = [sys.executable, "-m", "endpoints.cli.main", "run", str(stack.config(side))]
        begins_ns = self._clock_ns()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid())),
            *command,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_WITHIN_S):
                while process.returncode is None:
                    try:
                        await get(stack.control(side), "/v1/links")
                        break
                    except UserError:
                        await asyncio.sleep(_LOOK_EVERY_S)
            seconds = (self._clock_ns() - begins_ns) / SECOND_NS
            return seconds, resident_mib(process.pid)
        except TimeoutError:
            late = phrase("{name}: not ready within {seconds} s", name=side, seconds=round(START_WITHIN_S))
            raise UserError(late, exit_code=1) from None
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()

    async def _command_s(self, words: list[str], *, fails: bool = False) -> tuple[float, dict[str, Any]]:
        """Return how long a command takes, and the JSON document that it prints. Raises UserError if it fails."""
        begins_ns = self._clock_ns()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid())),
            *(sys.executable, "-m", "endpoints.cli.main", *words),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), COMMAND_WITHIN_S)
        seconds = (self._clock_ns() - begins_ns) / SECOND_NS
        if process.returncode and not fails:
            why = err.decode(errors="replace").strip().rpartition("\n")[2]
            failed = phrase("{name} ended with {code}: {why}", name=words[0], code=process.returncode, why=why)
            raise UserError(failed, exit_code=1)
        return seconds, json.loads(out) if "--json" in words else {}

    # --- links ----------------------------------------------------------------------------------------------------

    async def _backlog(self) -> dict[str, float]:
        async with local_stack(self._folder, links=1, at_queue=True) as stack:
            self._told(phrase("{count} alerts are raised while the receiver is down", count=self._count))
            await stack.stop_receiver()
            offsets_ns = tuple(number * SECOND_NS // RAISED_PER_S for number in range(self._count))
            load = Load(
                offsets_ns=offsets_ns, seconds=self._count / RAISED_PER_S, count_max=self._count, patience_s=1.0
            )
            await stack.exchange(load, self._template(stack), 0, lambda _: None)
            self._told(phrase("the receiver starts"))
            begins_ns = self._clock_ns()
            await stack.start_receiver()
            connected_ns = self._clock_ns()
            await self._empty(stack)
            ends_ns = self._clock_ns()
            memory_mib = {name: resident_mib(pid) for name, pid in stack.pids.items()}
            await stack.acknowledge(lambda _: None)
        return {
            "messages": self._count,
            "after_connecting_s": (ends_ns - connected_ns) / SECOND_NS,
            "after_starting_s": (ends_ns - begins_ns) / SECOND_NS,
            **{f"memory_{name}_mib": value for name, value in memory_mib.items()},
        }

    async def _empty(self, stack: LocalStack) -> None:
        """Wait until the sender's outbox is empty. Raises UserError."""
        path = f"/v1/links/{stack.links[0].id}/status"
        try:
            async with asyncio.timeout(BACKLOG_WITHIN_S):
                while True:
                    outbox = (await get(stack.control(stack.names[0]), path))["outbox"]
                    if not outbox["waiting"] and not outbox["in_flight"]:
                        return
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            raise UserError(
                phrase("the backlog is not empty after {seconds} s", seconds=round(BACKLOG_WITHIN_S)), exit_code=1
            ) from None

    async def _links(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for links in (1, self._plan.links):
            self._told(phrase("measuring {count} links", count=links))
            begins_ns = self._clock_ns()
            async with local_stack(self._folder, links=links, at_queue=True) as stack:
                found[f"start_of_{links}_s"] = (self._clock_ns() - begins_ns) / SECOND_NS
                seconds = self._plan.duration_s
                load = Load(window=1, seconds=seconds, count_max=stack.slice_max, patience_s=PATIENCE_S)
                link = await self._exchanges(stack, load)
                found |= await self._starts_s(stack, links)
            latencies = Latencies(latency for _, latency in link.series)
            found |= {f"p50_of_{links}_ms": latencies.ms(50), f"p99_of_{links}_ms": latencies.ms(99)}
        one, many = found["p99_of_1_ms"], found[f"p99_of_{self._plan.links}_ms"]
        return {**found, "p99_ratio": many / one if one else 0.0}

    async def _starts_s(self, stack: LocalStack, links: int) -> dict[str, float]:
        """Return how long the sender takes to start again, and to start for the first time, and its memory."""
        await stack.stop_sender()
        again_s, memory_mib = await self._start_s(stack)
        for link in stack.links:
            shutil.rmtree(link.journals[0])
        first_s, _ = await self._start_s(stack)
        return {
            f"start_again_of_{links}_s": again_s,
            f"first_start_of_{links}_s": first_s,
            f"memory_of_{links}_mib": memory_mib,
        }

    async def _control(self) -> dict[str, float]:
        async with local_stack(self._folder, links=1, at_queue=False) as stack:
            found: dict[str, float] = {}
            for window in (1, 32):
                self._told(phrase("measuring with {count} requests at a time", count=window))
                seconds = self._plan.duration_s
                load = Load(window=window, seconds=seconds, count_max=stack.slice_max, patience_s=PATIENCE_S)
                outcome = await stack.exchange(load, self._template(stack), window * COUNT_MAX, lambda _: None)
                await stack.acknowledge(lambda _: None)
                pairs = zip(outcome.times.intended_ns, outcome.answered_ns, strict=True)
                answers = Latencies(answered - intended for intended, answered in pairs if answered)
                whole = Latencies(latency for _, latency in outcome.times.latencies_ns())
                taken_s = (outcome.times.ends_ns - outcome.times.begins_ns) / SECOND_NS
                found |= {
                    f"answer_p50_with_{window}_ms": answers.ms(50),
                    f"answer_p99_with_{window}_ms": answers.ms(99),
                    f"exchange_p50_with_{window}_ms": whole.ms(50),
                    f"requests_with_{window}_per_s": answers.count / taken_s if taken_s else 0.0,
                }
        return found


def _signatures(journal: Path) -> int:
    """Return how many signatures an audit of a journal verifies."""
    from protocol.record.audit import Audit

    audit = Audit()
    for record in JournalReader(str(journal)).whole_records():
        audit.take(record)
    return audit.signatures
