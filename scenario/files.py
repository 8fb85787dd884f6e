"""Reads scenario files: the steps of a scenario on its links, and what their journals must show at the end.

A file is JSON (docs/scenarios.md). Everything that is wrong in it is found at once, each fault in one line with its
step and key, and what would be right. Files that come with the project are named in `PACKAGED`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import msgspec
from msgspec import Struct

from endpoints.errors import UserError, os_reason
from protocol.phrases import Phrase, phrase
from scenario import rules
from scenario.shape import PlacedFault, faults, joined, short, shown
from scenario.steps import STEPS_MAX, Scenario, unrolled

SIZE_MAX_BYTES = 1 << 20
"""Maximum size of a scenario file; a year of steps is far smaller."""
FAULTS_MAX = 50
"""How many faults of a file are kept; the others are counted."""
COUNTED_MAX = 1_000
"""How many faults are looked for."""
FORMAT = 1
"""The version of the format."""
PACKAGED = ("one-day", "november-2022", "spring", "syria-week")
"""The scenarios that come with the project, by name."""


class FileFault(Struct, frozen=True, kw_only=True):
    """Something wrong in a scenario file."""

    # the number of the step, from 0; null outside the steps
    step: int | None
    # the action of the step, if it can be read
    action: str | None
    # the keys and places that lead to it, such as `link.slots.cron`, within the step; empty for the whole
    key: str
    what: str

    @property
    def line(self) -> str:
        """The fault in one line: where, what, and what would be right."""
        if self.step is None:
            return phrase("{at}: {error}", at=self.key, error=self.what) if self.key else self.what
        where = (
            phrase('step {number}, "{action}"', number=self.step, action=self.action)
            if self.action
            else phrase("step {number}", number=self.step)
        )
        if not self.key:
            return phrase("{at}: {error}", at=where, error=self.what)
        return phrase('{where}, "{key}": {what}', where=where, key=self.key, what=self.what)


class Checked(NamedTuple):
    """What a scenario file holds: the scenario as written, without faults; else the faults."""

    scenario: Scenario | None
    faults: tuple[FileFault, ...]
    # further ones, which are not kept
    more: int = 0


def packaged(name: str) -> Path:
    """Return the path of a scenario that comes with the project, one of `PACKAGED`."""
    return Path(str(resources.files("scenario") / f"{name}.json"))


def load(path: Path) -> Scenario:
    """Return the scenario in a file, to be played. Raises UserError if it cannot be read or is not valid."""
    return decode(read(path), str(path))


def read(path: Path) -> bytes:
    """Return the bytes of a scenario file. Raises UserError if it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            text = file.read(SIZE_MAX_BYTES + 1)
    except OSError as error:
        what = phrase("{path}: cannot read the scenario: {reason}", path=path, reason=os_reason(error))
        raise UserError(what) from error
    if len(text) > SIZE_MAX_BYTES:
        raise UserError(
            phrase(
                "{path}: the file is larger than {limit} bytes, the most a scenario may have",
                path=path,
                limit=SIZE_MAX_BYTES,
            )
        )
    return text


def decode(text: bytes, name: str) -> Scenario:
    """Return the scenario in the JSON `text`, to be played: repetitions are steps of their own.

    Errors refer to it as `name`. Raises UserError with the first fault, and the number of the others.
    """
    found = check(text)
    if found.scenario is None:
        first, others = found.faults[0].line, len(found.faults) - 1 + found.more
        if others:
            raise UserError(
                phrase("{name}: {fault} (and {count} more: demo --check)", name=name, fault=first, count=others)
            )
        raise UserError(phrase("{at}: {error}", at=name, error=first))
    return unrolled(found.scenario)


