"""House rules that neither ruff nor import-linter can check: foreign packages, clocks, cores, bounds, lazy targets."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("protocol", "broker", "endpoints", "scenario", "load")

CORE_STDLIB = frozenset(sys.stdlib_module_names) - {
    # clocks, chance, sockets, files, the process: all of it comes into the core as an event
    *("asyncio", "time", "zoneinfo", "sched", "calendar"),
    *("random", "secrets", "uuid"),
    *("socket", "ssl", "select", "selectors", "http", "urllib", "subprocess", "multiprocessing", "threading", "signal"),
    *("os", "io", "pathlib", "tempfile", "shutil", "mmap", "fcntl", "sqlite3", "logging", "sys", "platform", "locale"),
}

ALLOWED: dict[str, frozenset[str]] = {
    "protocol": CORE_STDLIB | {"protocol", "cryptography", "msgspec"},
}
"""Top-level packages of which a package may import nothing but these."""

CORES = {"Link", "Observer"}
CORE_BUILDERS = ("endpoints/service.py", "endpoints/watchdog.py", "protocol/record/replay.py", "scenario/simulation/")
"""Who may construct a core: everybody else is handed one."""

CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter"}
BLIND = {"glob", "iglob", "rglob", "walk"}
"""Methods that list folders and ignore errors; which ones depends on the version of Python."""
UNBOUNDED = {
    "deque": ("maxlen", 1),
    "Queue": ("maxsize", 0),
    "LifoQueue": ("maxsize", 0),
    "PriorityQueue": ("maxsize", 0),
}
"""Constructors that are unbounded unless this argument, at this place, says otherwise."""
BOUNDED_ELSEWHERE = "# bounded: "
"""On the line, or the line above, it says by what else a queue is bounded."""


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every imported module, with its line; `from a import b` as `a.b`, since b may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def import_faults(name: str, source: str) -> list[str]:
    """Return what is wrong with the imports of the file `name`."""
    package = name.split("/", maxsplit=1)[0]
    faults = []
    for line, module in imported(ast.parse(source)):
        top = module.split(".", maxsplit=1)[0]
        if top not in ALLOWED.get(package, {top}):
            faults.append(f"{name}:{line}: {package} must not import {module}")
    return faults


def core_faults(name: str, source: str) -> list[str]:
    """Return where a file constructs a core that it should have been handed."""
    return [
        f"{name}:{node.lineno}: {node.func.value.id}.{node.func.attr}() constructs a core; only {CORE_BUILDERS} may"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in CORES
        and not name.startswith(CORE_BUILDERS)
    ]


def clock_faults(name: str, source: str) -> list[str]:
    """Return where a file calls what reads a clock."""
    return [
        f"{name}:{node.lineno}: {node.func.attr}() reads a clock; time is an argument"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS
    ]


def listing_faults(name: str, source: str) -> list[str]:
    """Return where a file lists folders by a method that skips those that it can't read."""
    return [
        f"{name}:{node.lineno}: {node.func.attr}() skips a folder that it can't read; use iterdir()"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in BLIND
        and not {"onerror", "on_error"} & {given.arg for given in node.keywords}
    ]


def bound_faults(name: str, source: str) -> list[str]:
    """Return where a file makes a queue without a bound. In the core, `Queue` is an effect."""
    faults, lines = [], source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called == "Queue" and name.startswith("protocol/"):
            continue
        if any(BOUNDED_ELSEWHERE in line for line in lines[max(0, node.lineno - 2) : node.lineno]):
            continue
        if called == "SimpleQueue":
            faults.append(f"{name}:{node.lineno}: SimpleQueue has no bound; use Queue(maxsize=...)")
        elif called in UNBOUNDED:
            keyword, place = UNBOUNDED[called]
            if len(node.args) <= place and keyword not in {given.arg for given in node.keywords}:
                faults.append(f"{name}:{node.lineno}: {called}() without {keyword}: bound it, and say why")
    return faults


def test_imports_follow_the_architecture() -> None:
    faults = [fault for path in sources(*PACKAGES) for fault in import_faults(name_of(path), path.read_text())]
    assert not faults, "\n".join(faults)


def test_the_core_reads_no_clock() -> None:
    faults = [fault for path in sources("protocol") for fault in clock_faults(name_of(path), path.read_text())]
    assert not faults, "\n".join(faults)


def test_cores_are_constructed_by_few() -> None:
    faults = [fault for path in sources(*PACKAGES) for fault in core_faults(name_of(path), path.read_text())]
    assert not faults, "\n".join(faults)
    assert core_faults("endpoints/control/application.py", "Link.new('a', 'b')")
    assert not core_faults("endpoints/service.py", "Link.new('a', 'b')")


def test_every_queue_is_bounded() -> None:
    faults = [fault for path in sources(*PACKAGES) for fault in bound_faults(name_of(path), path.read_text())]
    assert not faults, "\n".join(faults)


def test_no_folder_is_skipped_in_silence() -> None:
    faults = [fault for path in sources(*PACKAGES) for fault in listing_faults(name_of(path), path.read_text())]
    assert not faults, "\n".join(faults)


def test_nothing_is_put_off() -> None:
    put_off = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")))
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("protocol/*.md")]
    faults = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in (*sources(*PACKAGES, "tests"), *documents)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if put_off.search(line)
    ]
    assert not faults, "\n".join(faults)


# --- the rules themselves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio",
        "from datetime import datetime\nimport time",
        "def f():\n    from os import urandom",
        "import structlog",
        "from endpoints.errors import UserError",
    ],
)
def test_a_forbidden_import_is_found(source: str) -> None:
    assert len(import_faults("protocol/core/link.py", source)) == 1


def test_a_permitted_import_is_let_through() -> None:
    source = "import re\nfrom datetime import datetime\nimport msgspec\nfrom protocol.core import stream"
    assert import_faults("protocol/core/link.py", source) == []


def test_clocks_are_found() -> None:
    assert clock_faults("x", "datetime.now(UTC)")
    assert clock_faults("x", "datetime.datetime.utcnow()")
    assert clock_faults("x", "date.today()")
    assert not clock_faults("x", "now = event.at")


def test_blind_listings_are_found() -> None:
    assert listing_faults("x", "folder.glob('*.new')")
    assert listing_faults("x", "os.walk(folder)")
    assert not listing_faults("x", "os.walk(folder, onerror=refuse)")
    assert not listing_faults("x", "folder.iterdir()")


@pytest.mark.parametrize(
    "source",
    ["asyncio.Queue()", "Queue()", "deque()", "deque([1])", "queue.PriorityQueue()", "queue.SimpleQueue()"],
)
def test_an_unbounded_queue_is_found(source: str) -> None:
    assert bound_faults("x", source)


@pytest.mark.parametrize(
    "source", ["asyncio.Queue(64)", "Queue(maxsize=N)", "deque([1], 8)", "deque(maxlen=8)", "# bounded: by N\ndeque()"]
)
def test_a_bounded_queue_is_let_through(source: str) -> None:
    assert not bound_faults("x", source)
