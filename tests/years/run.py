"""Makes the journals of many years in the simulation, archives them, and measures what every reader takes.

    python -m tests.years.run [--years 10] [--alerts 2000] [--keep FOLDER]

Two line tests a day, and alerts of either side, each acknowledged. The table on standard output has the processor time
of each command, its workers included, on the journal as it is, on its archive, and on one of its first month.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec import structs
from rich.console import Console

from endpoints.journal.segments import is_archived, segments
from endpoints.texts.i18n import translator
from protocol.wire.instants import parsed, written
from scenario.files import load, packaged
from scenario.narrator import Narrator
from scenario.rehearsal import Rehearsal
from scenario.steps import Acknowledge, AlertStep, Step

DAY_MS = 86_400_000
YEAR_DAYS = 365.25
STARTS = parsed("2022-11-01T00:00:00.000Z")
START = """\
import sys
from pathlib import Path
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from protocol.core.link import Link
from protocol.record.fold import fold
journal = JournalWriter.open(FolderStore(Path(sys.argv[1])), "eucom-ndmc", "eucom")
fold(journal.take_recovered(), Link.new("eucom-ndmc", "eucom"))
journal.let_go()
"""
READINGS = {
    "start of an endpoint": [sys.executable, "-c", START],
    "log verify": ["log", "verify"],
    "replay": ["replay"],
    "reconcile": ["reconcile"],
    "timeline": ["timeline", "--json"],
    "log show": ["log", "show", "--json"],
    "log export --jsonl": ["log", "export", "--jsonl", "-"],
    "log export --csv": ["log", "export", "--csv", "-"],
}


def main() -> None:
    """Make the journals, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=float, default=10)
    parser.add_argument("--alerts", type=int, default=2_000)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="years-"))
    try:
        measure(folder, round(arguments.years * YEAR_DAYS), arguments.alerts)
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder)


def measure(folder: Path, days: int, alerts: int) -> None:
    """Make the journals of so many days in `folder`, unless they are there, and of a month; measure both."""
    for name, length, count in (("long", days, alerts), ("month", 30, max(1, 30 * alerts // days))):
        if not (folder / name).exists():
            made(folder / name, length, count)
    archived = folder / "archived"
    shutil.rmtree(archived, ignore_errors=True)
    shutil.copytree(folder / "long", archived)
    took = [command(["log", "archive", journal(archived, side)]) for side in ("eucom", "ndmc")]
    sizes(folder)
    print(f"\narchiving both journals: {sum(took):.1f} s of processor time")
    copy = command(["log", "archive", journal(folder / "long", "eucom"), "--to", folder / "copy"])
    again = command(["log", "archive", journal(folder / "long", "eucom"), "--to", folder / "copy"])
    print(f"keeping a copy of one elsewhere: {copy:.1f} s; bringing it up to date: {again:.1f} s")
    print("\n| | a month | as it is | archived |\n| --- | ---: | ---: | ---: |")
    for name, words in READINGS.items():
        cells = []
        for kind in ("month", "long", "archived"):
            sides = ["eucom", "ndmc"] if name in {"reconcile", "timeline"} else ["eucom"]
            cells.append(f"{command([*words, *(journal(folder / kind, side) for side in sides)]):.1f} s")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def journal(folder: Path, side: str) -> Path:
    """Return the folder of a side's journal."""
    return folder / "link" / side / "journal" / "eucom-ndmc"


def sizes(folder: Path) -> None:
    """Print how large the journals are."""
    print("| journal of eucom | segments | archived | MB |\n| --- | ---: | ---: | ---: |")
    for kind in ("month", "long", "archived"):
        paths = segments(journal(folder / kind, "eucom"))
        size = sum(path.stat().st_size for path in paths) / 1e6
        print(f"| {kind} | {len(paths)} | {sum(map(is_archived, paths))} | {size:.1f} |")


def command(words: Sequence[object]) -> float:
    """Run a command of ours, or a program; return its processor time in seconds. Raises CalledProcessError."""
    line = [str(word) for word in words]
    if line[0] != sys.executable:
        line = [sys.executable, "-P", "-m", "endpoints.cli.main", *line]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, line)
    return used.ru_utime + used.ru_stime


def made(folder: Path, days: int, alerts: int) -> None:
    """Write the journals of `days`, with so many alerts, below `folder`."""
    base = load(packaged("november-2022"))
    ends = STARTS + days * DAY_MS
    scenario = structs.replace(
        base, name="years", starts=written(STARTS), ends=written(ends), steps=tuple(steps(days, alerts))
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        rehearsal = Rehearsal(scenario, Narrator(scenario, Console(file=nowhere), translator("en")))
        rehearsal.run()
    rehearsal.write(folder, "eucom-ndmc")
    took = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    print(f"{days} days with {alerts} alerts: simulated in {took:.0f} s of processor time\n", flush=True)


def steps(days: int, alerts: int) -> list[Step]:
    """Return the alerts, one after the other from either side, each acknowledged after four minutes."""
    every = days * DAY_MS // (alerts + 1)
    found: list[Step] = []
    for number in range(alerts):
        at = STARTS + (number + 1) * every
        one, other = ("eucom", "ndmc") if number % 2 else ("ndmc", "eucom")
        text = {"en": f"Alert {number}: aircraft near the line.", "ru": f"Оповещение {number}: самолёт у линии."}
        found.append(
            AlertStep(
                at=written(at),
                side=one,
                category="airspace_transit",
                precedence="routine",
                officers=(officer_of(one),),
                text=text,
                expires_after="6h",
            )
        )
        found.append(
            Acknowledge(
                at=written(at + 240_000),
                side=other,
                of=f"step {2 * number}",
                officer=officer_of(other),
                decision="understood",
            )
        )
    return found


def officer_of(side: str) -> str:
    """Return an officer of a side."""
    return "watch-1" if side == "eucom" else "duty-1"


if __name__ == "__main__":
    main()
