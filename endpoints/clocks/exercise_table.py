"""The exercise table, which maps real time to exercise time: the player writes it, every process reads it.

At an entry's `real` (CLOCK_BOOTTIME, ms) the exercise is at `exercise` (ms since 1970), and from then on it runs `rate`
times as fast as real time. Entries are only appended, possibly ahead of time, and each continues where the one before
leads: the map is continuous and never decreases. Before the first entry the exercise stands still.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from broker.atomic_files import PUBLIC_MODE, replace
from endpoints.errors import UserError
from endpoints.keys.private_files import read_bytes
from protocol.phrases import phrase
from protocol.wire.instants import Millis

WHAT = phrase("exercise clock")
RATE_MAX = 2_000
"""The highest rate: at more, milliseconds of real delay would exceed the tolerance of deadlines."""
_FILE_MAX_BYTES = 1_048_576

Rate = Annotated[int, Meta(ge=0, le=RATE_MAX)]


class TableEntry(Struct, frozen=True, array_like=True):
    """From `real` on, the exercise runs from `exercise` at `rate`; at rate 0 it stands still."""

    real: Annotated[int, Meta(ge=0)]
    exercise: int
    rate: Rate


class ExerciseTable:
    """The map from real to exercise time. Raises ValueError for entries that do not continue each other."""

    def __init__(self, entries: tuple[TableEntry, ...], *, stamp: tuple[int, int, int] | None = None) -> None:
        if not entries:
            raise ValueError(phrase("no entry"))
        for earlier, later in pairwise(entries):
            if later.real < earlier.real or later.exercise != _run(earlier, later.real):
                raise ValueError(
                    phrase(
                        "the entry at {real} does not continue the entry at {earlier}",
                        real=later.real,
                        earlier=earlier.real,
                    )
                )
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
        """Return the table with another entry: `rate` from `real` on, which may be in the future."""
        return ExerciseTable((*self.entries, TableEntry(real, self.exercise_at(real), rate)))

    def exercise_at(self, real: Millis) -> Millis:
        """Return the exercise time at the real instant `real`."""
        entry = self._entry_at(real)
        return self.starts_at if entry is None else _run(entry, real)

    def rate_at(self, real: Millis) -> int:
        """Return the rate at the real instant `real`: 0 before the first entry."""
        entry = self._entry_at(real)
        return 0 if entry is None else entry.rate

    def _entry_at(self, real: Millis) -> TableEntry | None:
        index = bisect_right(self.entries, real, key=lambda entry: entry.real) - 1
        return None if index < 0 else self.entries[index]

    def real_at(self, exercise: Millis) -> Millis | None:
        """Return the first real instant of the exercise instant `exercise`; None if the exercise stops before it."""
        for entry, following in pairwise((*self.entries, None)):
            assert entry is not None
            if exercise <= entry.exercise:
                return entry.real
            if entry.rate and (following is None or exercise < following.exercise):
                return entry.real - (entry.exercise - exercise) // entry.rate
        return None

    @classmethod
    def read(cls, path: Path) -> ExerciseTable:
        """Return the table in the file `path`. Raises UserError, which names the file."""
        stamp = cls.stamp_of(path)
        data = read_bytes(path, what=WHAT, max_bytes=_FILE_MAX_BYTES)
        try:
            return cls(msgspec.json.decode(data, type=tuple[TableEntry, ...]), stamp=stamp)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise UserError(
                phrase(
                    "{path}: not an exercise clock of entries [real ms, exercise ms, rate]: {error}",
                    path=path,
                    what=WHAT,
                    error=error,
                )
            ) from None

    def write(self, path: Path) -> None:
        """Replace the file `path` atomically. Raises OSError."""
        # every process of the exercise reads it, and nobody else may set its clock
        replace(path, msgspec.json.encode(self.entries), PUBLIC_MODE)

    @staticmethod
    def stamp_of(path: Path) -> tuple[int, int, int] | None:
        """Return a value that changes whenever the file is replaced; None if it does not exist."""
        try:
            status = os.stat(path)  # noqa: PTH116 - called at every reading of the clock, and twice as fast as pathlib
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def _run(entry: TableEntry, real: Millis) -> Millis:
    return entry.exercise + (real - entry.real) * entry.rate
