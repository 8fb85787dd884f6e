"""`python -m scenario.exploration.explore [WORLD...]`: searches small worlds, every one by default.

Prints a line for each world, and one of totals. Exits 1 on the first broken promise, with the shortest way there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from msgspec import Struct

from scenario.exploration.catalogue import WORLDS, world
from scenario.exploration.search import Found, Reductions, Search
from scenario.exploration.transcript import as_test, transcript, worded_steps
from scenario.simulation.simulate import quiet

_REPORT_EVERY = 250_000


class Explored(Struct, frozen=True):
    """The result of one world; of a broken promise also the worded steps that lead there."""

    world: str
    found: Found
    steps: tuple[str, ...] = ()


def explore(name: str, limit: int = 0, *, reductions: Reductions | None = None, report: bool = False) -> Explored:
    """Search the world of this name, up to `limit` states if it is not 0."""
    search = Search(world(name), reductions)
    found = search.run(limit, _Progress(name) if report else _silent)
    return Explored(name, found, tuple(worded_steps(search, found.broken)) if found.broken else ())


def _silent(_states: int, _depth: int) -> None:
    pass


class _Progress:
    """Reports how far the search of one world is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._next = _REPORT_EVERY

    def __call__(self, states: int, depth: int) -> None:
        if states >= self._next:
            self._next = states + _REPORT_EVERY
            print(f"{self._name}: {states} states, depth {depth}", file=sys.stderr, flush=True)


def line(explored: Explored) -> str:
    """Return the line that reports a world."""
    found = explored.found
    rate = int(found.states / max(found.seconds, 0.001))
    verdict = "kept" if found.broken is None else "BROKEN"
    extent = "complete" if found.complete else "not complete"
    return (
        f"{explored.world}: {found.states} states, {found.steps} steps, depth {found.depth}, {extent}; "
        f"{found.process_states} states of processes, {found.batches} batches; {found.seconds:.1f} s, "
        f"{rate} states/s; promises {verdict}"
    )


def _all(names: Sequence[str], limit: int, processes: int, *, report: bool) -> Iterator[Explored]:
    one = partial(explore, limit=limit, report=report)
    if processes == 1:
        quiet()
        yield from map(one, names)
        return
    with ProcessPoolExecutor(processes, initializer=quiet) as pool:
        try:
            yield from pool.map(one, names)
        finally:
            pool.shutdown(cancel_futures=True)


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="explore", description="Search small worlds of the link completely.")
    parser.add_argument("worlds", nargs="*", metavar="WORLD", help=f"of {', '.join(WORLDS)}; every one by default")
    parser.add_argument("--limit", type=int, default=0, help="the most states of a world; 0 for all")
    parser.add_argument("--processes", type=int, default=1, help="worlds that are searched at once")
    parser.add_argument("--test", type=Path, help="write the way to a broken promise to this file, as a test")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.worlds if name not in WORLDS]
    if unknown:
        parser.error(f"no world {unknown[0]}; there are {', '.join(WORLDS)}")
    states = 0
    for explored in _all(options.worlds or list(WORLDS), options.limit, options.processes, report=True):
        print(line(explored), flush=True)
        states += explored.found.states
        if explored.found.broken is not None:
            promise = explored.found.broken.promise
            print("\n".join(transcript(world(explored.world), explored.steps, promise)))
            if options.test is not None:
                options.test.write_text(as_test(world(explored.world), explored.steps, promise), "utf-8")
                print(f"written: {options.test}")
            return 1
    print(f"{states} states, every promise kept")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
