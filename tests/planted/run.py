"""`python -m tests.planted.run [NAME...]`: plants each bug in a copy of the packages and says what catches it.

Every bug is given to the simulation, to the exploration and to its named tests. Ends with one line of totals; exits 1
if a bug survives all three, 2 if the unchanged copy does not pass.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from endpoints.clocks.clock import SystemClock
from tests.planted.bug import PACKAGES, Bug, paths, planted
from tests.planted.core_bugs import CORE_BUGS
from tests.planted.service_bugs import SERVICE_BUGS
from tests.planted.watch_bugs import WATCH_BUGS

ROOT = Path(__file__).parent.parent.parent
BUGS = (*CORE_BUGS, *WATCH_BUGS, *SERVICE_BUGS)
COPIED = (*PACKAGES, "tests")
WORLDS = 6
"""Of the simulation, each with twenty or thirty troubles in a week, that a bug may live through."""
LIMIT_S = 1_200
"""What hangs for so long has been noticed."""
_SHOWN_MAX = 150
_FAILED = re.compile(r"^(?:FAILED|ERROR) \S*?/?(\w+\.py(?:::\w+)?)", re.MULTILINE)


class Caught(NamedTuple):
    """What became of one bug: how each of the three noticed it, or nothing."""

    bug: Bug
    simulation: str
    exploration: str
    tests: str
    seconds: float


def judge(bug: Bug) -> Caught:
    """Plant `bug` in a copy and run all three against it."""
    clock = SystemClock()
    began = clock.real_ms()
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name)
        copy(folder)
        plant(bug, folder)
        tests = noticed_by_tests(folder, bug.tests)
        simulation = noticed_by_simulation(folder)
        exploration = noticed_by_exploration(folder)
    return Caught(bug, simulation, exploration, tests, (clock.real_ms() - began) / 1_000)


def copy(folder: Path) -> None:
    """Copy the packages and their tests."""
    for package in COPIED:
        shutil.copytree(ROOT / package, folder / package)
    shutil.copy(ROOT / "pyproject.toml", folder)


def plant(bug: Bug, folder: Path) -> None:
    """Put `bug` into the copy in `folder`. Raises StaleBugError."""
    path, text = planted(bug, folder)
    path.write_text(text, "utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def noticed_by_simulation(folder: Path) -> str:
    """Return how the simulation noticed that something is wrong in `folder`, or nothing."""
    code, output = _run(folder, "tests.planted.simulated", str(WORLDS))
    return output.strip().replace("\n", " ")[:_SHOWN_MAX] if code else ""


def noticed_by_exploration(folder: Path) -> str:
    """Return how the search of small worlds noticed that something is wrong in `folder`, or nothing."""
    code, output = _run(folder, "tests.planted.explored")
    return f"found by exploration: {output.strip()}".replace("\n", " ")[:_SHOWN_MAX] if code else ""


def noticed_by_tests(folder: Path, tests: str) -> str:
    """Return the first of `tests` that fails in `folder`, or nothing."""
    code, output = _run(folder, "pytest", "-x", "-q", "--timeout", "500", *paths(tests, folder))
    if not code:
        return ""
    failed = _FAILED.search(output)
    return failed[1] if failed else output[-_SHOWN_MAX:]


def _run(folder: Path, module: str, *arguments: str) -> tuple[int, str]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
            check=False,
            text=True,
        )
    except subprocess.TimeoutExpired:
        return 1, f"does not end within {LIMIT_S} s"
    return done.returncode, done.stdout


def unchanged(bugs: tuple[Bug, ...]) -> str:
    """Return what fails in a copy without a bug, or nothing."""
    tests = " ".join(dict.fromkeys(test for bug in bugs for test in bug.tests.split()))
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        copy(Path(name))
        folder = Path(name)
        return noticed_by_tests(folder, tests) or noticed_by_simulation(folder) or noticed_by_exploration(folder)


def main(names: list[str]) -> int:
    """Run the command line; return the exit code."""
    bugs = tuple(bug for bug in BUGS if not names or any(name in bug.name for name in names))
    clock = SystemClock()
    began = clock.real_ms()
    if wrong := unchanged(bugs):
        print(f"without any bug: {wrong}", file=sys.stderr)
        return 2
    survived = in_simulation = in_exploration = in_tests = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for caught in pool.map(judge, bugs):
            in_simulation += bool(caught.simulation)
            in_exploration += bool(caught.exploration)
            in_tests += bool(caught.tests)
            survived += not (caught.simulation or caught.exploration or caught.tests)
            by = [f"simulation: {caught.simulation}"] if caught.simulation else []
            by += [caught.exploration] if caught.exploration else []
            by += [f"tests: {caught.tests}"] if caught.tests else []
            print(f"{caught.bug.name} | {' | '.join(by) or 'SURVIVED'} | {caught.seconds:.1f} s", flush=True)
    print(
        f"{len(bugs)} planted bugs: {len(bugs) - survived} caught ({in_simulation} by the simulation, "
        f"{in_exploration} by exploration, {in_tests} by their tests), {survived} survived, "
        f"in {(clock.real_ms() - began) / 1_000:.0f} s"
    )
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
