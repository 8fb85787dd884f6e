"""Runs every target under the coverage-guided fuzzer: `make fuzz MINUTES=N`, N minutes in total, at low priority.

It prints a table of the time, executions and coverage of each target. An input that breaks a target is written to the
corpus and so becomes a test. With `--keep`, the smallest inputs that reach new code are kept as well.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
KEPT_MAX_BYTES = 2_048
KEPT_MAX = 8
INPUT_MAX_BYTES = 16_384
MEMORY = Path("/dev/shm")
WEIGHTS = {"peer": 4, "control": 3, "rewritten_journal": 3, "topic": 0.2, "presence": 0.2}
"""Relative shares of the time; 1 for a target that is not listed."""


class Outcome(NamedTuple):
    """The result of fuzzing one target."""

    target: str
    seconds: int
    executions: int
    edges: int
    inputs: int
    broken: bool


def fuzz(target: str, seconds: int, *, keep: bool) -> Outcome:
    """Fuzz one target; write an input that breaks it to the corpus and show the output."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        found = Path(folder) / "found"
        found.mkdir()
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={INPUT_MAX_BYTES}",
            "-timeout=20",
            "-rss_limit_mb=1500",
            "-print_final_stats=1",
            f"-artifact_prefix={CORPUS / target}/",
        ]
        run = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.guided", target, str(found), str(CORPUS / target), *options],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=CORPUS.parents[2],
            # a fuzzer ends without removing its temporary files
            env=os.environ | {"TMPDIR": folder},
        )
        outcome = Outcome(
            target,
            seconds,
            int(_last(r"stat::number_of_executed_units: (\d+)", run.stderr)),
            int(_last(r" cov: (\d+)", run.stderr)),
            int(_last(r" corp: (\d+)", run.stderr)),
            run.returncode != 0,
        )
        if outcome.broken:
            sys.stderr.write(run.stdout[-3_000:] + run.stderr[-3_000:])
        elif keep:
            _keep(target, found)
    return outcome


def _keep(target: str, found: Path) -> None:
    """Add the smallest inputs found to the corpus; the fuzzer writes only inputs that reached new code."""
    small = sorted(found.iterdir(), key=lambda path: path.stat().st_size)
    for path in small[:KEPT_MAX]:
        if 0 < path.stat().st_size <= KEPT_MAX_BYTES:
            shutil.copy(path, CORPUS / target / f"found-{path.name[:12]}")


def _last(pattern: str, text: str) -> str:
    found = re.findall(pattern, text)
    return found[-1] if found else "0"


def main() -> int:
    """Fuzz all targets, or the targets named as arguments; return the exit code."""
    words = [word for word in sys.argv[1:] if word != "--keep"]
    minutes, names = float(words[0]), words[1:] or list(TARGETS)
    os.nice(15)
    whole = sum(WEIGHTS.get(name, 1) for name in names)
    print(f"| {'target':<18} | seconds | executions | edges | inputs | broken |")
    print(f"| {'-' * 18} | ------: | ---------: | ----: | -----: | ------ |")
    broken = False
    for name in names:
        seconds = max(1, round(60 * minutes * WEIGHTS.get(name, 1) / whole))
        outcome = fuzz(name, seconds, keep="--keep" in sys.argv)
        broken = broken or outcome.broken
        print(
            f"| {name:<18} | {seconds:>7} | {outcome.executions:>10,} | {outcome.edges:>5} | {outcome.inputs:>6} "
            f"| {'YES' if outcome.broken else 'no':<6} |",
            flush=True,
        )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
