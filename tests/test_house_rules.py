"""The house rules of CONTRIBUTING.md that neither ruff nor import-linter can check; each is shown to fail."""

import ast
import importlib
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from endpoints.cli.commands import COMMANDS

ROOT = Path(__file__).parent.parent
PRODUCT = ("protocol", "broker", "endpoints", "scenario", "load")

Rule = Callable[[str, str], list[str]]
"""Takes a file's name and its source; returns one line for each violation."""


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


@cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- what a module imports and constructs -------------------------------------------------------------------------

CORE_STDLIB = frozenset(sys.stdlib_module_names) - {
    # clocks, randomness, sockets, files, the process: the core receives all of it in events
    *("asyncio", "time", "zoneinfo", "sched", "calendar"),
    *("random", "secrets", "uuid"),
    *("socket", "ssl", "select", "selectors", "http", "urllib", "subprocess", "multiprocessing", "threading", "signal"),
    *("os", "io", "pathlib", "tempfile", "shutil", "mmap", "fcntl", "sqlite3", "logging", "sys", "platform", "locale"),
}

ALLOWED: dict[str, frozenset[str]] = {
    "protocol": CORE_STDLIB | {"protocol", "cryptography", "msgspec"},
}
"""The only top-level packages that a package may import."""

CORES = {"Link", "Observer"}
CORE_BUILDERS = (
    "endpoints/service.py",
    "endpoints/watchdog.py",
    "protocol/record/replay.py",
    "scenario/simulation/",
    "scenario/exploration/",
)
"""The modules that may construct a core; all others receive one."""


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
    """Return the imports that the file's package may not have."""
    package = name.split("/", maxsplit=1)[0]
    faults = []
    for line, module in imported(parsed(source)):
        top = module.split(".", maxsplit=1)[0]
        if top not in ALLOWED.get(package, {top}):
            faults.append(f"{name}:{line}: {package} must not import {module}")
    return faults


def core_faults(name: str, source: str) -> list[str]:
    """Return where a file constructs a core that it should receive."""
    return [
        f"{name}:{node.lineno}: {node.func.value.id}.{node.func.attr}() constructs a core; only {CORE_BUILDERS} may"
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in CORES
        and not name.startswith(CORE_BUILDERS)
    ]


# --- clocks -------------------------------------------------------------------------------------------------------

CLOCK = "endpoints/clocks/clock.py"
CLOCK_READINGS = {
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
    "os.times",
}


def global_names(tree: ast.AST) -> dict[str, str]:
    """Return what the names mean that a file imports, by the name that they have there."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def dotted(node: ast.AST, names: Mapping[str, str]) -> str:
    """Return the full name of an expression such as `datetime.now`, or an empty text if it is not an imported one."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value, names)):
        return f"{owner}.{node.attr}"
    return ""


def clock_faults(name: str, source: str) -> list[str]:
    """Return where a file names a function that reads a clock. To wait (`sleep`, `wait_for`) is not to read."""
    if name == CLOCK:
        return []
    tree = parsed(source)
    names = global_names(tree)
    # a method `time` that takes an argument is not an event loop's
    with_arguments = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args}
    faults = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute | ast.Name):
            continue
        meaning = dotted(node, names)
        of_a_loop = isinstance(node, ast.Attribute) and node.attr == "time" and not meaning
        of_a_loop = of_a_loop and id(node) not in with_arguments
        of_time = meaning.startswith("time.") and meaning != "time.sleep"
        if of_a_loop or of_time or meaning in CLOCK_READINGS:
            faults.append(f"{name}:{node.lineno}: {ast.unparse(node)} reads a clock; take a clock from the constructor")
    return faults


# --- bounds -------------------------------------------------------------------------------------------------------

UNBOUNDED = {
    "deque": ("maxlen", 1),
    "Queue": ("maxsize", 0),
    "LifoQueue": ("maxsize", 0),
    "PriorityQueue": ("maxsize", 0),
}
"""Constructors that are unbounded without this argument, and its position."""
BOUNDED_ELSEWHERE = "# bounded: "
"""A comment on the line, or the line above it, that says what else bounds a queue."""


