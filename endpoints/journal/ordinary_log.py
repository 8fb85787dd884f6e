"""Ordinary log lines: one JSON object each, on standard output between the journals' records (structlog).

An ordinary line has no `n`: that is how readers of a collected log tell it from a record. Libraries that log in their
own way come out the same; standard error stays quiet.
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
    """Let all of this process's log lines go to `output`, stamped by `clock`, with `side` on each."""

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
    """Where structlog puts a rendered line."""

    def __init__(self, output: StdoutFeed) -> None:
        self.msg = output.write_line
        self.debug = self.info = self.warning = self.error = self.critical = self.exception = self.msg


class _Forward(logging.Handler):
    """Standard library's logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        log = structlog.get_logger()
        getattr(log, level, log.warning)(record.getMessage(), logger=record.name, exc_info=record.exc_info)


def _render(_logger: WrappedLogger, _level: str, event: EventDict) -> bytes:
    # `n` is what makes a line a record
    event.pop("n", None)
    return msgspec.json.encode(event, enc_hook=_text)


def _text(value: Any) -> str:
    return str(value)
