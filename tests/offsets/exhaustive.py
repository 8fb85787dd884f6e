"""Checks damage at every offset of both sides' journals (`make offsets`); exits 1 if any of it is accepted.

For each journal: every bit of every record flipped, in files and in a collected log; every segment cut to every length
and read; the last segment cut to every length, with and without zeros after it, and recovered. Ends with one line of
totals.
"""

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests.offsets.collected import accepted_flips_in_a_log, collected
from tests.offsets.damage import Recorded, accepted_cuts, accepted_flips, recovered_cuts
from tests.support.recorded import SIDES, record

ZEROS = 3_000
LOG_PARTS = 8
Work = tuple[str, str, int]


def verdicts(folder: Path, work: Work) -> Iterator[str]:
    """Yield the verdicts of one piece of work: its kind, the side, and the part."""
    what, side, part = work
    journal = Recorded(folder / side)
    if what == "bits in files":
        return accepted_flips(journal, part)
    if what == "bits in a collected log":
        return accepted_flips_in_a_log(collected(journal), every=LOG_PARTS, phase=part)
    if what == "cuts, read":
        return accepted_cuts(journal, part)
    return recovered_cuts(journal, zeros=part)


def judge(folder: Path, work: Work) -> tuple[str, Counter[str]]:
    """Return the kind of work, and how often each verdict was given."""
    return work[0], Counter(verdicts(folder, work))


def main() -> int:
    """Do all the work, in as many processes as there are processors."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record(folder)
        work: list[Work] = []
        for side in SIDES:
            count = len(Recorded(folder / side).segments)
            work += [("bits in a collected log", side, part) for part in range(LOG_PARTS)]
            work += [("bits in files", side, index) for index in range(count)]
            work += [("cuts, read", side, index) for index in range(count)]
            work += [("cuts, started on", side, zeros) for zeros in (0, ZEROS)]
        judged: Counter[str] = Counter()
        wrong: list[str] = []
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            for what, counted in pool.map(partial(judge, folder), work):
                judged[what] += counted.total()
                wrong += [verdict for verdict in counted if verdict != "ok"]
    for verdict in wrong[:100]:
        sys.stdout.write(f"{verdict}\n")
    totals = ", ".join(f"{judged[what]:,} {what}" for what in sorted(judged))
    seconds = time.monotonic() - began
    sys.stdout.write(f"offsets: {totals}; judged wrongly: {len(wrong)}; {seconds:.0f} s\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
