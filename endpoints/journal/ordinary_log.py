"""Configures structlog: ordinary log lines are JSON objects on standard output, between the journals' records.

An ordinary line has no field `n`, by which readers of a collected log recognise a record. Lines of libraries that use
`logging` or `warnings` get the same form. Nothing is written to standard error. A complaint that repeats is printed ten
times a minute at most.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from endpoints.clocks.clock import Clock
from endpoints.journal.stdout_feed import StdoutFeed
from endpoints.structured_log import structlog
from protocol.wire.instants import Millis, written

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

REPEATS_MAX = 10
WINDOW_MS: Millis = 60_000
_KINDS_MAX = 256
_COMPARED = 120
_NO_COMPLAINT = {"debug", "info"}
_ABOUT = ("logger", "link", "sink")
_NUMBERS = re.compile(r"\d+|0x[0-9a-f]+")


def configure(output: StdoutFeed, clock: Clock, side: str) -> None:
    """Send all log lines of this process to `output`, with the time of `clock` and `side` on each."""

    def stamp(_logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        return {"at": written(clock.now()[0]), "level": level, "side": side, **event}

    processors: list[Processor] = [Repeats(clock.real_ms), stamp, structlog.processors.format_exc_info, _render]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Line(output),
    )
    logging.captureWarnings(capture=True)
    logging.basicConfig(handlers=[_Forward()], level=logging.WARNING, force=True)


class Repeats:
    """Drops a complaint that was printed `REPEATS_MAX` times within a minute; the next one counts the dropped.

    Complaints are the same if they differ only in numbers, in later lines, or in other fields than `_ABOUT`. A
    notification is no complaint.
    """

    def __init__(self, real_ms: Callable[[], Millis]) -> None:
        self._real_ms = real_ms
        # since when and how often, by complaint, the least recent one first
        self._seen: dict[tuple[str, ...], tuple[Millis, int]] = {}

    def __call__(self, _logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        """Return the line, or raise DropEvent."""
        if level in _NO_COMPLAINT or event.get("event") == "notification":
            return event
        what = _NUMBERS.sub("0", str(event.get("event", ""))[:_COMPARED].partition("\n")[0])
        key = (level, what, *(str(event.get(name, "")) for name in _ABOUT))
        now_ms = self._real_ms()
        since, count = self._seen.pop(key, (now_ms, 0))
        dropped = 0
        if now_ms - since >= WINDOW_MS:
            since, count, dropped = now_ms, 0, max(0, count - REPEATS_MAX)
        count += 1
        self._seen[key] = since, count
        if len(self._seen) > _KINDS_MAX:
            del self._seen[next(iter(self._seen))]
        if count > REPEATS_MAX:
            raise structlog.DropEvent
        if count == REPEATS_MAX:
            event["further"] = "the same is not printed for a minute"
        if dropped:
            event["dropped"] = dropped
        return event


class _Line:
    """Hands rendered lines to the output: structlog's logger."""

    def __init__(self, output: StdoutFeed) -> None:
        self.msg = output.write_line
        self.debug = self.info = self.warning = self.error = self.critical = self.exception = self.msg


class _Forward(logging.Handler):
    """Passes records of the standard library's logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        log = structlog.get_logger()
        getattr(log, level, log.warning)(record.getMessage(), logger=record.name, exc_info=record.exc_info)


def _render(_logger: WrappedLogger, _level: str, event: EventDict) -> bytes:
    # a line with `n` would be read as a record
    event.pop("n", None)
    return msgspec.json.encode(event, enc_hook=_text)


def _text(value: Any) -> str:
    return str(value)
