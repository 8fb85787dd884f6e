"""The event stream of a link: its whole state at each change, and a beat each second without one.

All readers of a link share one look at it, at most ten a second, so a console with many screens costs the link no more
than one with a single screen. A reader that is slow gets the newest state and misses those in between.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Raw, structs

from endpoints.control.event_lines import Beat, PartyPresence
from endpoints.control.present_state import PresentState, pause_s
from endpoints.control.reasons import presence, presence_age_s
from endpoints.control.status import Status
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.ports import Now
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Digest, Identifier

LOOK_AGAIN_MS: Millis = 1_000
"""A look is no older than this: a link becomes late without any event."""
APART_MS: Millis = 100
"""The least time between two looks."""


class _StateLine(Beat, frozen=True, kw_only=True, tag="state"):
    """A `State`, partly encoded."""

    status: Status
    snapshot: Raw
    officers: Mapping[Identifier, Digest] | None


class Look(NamedTuple):
    """The state of a link as all its readers see it.

    Attributes:
        line: the state, as a line.
        content: a digest of what is in it, its times aside.
        n: the number of the journal's last record.
        certain: whether no other state of this process had the same `n`.
    """

    line: bytes
    content: bytes
    n: int
    certain: bool
    change: asyncio.Event
    real_ms: Millis
    # the next look follows at the earliest at this time
    next_ms: Millis


class EventFeed:
    """Looks at the links of one process for all who read their event streams."""

    def __init__(
        self,
        present: PresentState,
        status_of: Callable[[AnyRunner], Status],
        now: Callable[[], Now],
        rate: Callable[[], int],
        real_ms: Callable[[], Millis],
    ) -> None:
        self._present = present
        self._status_of = status_of
        self._now = now
        self._rate = rate
        self._real_ms = real_ms
        # bounded: the links
        self._looks: dict[str, Look] = {}
        self._readers: dict[str, int] = {}

    def join(self, link: str) -> None:
        """Count a reader of a link."""
        self._readers[link] = self._readers.get(link, 0) + 1

    def part(self, link: str) -> None:
        """Count one reader less; without any, no line is kept, which may be large."""
        self._readers[link] -= 1
        if not self._readers[link] and link in self._looks:
            self._looks[link] = self._looks[link]._replace(line=b"")

    def look(self, runner: AnyRunner) -> Look:
        """Return the newest look at a link, a new one if the link may have changed since and it is time for one."""
        before = self._looks.get(runner.link)
        real_ms = self._real_ms()
        if before is not None and before.line:
            holds = before.change is runner.changed.next and real_ms - before.real_ms < LOOK_AGAIN_MS
            if holds or real_ms < before.next_ms:
                return before
        found = self._looks[runner.link] = self._taken(runner, before, real_ms)
        return found

    def beat(self, runner: AnyRunner, n: int) -> bytes:
        """Return the line of a second in which record `n` was the last."""
        now = self._now()
        return _line(Beat(id=n, at=written(now.at), rate=self._rate(), presence=self._presence(runner, now)))

    def _taken(self, runner: AnyRunner, before: Look | None, real_ms: Millis) -> Look:
        change, now, n = runner.changed.next, self._now(), runner.journaled
        status = self._status_of(runner)
        snapshot = msgspec.json.encode(None if runner.failure is not None else self._present.of(runner))
        heard = self._presence(runner, now)
        line = _StateLine(
            id=n,
            at=written(now.at),
            rate=self._rate(),
            presence=heard,
            status=status,
            snapshot=Raw(snapshot),
            officers=runner.core.officers,
        )
        # that a second has passed since the peer was heard is no change
        lasting = (structs.replace(status, presence_age_s=None), [each.state for each in heard.values()])
        digest = hashlib.sha256(msgspec.json.encode(lasting))
        digest.update(snapshot)
        content = digest.digest()
        certain = before is None or before.n != n or (before.certain and before.content == content)
        after_ms = self._real_ms()
        pause_ms = max(APART_MS, round(pause_s(after_ms - real_ms) * 1_000))
        return Look(_line(line), content, n, certain, change, real_ms, after_ms + pause_ms)

    def _presence(self, runner: AnyRunner, now: Now) -> dict[Identifier, PartyPresence]:
        gauges = runner.gauges()
        if runner.failure is not None:
            return {party: PartyPresence("unknown", None) for party in runner.presence}
        view = self._present.of(runner)
        return {
            party: PartyPresence(presence(view, gauges, party, now.real_s), presence_age_s(gauges, party, now.real_s))
            for party in runner.presence
        }


def _line(document: Beat | _StateLine) -> bytes:
    return msgspec.json.encode(document) + b"\n"
