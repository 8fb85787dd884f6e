"""A journal's store that measures its flushes and knows the size of its segments, for metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from endpoints.journal.segments import segments
from endpoints.journal.store import LastSegment, SegmentStore
from endpoints.metrics.counters import LinkCounters


class ObservedStore:
    """Another store, with what it does noted in the counters of its link."""

    def __init__(self, store: SegmentStore, folder: Path, counters: LinkCounters, read_ns: Callable[[], int]) -> None:
        """Measure `store`, whose segments lie in `folder`, with the clock that `read_ns` reads."""
        self._store = store
        self._folder = folder
        self._counters = counters
        self._read_ns = read_ns

    @property
    def name(self) -> str:
        """Where the journal lies."""
        return self._store.name

    def open(self, *, create: bool) -> LastSegment | None:
        """Open the store. See `SegmentStore.open`."""
        last = self._store.open(create=create)
        former = [] if last is None else segments(self._folder)[:-1]
        self._counters.journal_opened(sum(path.stat().st_size for path in former))
        return last

    def resume(self, end: int, last_batch: bytes) -> None:
        """Continue the last segment. See `SegmentStore.resume`."""
        self._store.resume(end, last_batch)
        self._counters.journal_grew(end)

    def append(self, data: bytes) -> None:
        """Write and flush `data`. See `SegmentStore.append`."""
        began_ns = self._read_ns()
        self._store.append(data)
        self._noted(began_ns, data)

    def start_segment(self, first: int, data: bytes) -> None:
        """Make the next segment. See `SegmentStore.start_segment`."""
        began_ns = self._read_ns()
        self._store.start_segment(first, data)
        self._noted(began_ns, data)

    def _noted(self, began_ns: int, data: bytes) -> None:
        self._counters.flushes.observe((self._read_ns() - began_ns) / 1e9)
        self._counters.journal_grew(len(data))

    def free_bytes(self) -> int:
        """Return how many bytes may still be written."""
        return self._store.free_bytes()

    def close(self) -> None:
        """Let another process open the store."""
        self._store.close()
