"""What stands at the end of each printed screen: up to which record of the journal it is, and that record's hash."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from endpoints.console.facts import Facts
from protocol.record.happenings import DIGITS

_GROUP: Final = 4


class Paper(Struct, frozen=True, kw_only=True):
    """A record and its hash; `short` is the beginning of the hash in groups, to be read out. All empty without one."""

    record: int = 0
    hash: str = ""
    short: str = ""


def paper_of(facts: Facts) -> Paper:
    """Return up to which record a screen is: the last one that was read, or the last one before a past instant."""
    replayed = facts.replayed
    if replayed is not None and replayed.then is not None:
        return _paper(replayed.then.upto, replayed.hash)
    return Paper() if facts.history is None else _paper(facts.history.upto, facts.history.head)


def _paper(record: int, digest: str) -> Paper:
    short = digest[:DIGITS]
    groups = [short[begin : begin + _GROUP] for begin in range(0, len(short), _GROUP)]
    return Paper(record=record, hash=digest, short=" ".join(groups))
