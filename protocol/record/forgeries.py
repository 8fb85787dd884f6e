"""Names the record whose terms or effects no link could have written, for every reader that follows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from protocol.errors import JournalError
from protocol.phrases import phrase
from protocol.record.journal import Record

_SHOWN_MAX = 200


@contextmanager
def forgery_named(record: Record) -> Iterator[None]:
    """Raise JournalError in place of what fails when `record` has terms or effects that no link could have written."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        what = " ".join(str(error).split())[:_SHOWN_MAX]
        raise JournalError(record.n, phrase("no link writes such terms or effects: {what}", what=what)) from error