def bound_faults(name: str, source: str) -> list[str]:
    """Return where a file makes a queue without a bound. In the core, `Queue` is an effect."""
    faults, lines = [], source.splitlines()
    for node in ast.walk(parsed(source)):
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


BLIND = {"glob", "iglob", "rglob", "walk"}
"""Methods that list folders and ignore errors; which ones depends on the version of Python."""


def listing_faults(name: str, source: str) -> list[str]:
    """Return where a file lists folders with a method that skips unreadable ones."""
    return [
        f"{name}:{node.lineno}: {node.func.attr}() skips a folder that it cannot read; use iterdir()"
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in BLIND
        and not {"onerror", "on_error"} & {given.arg for given in node.keywords}
    ]


# --- names and sizes ----------------------------------------------------------------------------------------------

UNITS = {"s", "ms", "us", "ns", "bytes", "kib", "mib", "gib"}
VAGUE = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "tools"}
LINES_MAX = 400


def unit_faults(name: str, source: str) -> list[str]:
    """Return the variables, attributes and arguments whose unit is not the last word of their name."""
    faults = []
    for node in ast.walk(parsed(source)):
        match node:
            case ast.arg(arg=given) | ast.Name(id=given, ctx=ast.Store()) | ast.Attribute(attr=given, ctx=ast.Store()):
                *words, _last = given.lower().split("_")
                # the name of a limit ends in its kind: size_bytes_max would hide the unit
                if UNITS.intersection(words):
                    faults.append(f"{name}:{node.lineno}: {given}: the unit stands last, as in size_max_bytes")
    return faults


def length_faults(name: str, source: str) -> list[str]:
    """Return whether a file has too many lines."""
    lines = source.count("\n")
    return [f"{name}: {lines} lines, {LINES_MAX} at most: split it by purpose"] if lines > LINES_MAX else []


def vague_faults(name: str, _source: str) -> list[str]:
    """Return whether a file or folder has a name that does not say what it is for."""
    words = re.split(r"[/_.]", name)
    return [f"{name}: {word}: name the purpose instead" for word in words if word in VAGUE]


def class_faults(files: Mapping[str, str]) -> list[str]:
    """Return the class names that the files define more than once."""
    places = defaultdict(list)
    for name, source in files.items():
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{name}:{node.lineno}")
    return [f"{kind}: {' and '.join(where)}" for kind, where in places.items() if len(where) > 1]


# --- objects of other modules -------------------------------------------------------------------------------------


def override_faults(files: dict[str, str]) -> list[str]:
    """Return where a class overrides a private method of a base class that another of `files` defines.

    Args:
        files: the sources by file name; a base class is found in them by its name.
    """
    classes = {
        node.name: (name, node)
        for name, source in files.items()
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.ClassDef)
    }
    return [
        f"{name}:{method.lineno}: {node.name}.{method.name}() overrides a private method of {base}"
        for name, node in classes.values()
        for base in ancestors(node, classes)
        if classes[base][0] != name
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


def assignment_faults(files: dict[str, str]) -> list[str]:
    """Return where a file assigns an attribute of an object whose class another file defines.

    An attribute is known by its name: a class body annotates it, or a method assigns it to `self`. Attributes that no
    class of ours has belong to libraries. `setattr` is a fault unless its object is `self`.
    """
    trees = {name: parsed(source) for name, source in files.items()}
    own = {name: attributes(tree) for name, tree in trees.items()}
    ours = set().union(*own.values())
    return [
        f"{name}:{line}: {attribute} is assigned outside of its class's module; pass it to the constructor"
        for name, tree in trees.items()
        for line, attribute in assigned(tree)
        if attribute in (ours | {"setattr"}) - own[name]
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


# --- reasons and stand-ins ----------------------------------------------------------------------------------------

PLANTS_BUGS = "tests/sim/test_worlds.py"
"""Replaces parts of the core by wrong ones, to show that the simulation finds such bugs."""
IGNORED = re.compile(r"#\s*noqa(?!: [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)* - \S)")
DEFERRED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")))


def reason_faults(name: str, source: str) -> list[str]:
    """Return the lines that switch a lint rule off without naming it and the reason."""
    return [
        f"{name}:{number}: name the rule and the reason, as in F401 - why"
        for number, line in enumerate(source.splitlines(), 1)
        if IGNORED.search(line)
    ]


def deferred_faults(name: str, source: str) -> list[str]:
    """Return the lines that put work off."""
    return [f"{name}:{number}: {line}" for number, line in enumerate(source.splitlines(), 1) if DEFERRED.search(line)]


def patch_faults(name: str, source: str) -> list[str]:
    """Return where a test replaces a function or class of the product; a constant may be shortened."""
    if name == PLANTS_BUGS:
        return []
    tree = parsed(source)
    names = global_names(tree)
    faults = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="setattr"), args=[owner, ast.Constant(value=str(replaced)), *_]):
                ours = dotted(owner, names).startswith(tuple(f"{package}." for package in PRODUCT))
                if ours and not replaced.isupper():
                    faults.append(
                        f"{name}:{node.lineno}: replaces {ast.unparse(owner)}.{replaced}; pass a stand-in instead"
                    )
    return faults


