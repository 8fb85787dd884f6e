"""Keeps what is wrong with a journal, and gives the verdict: intact, incomplete, or changed by someone."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

PROBLEMS_MAX: Final = 1_000
"""Maximum number of problems kept. A file that is not a journal has one per line, and the first ones suffice."""

Kind = Literal["changed", "missing"]
"""`missing`: a crash, a snapshot or a log system can have caused it. `changed`: none of them can."""
Verdict = Literal["intact", "incomplete", "changed"]


class Problem(Struct, frozen=True):
    """A problem of a journal: the number of the record, or the number expected in its place, and what is wrong."""

    record: int
    reason: str
    kind: Kind = "changed"


class Findings:
    """The problems of one journal.

    Attributes:
        problems: the problems found, at most `PROBLEMS_MAX`.
        unlisted: number of further problems.
        damage: the first problem that makes later records unusable.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.unlisted = 0
        self.damage: Problem | None = None
        self._changed = False

    @property
    def verdict(self) -> Verdict:
        """The verdict so far: the worst problem decides."""
        if self._changed:
            return "changed"
        return "incomplete" if self.problems else "intact"

    def note(self, record: int, reason: str, *, kind: Kind = "changed", damage: bool | None = None) -> None:
        """Note a problem, found here or by an audit of signatures.

        Args:
            record: the number of the record.
            reason: what is wrong.
            kind: whether a crash, a snapshot or a log system explains it.
            damage: whether later records are unusable; by default if it was changed.
        """
        problem = Problem(record, reason, kind)
        changed = kind == "changed"
        self._changed = self._changed or changed
        if changed if damage is None else damage:
            self.damage = self.damage or problem
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)
        else:
            self.unlisted += 1

    def sort(self) -> None:
        """Sort the problems by record."""
        self.problems.sort(key=lambda problem: problem.record)
