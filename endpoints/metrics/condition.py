"""Whether a process is alive, has started, and is ready, with a line for each reason against it.

**Alive** means that the process answers and its loop turns: a restart may help against anything else. **Ready** means
that it can take and deliver messages now: every link runs, so its journal can be written, and the broker has accepted
its session. A link whose duty officer has an alarm is ready all the same.

**Started** lies between them: no link is stopped, and the broker has accepted the session of each at least once. A
broker that is lost later is not the process's failure, so a container that waits for it is healthy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from endpoints.runtime.link_runner import AnyRunner
from endpoints.texts.printable import one_line
from protocol.wire.instants import Millis

STALLED_MS: Millis = 10_000
"""The loop turns every second; after this long without a turn it does not work."""
_WHY_MAX = 200


class LoopTurns:
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.count = 0
        self.real_ms: Millis = 0
        """When the last one ended, on the machine's monotonic clock."""

    def turned(self, real_ms: Millis) -> None:
        """Count a turn that ends now."""
        self.count += 1
        self.real_ms = real_ms


def why_not_alive(turns: LoopTurns, real_ms: Millis) -> Iterator[str]:
    """Yield why the process is not alive: nothing if it is."""
    idle_ms = real_ms - turns.real_ms
    if idle_ms > STALLED_MS:
        yield f"the loop has not turned for {idle_ms // 1_000} s"


def why_not_started(turns: LoopTurns, real_ms: Millis, runners: Mapping[str, AnyRunner]) -> Iterator[str]:
    """Yield why the process does not work, a broker that it has lost apart: nothing if it does."""
    yield from why_not_alive(turns, real_ms)
    for link, runner in runners.items():
        if line := _stopped(link, runner):
            yield line
        elif not (gauges := runner.gauges()).accepted:
            yield _line(f"{link}: not connected to the broker since the start", gauges.connection_trouble)


def why_not_ready(turns: LoopTurns, real_ms: Millis, runners: Mapping[str, AnyRunner]) -> Iterator[str]:
    """Yield why the process cannot take and deliver messages: nothing if it can."""
    yield from why_not_alive(turns, real_ms)
    for link, runner in runners.items():
        if line := _stopped(link, runner):
            yield line
        elif trouble := runner.gauges().connection_trouble:
            yield _line(f"{link}: not connected to the broker", trouble)


def _stopped(link: str, runner: AnyRunner) -> str:
    """Return why a link has stopped, an empty text while it runs."""
    failure = runner.failure
    return "" if failure is None else _line(f"{link}: stopped: {failure.code}", failure.detail)


def _line(what: str, why: str) -> str:
    """Return one line, with the reason if there is one."""
    return f"{what}: {one_line(why)[:_WHY_MAX]}" if why else what
