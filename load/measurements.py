"""Measures what is not an exchange: replay, verification, start-up, backlog, many links, the control socket."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from msgspec import Struct

from endpoints.clocks.clock import SystemClock
from endpoints.errors import UserError
from endpoints.journal.reader import JournalReader
from endpoints.journal.segments import segments
from load.alerts import Template
from load.arrivals import SECOND_NS
from load.channel import Applied, Receipted
from load.driver import Load
from load.histogram import Latencies
from load.journal_facts import last_segment_share, signatures_in, verifications_per_s
from load.local_stack import SLICE_MAX, LocalStack, local_stack
from load.measuring import LinkSubject
from load.plan import PATIENCE_S, LoadPlan, What
from load.processes import resident_mib
from load.program_runs import COMMAND_WITHIN_S, command_s, start_s
from load.provenance import Provenance, provenance
from protocol.phrases import phrase
from protocol.record.replay import Replay

COUNT_MAX = 5_000_000
BACKLOG_MAX = 10_000
"""An outbox has room for as many."""
RAISED_PER_S = 1_000
"""How fast alerts are raised while the receiver is down."""
BACKLOG_WITHIN_S = 300.0
_WINDOW_OF_RECORDS, _WINDOW_OF_SIGNATURES, _WINDOW_OF_MESSAGES = 4, 1, 64
"""Exchanges in flight while a journal is made: few for many frames and signatures, many for many messages."""
_SLICE_OF_MESSAGES = 500
"""Few alerts are open at once, so that the memory is that of an endpoint whose officers acknowledge."""
_SHORT, _FULL = 0.2, 0.85
"""The shares of a segment that count as short and as full."""
_FILL_BY = 64
_FILLS_MAX = 10


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
            journal = await self._journal_of(stack, _WINDOW_OF_RECORDS)
            seconds, least_s, done = await self._read_s(stack, ["replay"], [])
            core_s = await asyncio.to_thread(self._core_s, journal)
        records = done["records"]
        return {
            "records": records,
            "command_s": seconds,
            # without the start of the program
            "command_records_per_s": records / max(seconds - least_s, 1e-3),
            "core_records_per_s": records / core_s,
        }

    async def _verify(self) -> dict[str, float]:
        async with local_stack(self._folder, links=1, at_queue=True) as stack:
            journal = await self._journal_of(stack, _WINDOW_OF_SIGNATURES)
            link_file = str(stack.folder / "d" / "link.toml")
            seconds, least_s, done = await self._read_s(stack, ["log", "verify"], ["--link-file", link_file])
            signatures = await asyncio.to_thread(signatures_in, journal)
            openssl_per_s = await asyncio.to_thread(verifications_per_s)
        return {
            "records": done["records"],
            "signatures": signatures,
            "command_s": seconds,
            "records_per_s": done["records"] / max(seconds - least_s, 1e-3),
            "signatures_per_s": signatures / max(seconds - least_s, 1e-3),
            "openssl_on_one_core_per_s": openssl_per_s,
        }

    async def _read_s(
        self, stack: LocalStack, words: list[str], more: list[str]
    ) -> tuple[float, float, dict[str, Any]]:
        """Return how long a command takes for the sender's journal and for its first record, and what it printed."""
        journal = stack.links[0].journals[0]
        first = stack.folder / "first.jsonl"
        first.write_bytes(segments(journal)[0].read_bytes().partition(b"\n")[0] + b"\n")
        self._told(phrase("reading the journal"))
        seconds, done = await command_s([*words, str(journal), *more, "--json"])
        least_s, _ = await command_s([*words, str(first), *more, "--json"], fails=True)
        return seconds, least_s, done

    async def _journal_of(self, stack: LocalStack, window: int) -> Path:
        """Return the sender's journal, after exchanges, with its endpoint stopped."""
        self._told(phrase("{count} exchanges make a journal", count=self._count))
        await self._exchanges(stack, self._count, window)
        await stack.stop_sender()
        return stack.links[0].journals[0]

    async def _exchanges(self, stack: LocalStack, count: int, window: int, slice_max: int = SLICE_MAX) -> None:
        """Run `count` exchanges, in slices after which the receiver acknowledges."""
        subject = LinkSubject(stack, self._template(stack), lambda _: None)
        while subject.raised < count:
            at_once = min(slice_max, count - subject.raised)
            await subject.run(Load(window=window, seconds=COMMAND_WITHIN_S, count_max=at_once, patience_s=PATIENCE_S))
            if subject.stuck:
                raise UserError(
                    phrase("the endpoints did not exchange {count} alerts in time", count=count), exit_code=1
                )

    def _template(self, stack: LocalStack) -> Template:
        return stack.template(secrets.token_hex(4), self._plan.size_bytes)

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
            sender = stack.names[0]
            idle_mib = resident_mib(stack.pids[sender])
            self._told(phrase("{count} exchanges make a journal", count=self._count))
            await self._exchanges(stack, self._count, _WINDOW_OF_MESSAGES, _SLICE_OF_MESSAGES)
            after_mib = resident_mib(stack.pids[sender])
            await self._fill_segment(stack, 0, _SHORT)
            short = await self._starts_s(stack)
            await stack.start_sender()
            await self._fill_segment(stack, _FULL, 1)
            full = await self._starts_s(stack)
            configuration = str(stack.config(stack.names[1]))
            status_s, _ = await command_s(["status", configuration], repeats=self._plan.repeats, fails=True)
            help_s, _ = await command_s(["--help"], repeats=self._plan.repeats)
        return {
            "messages": self._count,
            "start_s": median(seconds for seconds, _ in short),
            "start_with_a_full_segment_s": median(seconds for seconds, _ in full),
            "start_longest_s": max(seconds for seconds, _ in (*short, *full)),
            "status_s": status_s,
            "help_s": help_s,
            "memory_after_start_mib": median(mib for _, mib in short),
            # of the measured endpoint, whose instruments need some more
            "memory_idle_mib": idle_mib,
            "memory_after_messages_mib": after_mib,
        }

    async def _starts_s(self, stack: LocalStack) -> list[tuple[float, float]]:
        """Stop the sender; then start it several times, and return the time and the memory (MiB) of each start."""
        await stack.stop_sender()
        found = []
        for _ in range(self._plan.repeats):
            self._told(phrase("starting an endpoint"))
            found.append(await self._start_s(stack))
        return found

    async def _start_s(self, stack: LocalStack) -> tuple[float, float]:
        """Return how long the sender takes from its start to its first answer, and its memory (MiB) then."""
        side = stack.names[0]
        return await start_s(stack.config(side), stack.control(side))

    async def _fill_segment(self, stack: LocalStack, least: float, most: float) -> None:
        """Run exchanges until the sender's last segment is filled to a share from `least` to `most`."""
        self._told(phrase("filling the last segment"))
        journal = stack.links[0].journals[0]
        for _ in range(_FILLS_MAX):
            before = last_segment_share(journal)
            if least <= before <= most:
                return
            await self._exchanges(stack, _FILL_BY, _WINDOW_OF_MESSAGES)
            each = (last_segment_share(journal) - before) / _FILL_BY
            if each > 0:
                # to the middle of what is wanted; beyond the end, another segment begins
                wanted = (least + most) / 2 + (1 if most < before else 0)
                missing = (wanted - last_segment_share(journal)) / each
                await self._exchanges(stack, max(1, round(missing)), _WINDOW_OF_MESSAGES)

    # --- links ----------------------------------------------------------------------------------------------------

    async def _backlog(self) -> dict[str, float]:
        async with local_stack(self._folder, links=1, at_queue=True) as stack:
            self._told(phrase("{count} alerts are raised while the receiver is down", count=self._count))
            await stack.stop_receiver()
            offsets_ns = tuple(number * SECOND_NS // RAISED_PER_S for number in range(self._count))
            load = Load(
                offsets_ns=offsets_ns, seconds=self._count / RAISED_PER_S, count_max=self._count, patience_s=1.0
            )
            raised = await stack.exchange(load, self._template(stack), 0, lambda _: None)
            self._told(phrase("the receiver starts"))
            begins_ns = self._clock_ns()
            ends_ns = await self._emptied_ns(stack, max(raised.seqs))
            memory_mib = {name: resident_mib(pid) for name, pid in stack.pids.items()}
            _, received = await stack.rows()
            arrived_ns = min(row.arrived_ns for row in received if isinstance(row, Applied))
            await stack.connected(stack.names[1:])
            await stack.acknowledge(lambda _: None)
        return {
            "messages": self._count,
            # from the arrival of the first frame to the last receipt on disk
            "after_connecting_s": (ends_ns - arrived_ns) / SECOND_NS,
            "after_starting_s": (ends_ns - begins_ns) / SECOND_NS,
            **{f"memory_{name}_mib": value for name, value in memory_mib.items()},
        }

    async def _emptied_ns(self, stack: LocalStack, last: int) -> int:
        """Start the receiver, and return when the receipt of message `last` is on disk. Raises UserError."""
        emptied: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def receipted(row: Receipted) -> None:
            if row.upto >= last and not emptied.done():
                emptied.set_result(row.flush_ends_ns)

        stack.hear_receipts(receipted)
        try:
            async with asyncio.timeout(BACKLOG_WITHIN_S):
                await stack.start_receiver()
                return await emptied
        except TimeoutError:
            raise UserError(
                phrase("the backlog is not empty after {seconds} s", seconds=round(BACKLOG_WITHIN_S)), exit_code=1
            ) from None
        finally:
            stack.hear_receipts(None)

    async def _links(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for links in (1, self._plan.links):
            self._told(phrase("measuring {count} links", count=links))
            begins_ns = self._clock_ns()
            async with local_stack(self._folder, links=links, at_queue=True) as stack:
                found[f"start_of_{links}_s"] = (self._clock_ns() - begins_ns) / SECOND_NS
                seconds = self._plan.duration_s
                load = Load(window=1, seconds=seconds, count_max=stack.slice_max, patience_s=PATIENCE_S)
                link = LinkSubject(stack, self._template(stack), lambda _: None)
                await link.run(load)
                found |= await self._starts_of_links_s(stack, links)
            latencies = Latencies(latency for _, latency in link.series)
            found |= {f"p50_of_{links}_ms": latencies.ms(50), f"p99_of_{links}_ms": latencies.ms(99)}
        one, many = found["p99_of_1_ms"], found[f"p99_of_{self._plan.links}_ms"]
        return {**found, "p99_ratio": many / one if one else 0.0}

    async def _starts_of_links_s(self, stack: LocalStack, links: int) -> dict[str, float]:
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