def check(text: bytes) -> Checked:
    """Return the scenario in the JSON `text` as it is written, or everything that is wrong with it."""
    try:
        value = _json(text)
    except _UnreadableError as error:
        return Checked(None, (FileFault(step=None, action=None, key="", what=error.what),))
    version = value.get("version", FORMAT)
    if version != FORMAT or isinstance(version, bool):
        # its keys may mean something else
        what = phrase(
            "version {version} of the format is unknown here; this program reads version {known}",
            version=shown(version),
            known=FORMAT,
        )
        return _kept(value, [PlacedFault((), what)])
    if isinstance(steps := value.get("steps"), list) and len(steps) > STEPS_MAX:
        # nothing is said of the single ones
        what = phrase("{count} of them; a scenario has at most {limit}", count=len(steps), limit=STEPS_MAX)
        return _kept(value, [PlacedFault(("steps",), what)])
    found = list(islice(faults(value, Scenario), COUNTED_MAX))
    unread = {each.path[1] for each in found if each.path[:1] == ("steps",) and len(each.path) > 1}
    if not any(each.path[:1] != ("steps",) or len(each.path) == 1 for each in found):
        # the rest of the file can be checked, too
        found += rules.check(_converted(value, unread), unread)  # type: ignore[arg-type]
    if found:
        return _kept(value, sorted(found, key=_order))
    return Checked(_converted(value, set()), ())


def _kept(value: Any, found: Sequence[PlacedFault]) -> Checked:
    kept = tuple(_placed(value, each) for each in found[:FAULTS_MAX])
    return Checked(None, kept, len(found) - len(kept))


def _order(fault: PlacedFault) -> tuple[bool, int]:
    """Sort the faults of steps by step, behind the others."""
    in_step = fault.path[:1] == ("steps",) and len(fault.path) > 1
    return in_step, fault.path[1] if in_step and isinstance(fault.path[1], int) else 0


def _placed(value: Any, fault: PlacedFault) -> FileFault:
    """Return a fault with its step and the step's action."""
    match fault.path:
        case ("steps", int(step), *rest):
            written = value["steps"][step]
            action = written.get("do") if isinstance(written, dict) else None
            known = short(action) if isinstance(action, str) else None
            return FileFault(step=step, action=known, key=joined(tuple(rest)), what=fault.what)
        case _:
            return FileFault(step=None, action=None, key=joined(fault.path), what=fault.what)


def _converted(value: Any, unread: set[Any]) -> Scenario:
    """Return the scenario of a value without faults but in the steps `unread`, which become steps of nothing."""
    steps = [
        {"do": "nothing", "at": value["starts"], "side": Scenario.WORLD, "what": "?"} if index in unread else step
        for index, step in enumerate(value["steps"])
    ]
    return msgspec.convert(value | {"steps": steps}, Scenario)


# --- JSON ---------------------------------------------------------------------------------------------------------


class _UnreadableError(Exception):
    def __init__(self, what: Phrase) -> None:
        super().__init__(what)
        self.what = what


def _json(text: bytes) -> Any:
    """Return the value in JSON whose keys are unique. Raises _UnreadableError."""
    try:
        written = text.decode()
    except UnicodeDecodeError as error:
        raise _UnreadableError(phrase("not UTF-8 at byte {place}; save it as UTF-8", place=error.start)) from None
    if written.startswith("\ufeff"):
        raise _UnreadableError(phrase("it begins with a byte order mark; save it as UTF-8 without one"))
    if not written.lstrip().startswith("{"):
        raise _UnreadableError(phrase("not a scenario: expected a JSON object, which begins with {brace}", brace="{"))
    try:
        return json.loads(written, object_pairs_hook=_unique, parse_constant=_not_json)
    except json.JSONDecodeError as error:
        what = phrase(
            "not JSON at line {line}, column {column}: {why}", line=error.lineno, column=error.colno, why=error.msg
        )
        raise _UnreadableError(what) from None
    except RecursionError:
        raise _UnreadableError(phrase("objects or lists are nested too deep for a scenario")) from None
    except ValueError:
        # Python refuses to read it
        raise _UnreadableError(phrase("a number has too many digits")) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _UnreadableError(phrase('the key "{key}" occurs twice in one object', key=short(twice)))
    return made


def _not_json(word: str) -> NoReturn:
    raise _UnreadableError(phrase("{word} is not a number of JSON", word=word))
