"""Keeps the snapshot of each link for as long as it holds, so that all who follow a link share one.

A snapshot takes the longer the more is open: with thousands of open alerts, one for each follower of each change would
leave the loop no time for the link itself.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from endpoints.runtime.link_runner import AnyRunner
from protocol.core.snapshot import Snapshot

KEPT_S = 1.0
"""How long a snapshot is kept at most. It may be large; who asks later has another one made."""
PAUSE_TIMES = 4
PAUSE_MAX_S = 1.0


class _Taken(NamedTuple):
    # what the link's next change sets: it identifies the state
    change: asyncio.Event
    snapshot: Snapshot


class PresentState:
    """The present state of the links of one process."""

    def __init__(self) -> None:
        # bounded: the links
        self._taken: dict[str, _Taken] = {}

    def of(self, runner: AnyRunner) -> Snapshot:
        """Return the link's snapshot. Raises LocalProtocolError without an epoch."""
        change = runner.changed.next
        taken = self._taken.get(runner.link)
        if taken is None or taken.change is not change:
            taken = self._taken[runner.link] = _Taken(change, runner.core.snapshot())
            asyncio.get_running_loop().call_later(KEPT_S, self._forget, runner.link, taken)
        return taken.snapshot

    def _forget(self, link: str, taken: _Taken) -> None:
        if self._taken.get(link) is taken:
            del self._taken[link]


def pause_s(took_ms: int) -> float:
    """Return how long a follower waits at least after a look that took `took_ms`: it gets a fifth of the time."""
    return min(took_ms * PAUSE_TIMES / 1_000, PAUSE_MAX_S)