# --- the rules hold -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "folders"),
    [
        (import_faults, PRODUCT),
        (core_faults, PRODUCT),
        (clock_faults, PRODUCT),
        (bound_faults, PRODUCT),
        (listing_faults, PRODUCT),
        (unit_faults, (*PRODUCT, "tests")),
        (length_faults, PRODUCT),
        (vague_faults, (*PRODUCT, "tests")),
        (reason_faults, (*PRODUCT, "tests")),
        (deferred_faults, (*PRODUCT, "tests")),
        (patch_faults, ("tests",)),
    ],
)
def test_the_rule_holds(rule: Rule, folders: tuple[str, ...]) -> None:
    faults = [fault for path in sources(*folders) for fault in rule(name_of(path), path.read_text())]
    assert not faults, "\n".join(faults)


def test_no_class_name_is_used_twice_in_the_product() -> None:
    faults = class_faults({name_of(path): path.read_text() for path in sources(*PRODUCT)})
    assert not faults, "\n".join(faults)


def test_private_methods_are_overridden_in_their_module_only() -> None:
    faults = override_faults({name_of(path): path.read_text() for path in sources(*PRODUCT)})
    assert not faults, "\n".join(faults)


def test_attributes_are_assigned_in_their_module_only() -> None:
    # the core's state consists of structs that its modules share
    faults = assignment_faults({name_of(path): path.read_text() for path in sources("endpoints", "scenario")})
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


def test_no_document_puts_work_off() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("protocol/*.md")]
    faults = [fault for path in documents for fault in deferred_faults(name_of(path), path.read_text())]
    assert not faults, "\n".join(faults)


