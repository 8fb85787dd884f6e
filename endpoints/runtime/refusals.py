"""Counts refused frames and wrong credentials of one link, and makes the events of those that the limits suppress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from endpoints.runtime.ports import Now
from endpoints.runtime.rate_limits import FrameLimits, RefusalCap
from protocol.core.events import AnyEvent, CredentialsRefused, FramesSuppressed


class Refusals:
    """What one link has refused, within its limits."""

    def __init__(self, frames: FrameLimits | None = None) -> None:
        self.frames = frames or FrameLimits()
        """The limits of frames, refused ones and others."""
        self._credentials = RefusalCap()

    def credential(self, source: str, now: Now) -> CredentialsRefused | None:
        """Count a wrong credential from `source`; return its event, or None if it is only counted."""
        if not self._credentials.admits(source, now.real_s):
            return None
        return CredentialsRefused(at=now.at, mono=now.mono, count=1, source=source)

    def due(self, now: Now) -> Iterator[AnyEvent]:
        """Yield the events of what was only counted, once its window is over."""
        yield from _events(self.frames.due(now.real_s), self._credentials.due(now.real_s), now)

    @property
    def due_s(self) -> int | None:
        """When the first window is over, None if none is open."""
        ends_s = (self.frames.due_s, self._credentials.due_s)
        return min((each for each in ends_s if each is not None), default=None)

    def flush(self, now: Now) -> Iterator[AnyEvent]:
        """Yield the events of what was only counted so far."""
        yield from _events(self.frames.flush(), self._credentials.flush(), now)


def _events(frames: Mapping[str, int], credentials: Mapping[str, int], now: Now) -> Iterator[AnyEvent]:
    for reason, count in frames.items():
        yield FramesSuppressed(at=now.at, mono=now.mono, reason=reason, count=count)
    for source, count in credentials.items():
        yield CredentialsRefused(at=now.at, mono=now.mono, count=count, source=source)
