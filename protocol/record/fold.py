"""Folds a journal's records into the core that they lead to: at start-up, in a replay, in the simulation.

A checkpoint replaces the core by the one that it restores; `Closed` changes nothing; every other record is an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from protocol.core.core import Core
from protocol.core.effects import Effect
from protocol.errors import JournalError
from protocol.record.journal import Checkpoint, Closed, Record

CoreT = TypeVar("CoreT", bound=Core)

Compare = Callable[[Record, tuple[Effect, ...]], None]
"""Receives each event's record and the effects that the core returns for it now."""
_SHOWN_MAX = 200


class FoldError(JournalError):
    """A record verifies, but this version cannot continue from it."""


def fold(records: Iterable[Record], empty: CoreT, compare: Compare | None = None) -> CoreT:
    """Return the core after `records`.

    Args:
        records: verified records, from record 1 or from a checkpoint on.
        empty: a core without any history; its type is the one that a checkpoint must name.
        compare: called after each event.

    Raises FoldError, with the record's number, for a checkpoint of other rules or of another core, and for an event
    that the core refuses. Errors of `compare` pass through.
    """
    core = empty
    for record in records:
        if isinstance(record.entry, Checkpoint):
            core = _restored(core, record, record.entry)
        elif not isinstance(record.entry, Closed):
            effects = _handled(core, record)
            if compare is not None:
                compare(record, effects)
    return core


def _handled(core: Core, record: Record) -> tuple[Effect, ...]:
    assert not isinstance(record.entry, Checkpoint | Closed)
    try:
        return core.handle(record.entry)
    except Exception as error:
        what = " ".join(str(error).split())[:_SHOWN_MAX]
        raise FoldError(record.n, f"this version cannot apply it: {what}; run the version that wrote it") from error


def _restored(core: CoreT, record: Record, entry: Checkpoint) -> CoreT:
    kind = type(core)
    if (entry.core, entry.rules) != (kind.__name__, kind.RULES):
        raise FoldError(
            record.n,
            f"it is a checkpoint of {entry.core}, rules {entry.rules}; this version continues {kind.__name__}, "
            f"rules {kind.RULES}: run the version that wrote it",
        )
    try:
        return kind.restore(entry.state)
    except ValueError as error:
        raise FoldError(record.n, f"this version cannot apply it: {error}; run the version that wrote it") from error
