"""An exercise's time: a small table of (real, exercise, rate) that the player writes and every process reads.

From each entry's `real` on (CLOCK_BOOTTIME, ms) the exercise stands at `exercise` (ms since 1970) and runs `rate` times
as fast. Entries are only ever appended, also ahead of time, and continue where the entry before has led to: the map is
continuous and never falls. Before its first entry the exercise stands still.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from endpoints.errors import UserError
from endpoints.keys.private_files import read_bytes
from protocol.wire.instants import Millis

WHAT = "exercise clock"
RATE_MAX = 2_000
"""The fastest that an exercise may run; the slack in its deadlines is real milliseconds."""
_FILE_MAX_BYTES = 1_048_576

Rate = Annotated[int, Meta(ge=0, le=RATE_MAX)]


class TableEntry(Struct, frozen=True, array_like=True):
    """From `real` on, the exercise runs from `exercise` at `rate`; 0 stands still."""

    real: Annotated[int, Meta(ge=0)]
    exercise: int
    rate: Rate


class ExerciseTable:
    """The map from real time to the exercise's. Raises ValueError for entries that do not continue each other."""

    def __init__(self, entries: tuple[TableEntry, ...], *, stamp: tuple[int, int, int] | None = None) -> None:
        if not entries:
            raise ValueError("without an entry")
        for earlier, later in pairwise(entries):
            if later.real < earlier.real or later.exercise != _run(earlier, later.real):
                raise ValueError(f"the entry at {later.real} does not continue the entry at {earlier.real}")
        self.entries = entries
        self.stamp = stamp

    @classmethod
    def begin(cls, real: Millis, exercise: Millis, rate: int) -> ExerciseTable:
        """Return a table with its first entry."""
        return cls((TableEntry(real, exercise, rate),))

    @property
    def starts_at(self) -> Millis:
        """The exercise's first instant."""
        return self.entries[0].exercise

    def then(self, real: Millis, rate: int) -> ExerciseTable:
        """Return the table with one entry more: from `real` on at `rate`. `real` may lie ahead."""
        return ExerciseTable((*self.entries, TableEntry(real, self.exercise_at(real), rate)))

    def exercise_at(self, real: Millis) -> Millis:
        """Return the exercise's time at the real instant `real`."""
        index = bisect_right(self.entries, real, key=lambda entry: entry.real) - 1
        return self.starts_at if index < 0 else _run(self.entries[index], real)

    def real_at(self, exercise: Millis) -> Millis | None:
        """Return the first real instant of the exercise's instant `exercise`; None if it stands still before."""
        for entry, following in pairwise((*self.entries, None)):
            assert entry is not None
            if exercise <= entry.exercise:
                return entry.real
            if entry.rate and (following is None or exercise < following.exercise):
                return entry.real - (entry.exercise - exercise) // entry.rate
        return None

    @classmethod
    def read(cls, path: Path) -> ExerciseTable:
        """Return the table in the file `path`. Raises UserError naming the file."""
        stamp = cls.stamp_of(path)
        data = read_bytes(path, what=WHAT, max_bytes=_FILE_MAX_BYTES)
        try:
            return cls(msgspec.json.decode(data, type=tuple[TableEntry, ...]), stamp=stamp)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise UserError(f"{path}: not an {WHAT} of entries [real ms, exercise ms, rate]: {error}") from None

    def write(self, path: Path) -> None:
        """Replace the file `path` in one step. Raises OSError."""
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(msgspec.json.encode(self.entries))
        fresh.replace(path)

    @staticmethod
    def stamp_of(path: Path) -> tuple[int, int, int] | None:
        """Return what changes whenever the file is replaced; None if it is not there."""
        try:
            status = os.stat(path)  # noqa: PTH116 - called for every reading of the clock, and twice as fast
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def _run(entry: TableEntry, real: Millis) -> Millis:
    return entry.exercise + (real - entry.real) * entry.rate
