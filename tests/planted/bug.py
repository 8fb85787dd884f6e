"""Planted bugs: a change of some code in one definition, and the tests that must notice it.

A bug is anchored by the qualified name of the definition and by the code inside it, compared as syntax trees. So a
module may move, and its code may be formatted anew or commented, without any change here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from textwrap import indent
from typing import NamedTuple, TypeAlias

PACKAGES = ("protocol", "broker", "endpoints", "scenario")
"""Where definitions are looked for."""


class Bug(NamedTuple):
    """A small mistake that somebody could make: `old`, which stands once in `where`, becomes `new`.

    Both are of one of these kinds:

    - an expression;
    - statements that follow each other in one block; `pass` as the new one removes them;
    - `if condition: ...`, for the condition of an `if`, whatever its body is;
    - `{key: value}`, for entries that follow each other in a dictionary; `{}` as the new one removes them.
    """

    name: str
    # qualified name of the function, class or constant, in whichever module it is defined
    where: str
    old: str
    new: str
    # what is run against it, beside the simulation: names of test files without .py, or tests as file::test
    tests: str


class StaleBugError(Exception):
    """The code has changed: what a bug refers to is not there exactly once."""


_Node: TypeAlias = ast.expr | ast.stmt


class _Edit(NamedTuple):
    # the sequences of nodes within a definition in which `old` may stand
    sequences: Callable[[ast.AST], Iterator[Sequence[_Node]]]
    old: Sequence[_Node]
    new: str


def planted(bug: Bug, folder: Path) -> tuple[Path, str]:
    """Return the module below `folder` that `bug` changes, and its text with the bug in it. Raises StaleBugError."""
    edit = _edit(bug)
    modules = {path: path.read_text("utf-8") for package in PACKAGES for path in (folder / package).rglob("*.py")}
    found = [
        (path, place)
        for path, text in modules.items()
        for definition in _definitions(text).get(bug.where, ())
        for place in _places(definition, edit)
    ]
    if len(found) != 1:
        advice = "quote more of the code around it" if found else _elsewhere(edit, modules.values())
        raise StaleBugError(f"{bug.name}: its code stands {len(found)} times in {bug.where}, not once; {advice}")
    path, (first, last) = found[0]
    # columns count bytes
    code = modules[path].encode()
    start, end = _offset(code, first.lineno, first.col_offset), _offset(code, last.end_lineno, last.end_col_offset)
    new = indent(edit.new, " " * first.col_offset).lstrip() if isinstance(first, ast.stmt) else edit.new
    return path, (code[:start] + new.encode() + code[end:]).decode()


def paths(tests: str, folder: Path) -> list[str]:
    """Return the tests that a bug names, as pytest takes them in `folder`. Raises StaleBugError."""
    found = []
    for test in tests.split():
        stem, *name = test.split("::")
        files = list((folder / "tests").rglob(f"{stem}.py"))
        if len(files) != 1:
            raise StaleBugError(f"{stem}.py stands {len(files)} times below tests/, not once; name another test file")
        found.append("::".join([str(files[0].relative_to(folder)), *name]))
    return found


def _edit(bug: Bug) -> _Edit:
    match _expression(bug.old), _expression(bug.new):
        case ast.Dict() as old, ast.Dict() as new:
            return _Edit(_dictionaries, _entries(old), "".join(f"{ast.unparse(it)[1:-1]}, " for it in _entries(new)))
        case ast.expr() as old, ast.expr():
            return _Edit(_expressions, [old], f"({bug.new})")
    match ast.parse(bug.old).body, ast.parse(bug.new).body:
        case [ast.If(test=before, body=[ast.Expr(ast.Constant(value=body))])], [ast.If(test=after)] if body is ...:
            return _Edit(_conditions, [before], f"({ast.unparse(after)})")
        case statements, _:
            return _Edit(_blocks, statements, bug.new)


def _expression(source: str) -> ast.expr | None:
    try:
        return ast.parse(f"({source})", mode="eval").body
    except SyntaxError:
        return None


def _expressions(scope: ast.AST) -> Iterator[Sequence[_Node]]:
    yield from ([node] for node in ast.walk(scope) if isinstance(node, ast.expr))


def _conditions(scope: ast.AST) -> Iterator[Sequence[_Node]]:
    yield from ([node.test] for node in ast.walk(scope) if isinstance(node, ast.If))


def _dictionaries(scope: ast.AST) -> Iterator[Sequence[_Node]]:
    # the key of `**more` is None
    yield from (_entries(node) for node in ast.walk(scope) if isinstance(node, ast.Dict) and None not in node.keys)


def _blocks(scope: ast.AST) -> Iterator[Sequence[_Node]]:
    for node in ast.walk(scope):
        for _, block in ast.iter_fields(node):
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield block


def _entries(node: ast.Dict) -> Sequence[_Node]:
    """Return each entry as a dictionary of its own, which reaches to the next entry or to the closing brace."""
    pairs = [(key, value) for key, value in zip(node.keys, node.values, strict=True) if key is not None]
    ends = [(key.lineno, key.col_offset) for key, _ in pairs[1:]] + [(node.end_lineno, (node.end_col_offset or 0) - 1)]
    return [
        ast.Dict([key], [value], lineno=key.lineno, col_offset=key.col_offset, end_lineno=line, end_col_offset=column)
        for (key, value), (line, column) in zip(pairs, ends, strict=False)
    ]


def _places(scope: ast.AST, edit: _Edit) -> Iterator[tuple[_Node, _Node]]:
    """Yield the first and the last node of every place below `scope` where the old code stands."""
    old = [ast.dump(node) for node in edit.old]
    for nodes in edit.sequences(scope):
        dumped = [ast.dump(node) for node in nodes]
        for at in range(len(nodes) - len(old) + 1):
            if dumped[at : at + len(old)] == old:
                yield nodes[at], nodes[at + len(old) - 1]


@cache
def _definitions(text: str) -> dict[str, list[ast.stmt]]:
    """Return the definitions of a module by their qualified names; a property and its setter have the same."""
    found: dict[str, list[ast.stmt]] = {}
    for name, node in _named(ast.parse(text).body):
        found.setdefault(name, []).append(node)
    return found


def _named(block: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.stmt]]:
    for node in block:
        match node:
            case ast.ClassDef(name=name):
                yield prefix + name, node
                yield from _named(node.body, f"{prefix}{name}.")
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.Assign(targets=[ast.Name(id=name)])
                | ast.AnnAssign(target=ast.Name(id=name))
            ):
                yield prefix + name, node


def _elsewhere(edit: _Edit, texts: Iterable[str]) -> str:
    """Return where else the old code stands: in a definition that was renamed, mostly."""
    names = [
        name
        for text in texts
        for name, definitions in _definitions(text).items()
        for node in definitions
        if not isinstance(node, ast.ClassDef) and any(_places(node, edit))
    ]
    if names:
        return f"it stands in {', '.join(names)}: is it there now?"
    return "it stands nowhere else: quote the code as it is now"


def _offset(code: bytes, line: int | None, column: int | None) -> int:
    assert line is not None
    assert column is not None
    return sum(map(len, code.splitlines(keepends=True)[: line - 1])) + column
