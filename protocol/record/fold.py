"""Folds a journal's records into the core that they lead to: at start-up and in the simulation.

A checkpoint replaces the core by the one that it restores; `HeadSigned` and `Closed` change nothing; every other
record is an event.

Records of older rules are folded as well: the state is migrated, and the events are applied under the present rules.
Whatever wrote the records, they must lead to the messages and frames that were sent. Other effects may differ; those
recorded remain as history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from protocol.core.core import Core
from protocol.core.effects import Effect, Queue
from protocol.errors import JournalError
from protocol.phrases import phrase
from protocol.record.journal import OWN_ENTRIES, Checkpoint, Closed, HeadSigned, Record
from protocol.record.migration import migrated, objection
from protocol.wire.digests import message_digest
from protocol.wire.messages import Digest

CoreT = TypeVar("CoreT", bound=Core)

Compare = Callable[[Record, tuple[Effect, ...]], None]
"""Receives each event's record and the effects that the core returns for it now."""
RULES_THAT_COMPARE = 3
"""The first rules that compare what an officer saw with what others did meanwhile (SPEC P2)."""
_SHOWN_MAX = 200
_ENCODER = msgspec.json.Encoder()


class FoldError(JournalError):
    """A record verifies, but this version cannot continue from it."""


def fold(records: Iterable[Record], empty: CoreT, compare: Compare | None = None) -> CoreT:
    """Return the core after `records`.

    Args:
        records: verified records, from record 1 or from a checkpoint on.
        empty: a core without any history; its type is the one that a checkpoint must name.
        compare: called after each event.

    Raises FoldError, with the record's number: for newer rules, for a checkpoint of another core or with a state that
    this version would not write, for an event that the core refuses, and where it would send other messages than those
    recorded. Errors of `compare` pass through.
    """
    core, rules = empty, Core.RULES
    for record in records:
        rules = record.rules or rules
        if record.rules is not None and (wrong := objection(rules)):
            raise FoldError(record.n, phrase("{wrong}: run the version that wrote it", wrong=wrong))
        if isinstance(record.entry, Checkpoint):
            core = _restored(core, record, record.entry)
        elif type(record.entry) not in OWN_ENTRIES:
            effects = _handled(core, record, int(rules))
            if contradiction := _contradiction(record, effects):
                wrong = phrase(
                    "this version would {contradiction}, unlike the one that wrote it: run that version",
                    contradiction=contradiction,
                )
                raise FoldError(record.n, wrong)
            if compare is not None:
                compare(record, effects)
    return core


def _handled(core: Core, record: Record, rules: int) -> tuple[Effect, ...]:
    assert not isinstance(record.entry, Checkpoint | HeadSigned | Closed)
    try:
        # a core refuses a `BatchClosed` whose frames do not seal exactly its messages
        event = record.entry if rules >= RULES_THAT_COMPARE else core.as_seen(record.entry)
        return core.handle(event, rules=rules)
    except Exception as error:
        what = " ".join(str(error).split())[:_SHOWN_MAX]
        raise FoldError(
            record.n, phrase("this version cannot apply it: {what}; run the version that wrote it", what=what)
        ) from error


def _restored(core: CoreT, record: Record, entry: Checkpoint) -> CoreT:
    kind = type(core)
    if entry.core != kind.__name__:
        raise FoldError(
            record.n,
            phrase("it is a checkpoint of {core}, where one of {kind} must stand", core=entry.core, kind=kind.__name__),
        )
    try:
        state = migrated(entry.state, entry.core, entry.rules)
        core = kind.restore(state)
    except ValueError as error:
        raise FoldError(
            record.n, phrase("this version cannot apply it: {error}; run the version that wrote it", error=error)
        ) from error
    if core.checkpoint() != state:
        # a missing field would get its default, and an unknown one would be lost
        raise FoldError(record.n, phrase("this version writes this state differently; run the version that wrote it"))
    return core


def _contradiction(record: Record, effects: tuple[Effect, ...]) -> str:
    """Return how the messages that `effects` queue differ from the recorded ones, an empty string if they do not."""
    if same_in_json(record.effects, effects):
        # nearly always; the digests of messages take several times as long
        return ""
    recorded, computed = _queued(record.effects), _queued(effects)
    for seq, digest in recorded.items():
        if seq not in computed:
            return phrase("not send message {seq}", seq=seq)
        if computed[seq] != digest:
            return phrase("send another message {seq}", seq=seq)
    more = computed.keys() - recorded.keys()
    return phrase("send message {seq}", seq=min(more)) if more else ""


def same_in_json(recorded: tuple[Effect, ...], computed: tuple[Effect, ...]) -> bool:
    """Return whether effects are written alike; those that are not may still be equal."""
    return _ENCODER.encode(recorded) == _ENCODER.encode(computed)


def _queued(effects: Iterable[Effect]) -> dict[int, Digest]:
    """Return the digests of the messages that were queued: of their place in the stream, time and body."""
    queued = [effect.message for effect in effects if isinstance(effect, Queue)]
    return {message.seq: message_digest(message) for message in queued}
