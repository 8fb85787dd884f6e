"""Finds texts for people that no view can translate: bare English where a phrase is needed.

A text that an error, a finding, an alarm or a prompt carries is made by `phrase("...")`, `t("...")` or a function that
returns such a text. An f-string of only names is bare as well: it drops what the phrases in it were made from.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from broker.errors import BrokerError
from protocol.errors import LinkError

ROOT = Path(__file__).parents[3]
TEXT_NAMES = ("detail", "message", "reason")
CALLS = {
    # findings of audits
    "note": 1,
    "diverge": 1,
    # alarms
    "raise_alarm": 4,
    "raise_passing": 4,
}
"""Functions that take a text which is kept, and its place among their arguments."""
SHOWN = {"getpass": 0, "say": 0, "typed_line": 0}
"""Functions that show a text at once: an f-string may put translated parts, paths and commands together."""
WORDS = re.compile(r"[A-Za-z]{2,}")
COMMAND = re.compile(r"deconflict [a-z ]*|[/.][a-z./]+")

STAYS_ENGLISH = {
    # the journal and the peer's refusal have it as it was found
    "RemoteProtocolError": "what is wrong with a frame or a message of the other side",
    "ForeignTermsError": "the same",
}
"""Errors whose text stays English, and what it is about."""

NOT_YET: set[str] = set()
"""Files whose texts are not phrases yet."""


def sources() -> list[Path]:
    return sorted(
        path
        for package in ("protocol", "broker", "endpoints", "scenario", "load")
        for path in (ROOT / package).rglob("*.py")
    )


def all_errors() -> dict[str, int]:
    """Return our exception classes, by name, with the place of their text."""
    for path in sources():
        if path.name != "__main__.py":
            import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    found: dict[str, int] = {}
    waiting: list[type[Exception]] = [LinkError, BrokerError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        names = list(inspect.signature(kind).parameters) if "__init__" in vars(kind) else []
        places = [names.index(name) for name in TEXT_NAMES if name in names]
        inherited = [found[base.__name__] for base in kind.__mro__[1:] if base.__name__ in found]
        if places or not names:
            found[kind.__name__] = places[0] if places else (inherited or [0])[0]
    return {name: place for name, place in found.items() if name not in STAYS_ENGLISH}


def bare(node: ast.expr, known: dict[str, ast.expr], *, shown: bool = False) -> bool:
    """Return whether an expression is English that cannot be translated.

    Args:
        node: the expression.
        known: the assignments around it.
        shown: whether it is shown at once.
    """
    match node:
        case ast.Constant(value=str(text)):
            return any(character.isalpha() for character in text)
        case ast.JoinedStr(parts):
            texts = [part.value for part in parts if isinstance(part, ast.Constant)]
            return not shown or any(WORDS.search(COMMAND.sub("", str(text))) for text in texts)
        case ast.BinOp():
            return bare(node.left, known, shown=shown) or bare(node.right, known, shown=shown)
        case ast.IfExp():
            return bare(node.body, known, shown=shown) or bare(node.orelse, known, shown=shown)
        case ast.Call(func=ast.Name("str"), args=[ast.Name(name)]):
            return "error" in name
        case ast.Call(func=ast.Attribute(attr="format" | "join")):
            return True
        case ast.Name(name) if name in known:
            return bare(known[name], {}, shown=shown)
        case _:
            return False


def faults(path: Path, errors: dict[str, int]) -> Iterator[str]:
    tree = ast.parse(path.read_bytes())
    for scope in ast.walk(tree):
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            continue
        known = {
            target.id: node.value
            for node in ast.walk(scope)
            if isinstance(node, ast.Assign) and not isinstance(scope, ast.Module)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(scope):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            place = errors.get(name, (CALLS | SHOWN).get(name))
            if place is None:
                continue
            given = node.args[place : place + 1]
            given += [keyword.value for keyword in node.keywords if keyword.arg in TEXT_NAMES]
            if any(bare(each, known, shown=name in SHOWN) for each in given):
                yield f"{path.relative_to(ROOT)}:{node.lineno}: {name}: {ast.unparse(given[0])[:80]}"


def test_every_text_for_people_can_be_translated() -> None:
    errors = all_errors()
    left = [
        fault
        for path in sources()
        if str(path.relative_to(ROOT)) not in NOT_YET
        for fault in sorted(set(faults(path, errors)))
    ]
    assert not left, "\n".join(left)


def test_a_file_is_listed_only_while_it_has_bare_texts() -> None:
    errors = all_errors()
    done = [name for name in sorted(NOT_YET) if not (ROOT / name).exists() or not list(faults(ROOT / name, errors))]
    assert not done, f"take them out of NOT_YET: {done}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise UserError("wrong")', True),
        ('raise UserError(f"{path}: {error}")', True),
        ("raise UserError(str(error))", True),
        ('raise UserError(phrase("wrong"))', False),
        ("raise UserError(worded(error))", False),
        ('raise LocalProtocolError("busy", "wrong")', True),
        ('raise LocalProtocolError("busy", phrase("wrong"))', False),
        ('wrong = f"{a} b"\n    raise JournalError(7, wrong)', True),
        ('raise JournalError(7, "" if fine else "wrong")', True),
        ('verification.note(7, "wrong")', True),
        ('say("done")', True),
        ('say(f"{file}: done")', True),
        ("say(f\"{file}: {t('done')}\")", False),
        ('say(f"  deconflict run {file}/endpoint.toml")', False),
        ('say(t("done"))', False),
    ],
)
def test_bare_texts_are_found(source: str, *, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "a.py"
    path.write_text(f"def f():\n    {source}\n", encoding="utf-8")

    assert bool(list(faults(path, {"UserError": 0, "LocalProtocolError": 1, "JournalError": 1}))) is found