# --- the rules can fail -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (import_faults, "protocol/core/link.py", "import asyncio"),
        (import_faults, "protocol/core/link.py", "from datetime import datetime\nimport time"),
        (import_faults, "protocol/core/link.py", "def f():\n    from os import urandom"),
        (import_faults, "protocol/core/link.py", "import structlog"),
        (import_faults, "protocol/core/link.py", "from endpoints.errors import UserError"),
        (core_faults, "endpoints/control/application.py", "Link.new('a', 'b')"),
        (clock_faults, "endpoints/watchdog.py", "import time\nbegan = time.time()"),
        (clock_faults, "broker/local.py", "import time\nbegan = time.monotonic()"),
        (clock_faults, "broker/local.py", "import time as t\nread = t.perf_counter"),
        (clock_faults, "scenario/player.py", "from time import time_ns\nbegan = time_ns()"),
        (clock_faults, "scenario/player.py", "from datetime import UTC, datetime\nat = datetime.now(UTC)"),
        (clock_faults, "protocol/core/link.py", "import datetime\nat = datetime.datetime.utcnow()"),
        (clock_faults, "protocol/core/link.py", "from datetime import date as day\nat = day.today()"),
        (clock_faults, "endpoints/mqtt/presence.py", "now_s = asyncio.get_running_loop().time()"),
        (clock_faults, "endpoints/mqtt/presence.py", "read = self._loop.time"),
        (bound_faults, "endpoints/notify.py", "asyncio.Queue()"),
        (bound_faults, "endpoints/notify.py", "Queue()"),
        (bound_faults, "endpoints/notify.py", "deque()"),
        (bound_faults, "endpoints/notify.py", "deque([1])"),
        (bound_faults, "endpoints/notify.py", "queue.PriorityQueue()"),
        (bound_faults, "endpoints/notify.py", "queue.SimpleQueue()"),
        (listing_faults, "endpoints/notify.py", "folder.glob('*.new')"),
        (listing_faults, "endpoints/notify.py", "os.walk(folder)"),
        (unit_faults, "endpoints/notify.py", "SIZE_BYTES_MAX = 3"),
        (unit_faults, "endpoints/notify.py", "def f(ms_left: int) -> None: ..."),
        (unit_faults, "endpoints/notify.py", "self.wait_s_max = 3"),
        (length_faults, "endpoints/notify.py", "\n" * (LINES_MAX + 1)),
        (vague_faults, "endpoints/utils.py", ""),
        (vague_faults, "endpoints/common/clock.py", ""),
        (vague_faults, "endpoints/link_manager.py", ""),
        (reason_faults, "endpoints/notify.py", "import os  # " + "noqa"),
        (reason_faults, "endpoints/notify.py", "import os  # " + "noqa: F401"),
        (deferred_faults, "endpoints/notify.py", "# TO" + "DO: later"),
        (patch_faults, "tests/test_x.py", "from endpoints import notify\nm.setattr(notify, 'notice', print)"),
        (
            patch_faults,
            "tests/test_x.py",
            "from endpoints.notify import Notifier\nm.setattr(Notifier, 'submit', print)",
        ),
    ],
)
def test_a_planted_violation_is_found(rule: Rule, name: str, source: str) -> None:
    assert len(rule(name, source)) == 1


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (import_faults, "protocol/core/link.py", "import re\nfrom datetime import datetime\nimport msgspec"),
        (core_faults, "endpoints/service.py", "Link.new('a', 'b')"),
        (clock_faults, CLOCK, "import time\nbegan = time.time()"),
        (clock_faults, "endpoints/cli/replay.py", "import time\ntime.sleep(1)"),
        (clock_faults, "protocol/core/link.py", "now = event.at\nlater = self._loop.now()"),
        (clock_faults, "scenario/narrator.py", "shown = translator.time(at)"),
        (bound_faults, "endpoints/notify.py", "asyncio.Queue(64)"),
        (bound_faults, "endpoints/notify.py", "Queue(maxsize=N)"),
        (bound_faults, "endpoints/notify.py", "deque([1], 8)"),
        (bound_faults, "endpoints/notify.py", "deque(maxlen=8)"),
        (bound_faults, "endpoints/notify.py", "# bounded: by N\ndeque()"),
        (listing_faults, "endpoints/notify.py", "os.walk(folder, onerror=refuse)"),
        (listing_faults, "endpoints/notify.py", "folder.iterdir()"),
        (unit_faults, "endpoints/notify.py", "size_max_bytes, grace_s = 3, 4"),
        (length_faults, "endpoints/notify.py", "\n" * LINES_MAX),
        (vague_faults, "endpoints/clocks/clock.py", ""),
        (reason_faults, "endpoints/notify.py", "import os  # " + "noqa: F401, E402 - read by name"),
        (patch_faults, "tests/test_x.py", "import os\nm.setattr(os, 'close', print)"),
        (patch_faults, "tests/test_x.py", "from endpoints import notify\nm.setattr(notify, 'WAITING_MAX', 2)"),
    ],
)
def test_permitted_code_passes(rule: Rule, name: str, source: str) -> None:
    assert rule(name, source) == []


def test_a_class_name_used_twice_is_found() -> None:
    files = {
        "broker/a.py": "class A: ...",
        "protocol/b.py": "def f():\n    class A: ...",
        "protocol/c.py": "class B: ...",
    }
    assert class_faults(files) == ["A: broker/a.py:1 and protocol/b.py:2"]


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
def test_other_assignments_pass(source: str) -> None:
    assert assignment_faults({"base.py": BASE, "a.py": source}) == []
    assert assignment_faults({"base.py": f"{BASE}\nbase.x = 2"}) == []
