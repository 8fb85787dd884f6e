"""Configures structlog: ordinary log lines are JSON objects on standard output, between the journals' records.

An ordinary line has no field `n`, by which readers of a collected log recognise a record. Lines of libraries that use
`logging` or `warnings` get the same form. Nothing is written to standard error.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from endpoints.clocks.clock import Clock
from endpoints.journal.stdout_feed import StdoutFeed
from protocol.wire.instants import written


def configure(output: StdoutFeed, clock: Clock, side: str) -> None:
    """Send all log lines of this process to `output`, with the time of `clock` and `side` on each."""

    def stamp(_logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        return {"at": written(clock.now()[0]), "level": level, "side": side, **event}

    processors: list[Processor] = [stamp, structlog.processors.format_exc_info, _render]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Line(output),
    )
    logging.captureWarnings(capture=True)
    logging.basicConfig(handlers=[_Forward()], level=logging.WARNING, force=True)


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
