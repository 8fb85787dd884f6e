"""Prints at the end of a test run which tests were left out, and why."""

import gc
import signal
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import chain, zip_longest
from pathlib import Path

import hypothesis
import pytest

LONGEST = (
    "integration/test_demo.py",
    "golden/test_golden.py",
    "integration/test_crash_points.py",
    "sim/test_seeds.py",
    "load/test_load_process.py",
    "offsets/test_offsets.py",
    "integration/test_alarms.py",
    "attacks/test_hostile_texts.py",
    "integration/test_disk.py",
    "attacks/test_floods.py",
    "integration/test_doctor_beside.py",
    "planted/test_planted.py",
    "integration/test_watch.py",
)
"""The files that take longest begin a parallel run, so that none of them is left for one worker at its end."""

DESELECTED = {
    "not stack and not browser": (
        "the compose stack and the guides, which need a real Docker Engine: make test-stack",
        "the console, which needs a browser: make test-console",
    ),
    "not shared_stack and not nightly": (
        "Compose v1.29, images built twice, and systemd on a bare Debian: make test-nightly",
    ),
}
"""What other targets run, by the expression of the target that leaves it out."""

# of the group `console`, which only make test-console installs
collect_ignore = [] if find_spec("playwright") else ["console"]

# a busy machine is not a fault: nothing in a test asserts a time
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


class LeftOut:
    """Counts skipped tests by reason and prints them, behind a line about what each other target runs."""

    def __init__(self, deselected: Sequence[str]) -> None:
        self._deselected = deselected
        self._reasons: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            _path, _line, reason = report.longrepr
            self._reasons[reason.removeprefix("Skipped: ")] += 1

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or config.option.collectonly:
            return
        for what in self._deselected:
            reporter.write_line(f"left out: {what}")
        for reason, count in sorted(self._reasons.items()):
            reporter.write_line(f"left out: {count} {'test' if count == 1 else 'tests'}: {reason}")
        if not self._reasons and not self._deselected:
            reporter.write_line("left out: nothing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Alternate files that wait for processes with files that compute, so that a parallel run keeps all cores busy."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    places = {str(Path(__file__).parent / name): place for place, name in enumerate(LONGEST)}
    order = sorted(files, key=lambda path: places.get(str(path), len(LONGEST)))
    waiting = [path for path in order if files[path][0].get_closest_marker("integration")]
    computing = [path for path in order if not files[path][0].get_closest_marker("integration")]
    alternating = chain.from_iterable(zip_longest(waiting, computing))
    items[:] = [item for path in alternating if path is not None for item in files[path]]


def pytest_collection_finish() -> None:
    # modules and collected tests live until the end: no later garbage collection needs to visit them
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    # A background job of a shell inherits SIGINT as ignored, and one under nohup SIGHUP. The processes under test must
    # not inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # the workers of a parallel run report to this process; only this one has a terminal reporter
    config.pluginmanager.register(LeftOut(DESELECTED.get(config.option.markexpr, ())))
