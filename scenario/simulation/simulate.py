"""`python -m scenario.simulation.simulate --seeds 1-500`: runs a simulated world for each seed.

Ends with one line of totals. Exits 1 on the first broken promise, and prints its seed and the shrunk world.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NoReturn

from endpoints.clocks.clock import SystemClock
from endpoints.structured_log import structlog
from scenario.simulation.faults import CALM, DAY, draw
from scenario.simulation.shrink import attempt, shrink, transcript
from scenario.simulation.world import Totals

DAYS = 30
DAYS_MIN = CALM // DAY + 2
_CHUNK = 4
_REPORT_EVERY = 500


def simulate(
    seeds: Sequence[int], days: int = DAYS, processes: int = 1, report: Callable[[int], None] = lambda _worlds: None
) -> tuple[Totals, int | None]:
    """Run the worlds of `seeds`. Return the totals, and the first seed that broke a promise, None if none did.

    Args:
        seeds: the seeds, in the order in which they are checked.
        days: the length of each world.
        processes: how many worlds run at once.
        report: called after each world with the number of worlds so far.
    """
    totals = Totals()
    for seed, outcome in _outcomes(seeds, days, processes):
        if isinstance(outcome, str):
            return totals, seed
        totals.add(outcome)
        report(totals.seeds)
    return totals, None


def _outcomes(seeds: Sequence[int], days: int, processes: int) -> Iterator[tuple[int, Totals | str]]:
    one = partial(_one, days=days)
    if processes == 1:
        quiet()
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(processes, initializer=quiet) as pool:
        try:
            yield from pool.map(one, seeds, chunksize=_CHUNK)
        finally:
            pool.shutdown(cancel_futures=True)


def _one(seed: int, days: int) -> tuple[int, Totals | str]:
    return seed, attempt(draw(seed, days))


def quiet() -> None:
    """Drop the log lines of the running links: simulated disks are meant to fail."""
    structlog.configure(processors=[_drop])


def _drop(*_: object) -> NoReturn:
    raise structlog.DropEvent


def line(totals: Totals, seconds: float) -> str:
    """Return the totals as one line."""
    days = totals.simulated_ms / DAY
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(totals.faults.items()))
    return (
        f"{totals.seeds} seeds, {days:.0f} simulated days, {totals.events} events, {totals.records} records, "
        f"{totals.frames} frames, {totals.messages} messages, {totals.alarms} alarms, {totals.starts} starts, "
        f"{sum(totals.faults.values())} faults ({faults}) in {seconds:.0f} s: no promise broken"
    )


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scenario.simulation.simulate", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seeds", type=_range, default=range(1, 501), help="FROM-TO, or one; by default 1-500")
    parser.add_argument("--days", type=int, default=DAYS, help="length of each world; by default 30")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="by default one for each CPU core")
    given = parser.parse_args(None if arguments is None else list(arguments))
    if given.days < DAYS_MIN:
        parser.error(f"--days: at least {DAYS_MIN}; the last {CALM // (DAY // 24)} hours are calm")
    if given.processes < 1:
        parser.error("--processes: at least 1")
    clock = SystemClock()
    began = clock.real_ms()
    totals, broken = simulate(given.seeds, given.days, given.processes, partial(_report, len(given.seeds)))
    if broken is not None:
        quiet()
        print(f"seed {broken} broke a promise; shrinking its plan ...", file=sys.stderr, flush=True)
        print("\n".join(transcript(shrink(draw(broken, given.days)))))
        print(f"again: python -m scenario.simulation.simulate --seeds {broken} --days {given.days}", file=sys.stderr)
        return 1
    print(line(totals, (clock.real_ms() - began) / 1_000))
    return 0


def _report(seeds: int, worlds: int) -> None:
    if worlds % _REPORT_EVERY == 0 and worlds < seeds:
        print(f"{worlds} of {seeds} worlds: no promise broken so far", file=sys.stderr, flush=True)


def _range(text: str) -> range:
    match = re.fullmatch(r"(\d{1,12})(?:-(\d{1,12}))?", text, re.ASCII)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise argparse.ArgumentTypeError(f"FROM-TO, such as 1-500: {text[:40]!r}")
    return range(int(match[1]), int(match[2] or match[1]) + 1)


if __name__ == "__main__":
    sys.exit(main())
