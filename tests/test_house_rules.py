"""House rules that neither ruff nor import-linter can check: foreign packages, clocks, cores, bounds, privates."""

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from endpoints.cli.main import COMMANDS

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

STILL_OVERRIDDEN = frozenset({"Core", "LinkRunner", "Loop", "Process"})
"""Classes whose private methods classes of other modules override today. No class may join them."""
STILL_ASSIGNED = frozenset(
    {
        *("boot", "came_up", "delay_max_ms", "draw_nonce", "forget", "keyring"),
        *("listener", "setattr", "skew", "standing"),
    }
)
"""Attributes that other modules than their class's assign today. No attribute may join them."""


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


def override_faults(files: dict[str, str], still: frozenset[str] = frozenset()) -> list[str]:
    """Return where a class overrides a private method of a base class that another file defines.

    Args:
        files: the sources by file name; a base class is found in them by its name.
        still: base classes whose private methods may still be overridden.
    """
    classes = {
        node.name: (name, node)
        for name, source in files.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
    }
    return [
        f"{name}:{method.lineno}: {node.name}.{method.name}() overrides a private method of {base}"
        for name, node in classes.values()
        for base in ancestors(node, classes)
        if classes[base][0] != name and base not in still
        for method in methods(node)
        if method.name in {inherited.name for inherited in methods(classes[base][1])}
    ]


def ancestors(node: ast.ClassDef, classes: dict[str, tuple[str, ast.ClassDef]]) -> Iterator[str]:
    for base in node.bases:
        name = ast.unparse(base).partition("[")[0].rpartition(".")[2]
        if name in classes:
            yield name
            yield from ancestors(classes[name][1], classes)


def methods(node: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the private methods that the body of a class defines."""
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and re.match(r"_(?!_)", each.name):
            yield each


def assignment_faults(files: dict[str, str], still: frozenset[str] = frozenset()) -> list[str]:
    """Return where a file assigns an attribute of an object whose class another file defines.

    An attribute is known by its name: a class body annotates it, or a method assigns it to `self`. Attributes that no
    class of ours has belong to libraries. `setattr` is a fault unless its object is `self`. `still` names exceptions.
    """
    trees = {name: ast.parse(source) for name, source in files.items()}
    own = {name: attributes(tree) for name, tree in trees.items()}
    ours = set().union(*own.values())
    return [
        f"{name}:{line}: {attribute} is assigned outside of its class's module; pass it to the constructor"
        for name, tree in trees.items()
        for line, attribute in assigned(tree)
        if attribute in (ours | {"setattr"}) - own[name] - still
    ]


def attributes(tree: ast.AST) -> set[str]:
    """Return the names of the attributes that classes in a file have."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found |= {each.target.id for each in node.body if _annotates(each)}  # type: ignore[attr-defined]
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            found.add(node.attr)
    return found


def _annotates(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)


def assigned(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of every attribute that is assigned to anything but `self`, and every `setattr`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) != "self":
            yield node.lineno, node.attr
        if isinstance(node, ast.Call):
            # both setattr(x, ...) and partial(setattr, x, ...)
            said = [ast.unparse(each) for each in (node.func, *node.args)]
            if "setattr" in said and said[said.index("setattr") + 1 :][:1] != ["self"]:
                yield node.lineno, "setattr"


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


def test_private_methods_are_overridden_in_their_module_only() -> None:
    faults = override_faults({name_of(path): path.read_text() for path in sources(*PACKAGES)}, STILL_OVERRIDDEN)
    assert not faults, "\n".join(faults)


def test_attributes_are_assigned_in_their_module_only() -> None:
    # the core's state consists of structs that its modules share
    faults = assignment_faults(
        {name_of(path): path.read_text() for path in sources("endpoints", "scenario")}, STILL_ASSIGNED
    )
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


def target_faults(targets: Mapping[str, str]) -> list[str]:
    """Return which lazy commands, by their words, name a `module:function` that does not exist."""
    faults = []
    for words, target in targets.items():
        module, _, name = target.partition(":")
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ImportError:
            found = None
        if not inspect.isfunction(found):
            faults.append(f"deconflict {words}: {target} is not a function")
    return faults


def test_every_command_resolves_to_a_function() -> None:
    """import-linter does not see what is imported by a string."""
    targets = {command.words: command.target for commands in COMMANDS.values() for command in commands}
    assert not target_faults(targets)
    wrong = {"a": "endpoints.cli.nowhere:run", "b": "endpoints.cli.run:nothing", "c": "endpoints.cli.run:TYPE_CHECKING"}
    assert len(target_faults(wrong)) == len(wrong)


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


BASE = "class Base:\n def _hook(self): pass\n def hook(self): self.x = 1\nclass Struct:\n field: int"


@pytest.mark.parametrize(
    "source",
    [
        "class A(Base):\n def _hook(self): pass",
        "class A(base.Base[int]):\n async def _hook(self): pass",
        "class Middle(Base): pass\nclass A(Middle):\n def _hook(self): pass",
    ],
)
def test_an_overridden_private_method_is_found(source: str) -> None:
    assert len(override_faults({"base.py": BASE, "a.py": source})) == 1
    assert override_faults({"base.py": f"{BASE}\n{source}"}) == []


def test_a_public_method_may_be_overridden() -> None:
    source = "class A(Base):\n def hook(self): pass\n def _other(self): pass\n def __init__(self): pass"
    assert override_faults({"base.py": BASE, "a.py": source}) == []


@pytest.mark.parametrize(
    "source",
    [
        "base.x = 2",
        "base.x += 2",
        "self.base.x, y = 2, 3",
        "struct.field = 2",
        "setattr(base, 'x', 2)",
        "partial(setattr, base, 'x', 2)",
    ],
)
def test_an_attribute_assigned_elsewhere_is_found(source: str) -> None:
    assert len(assignment_faults({"base.py": BASE, "a.py": source})) == 1


@pytest.mark.parametrize("source", ["client.on_message = f", "x = base.x", "setattr(self, name, 2)"])
def test_other_assignments_are_let_through(source: str) -> None:
    assert assignment_faults({"base.py": BASE, "a.py": source}) == []
    assert assignment_faults({"base.py": f"{BASE}\nbase.x = 2"}) == []
