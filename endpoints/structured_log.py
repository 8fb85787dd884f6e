"""The library of the structured log, without what it imports for a developer's console.

structlog imports rich wherever it is installed, for coloured tracebacks that no process of ours prints. That would be
3 MB of an endpoint's memory, and a part of each start. Every module takes structlog from here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _missing(name: str) -> Iterator[None]:
    """Let an import of `name` fail, unless it was imported already."""
    if name in sys.modules:
        yield
        return
    # the documented way to forbid an import
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


with _missing("rich"):
    import structlog

get_logger = structlog.get_logger

__all__ = ["get_logger", "structlog"]
