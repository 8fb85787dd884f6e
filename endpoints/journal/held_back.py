"""Holds back records that come ahead of their place in a collected log, in memory or in a temporary file."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Final, Self

IN_MEMORY_BYTES: Final = 1 << 24
"""More than this is written to a temporary file, whose size is that of the log at most."""


class HeldBack:
    """The lines of records, by their numbers. Use it as a context manager."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - `__exit__` closes it
        self._places: dict[int, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def put(self, n: int, line: bytes) -> None:
        """Keep the line of record `n`. Raises OSError."""
        self._places[n] = self._file.seek(0, 2), len(line)
        self._file.write(line)

    def pop(self, n: int) -> bytes | None:
        """Return the line of record `n` and forget it; None if it is not here. Raises OSError."""
        place = self._places.pop(n, None)
        if place is None:
            return None
        self._file.seek(place[0])
        return self._file.read(place[1])

    def rest(self) -> Iterator[bytes]:
        """Yield all lines that are left, by their numbers. Raises OSError."""
        for n in sorted(self._places):
            line = self.pop(n)
            assert line is not None
            yield line
