"""Says what an export is: of which interval, up to which record, made by which version, and what was left out.

`deconflict log export` and the console's downloads share it, so that there is one wording. JSON lines, which programs
read, say it in English, in a first and a last line, which a reader of records passes over.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from endpoints.texts.i18n import Translator
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Utc

TOOL: Final = f"deconfliction-link {version('deconfliction-link')}"
OTHERS: Final = "the journals of the other side and of the independent watch"
_TAIL_BYTES: Final = 1 << 16
_RECORD: Final = re.compile(rb'\{"n":(\d{1,16}),"link":"[^"]*","side":"[^"]*","batch":\d{1,16},"at":"([^"]{1,40})"')
_HASH: Final = re.compile(rb'"hash":"([0-9a-f]{64})"}$')


class Head(NamedTuple):
    """A record and its hash."""

    record: int
    hash: str


class Interval(Struct, frozen=True, kw_only=True):
    """From when to when, both included; None for the beginning and for the end of the journal."""

    since: Millis | None = None
    until: Millis | None = None

    @property
    def first(self) -> Utc | None:
        """The beginning, written."""
        return None if self.since is None else written(self.since)

    @property
    def last(self) -> Utc | None:
        """The end, written."""
        return None if self.until is None else written(self.until)

    def contains(self, at: Utc) -> bool:
        """Return whether an instant lies in it."""
        return (self.first is None or at >= self.first) and (self.last is None or at <= self.last)


def about(link: str, status: str, interval: Interval, head: Head, t: Translator) -> str:
    """Return what an account of one journal is, in one line.

    Args:
        link: whose link.
        status: what the link is for: `exercise` or `actual`.
        interval: of what.
        head: how far the journal was read.
        t: the language.
    """
    begins, ends = interval.first or t("the beginning of the journal"), interval.last or t("the end of the journal")
    return t(
        "account of {link} ({status}), {begins} to {ends}; made by {tool} when record {record} with hash {hash} was "
        "the last; left out: what is outside the interval, the journals of the other side and of the independent watch",
        link=link,
        status=t.term("status", status),
        begins=begins,
        ends=ends,
        tool=TOOL,
        record=head.record,
        hash=head.hash,
    )


def heading(link: str, side: str, status: str | None, interval: Interval) -> dict[str, Any]:
    """Return what an export is, for programs."""
    return {
        "link": link,
        "side": side,
        "status": status,
        "since": interval.first,
        "until": interval.last,
        "made_by": TOOL,
    }


class RecordLines:
    """Makes JSON lines of a journal's records, byte for byte, with what they are in the first and the last line.

    `log verify` accepts them: these two lines are no records to it.
    """

    def __init__(self, interval: Interval) -> None:
        self._interval = interval
        self._first = self._last = self._taken = self._left_out = self._no_records = 0
        self._head = ""

    def begin(self, about: dict[str, Any]) -> bytes:
        """Return the first line."""
        return _line({"export": about})

    def take(self, line: bytes) -> bytes:
        """Return the line of a record, given with its newline; nothing if it is outside the interval."""
        found = _RECORD.match(line)
        if found is None:
            self._no_records += 1
            return b""
        if not self._interval.contains(found[2].decode("ascii", "replace")):
            self._left_out += 1
            return b""
        n = int(found[1])
        self._first = self._first or n
        self._last, self._taken = n, self._taken + 1
        digest = _HASH.search(line[-_TAIL_BYTES:].rstrip(b"\n"))
        self._head = digest[1].decode() if digest else self._head
        return line

    def end(self, *further: str, **more: Any) -> bytes:
        """Return the last line; `further` is what else was left out, `more` are further fields."""
        left = [f"{self._left_out} records of this journal outside the interval"] if self._left_out else []
        left += [f"lines of this journal that are not records: {self._no_records}"] if self._no_records else []
        return _line(
            {
                "export_end": {
                    "records": self._taken,
                    "first": self._first or None,
                    "last": self._last or None,
                    "head": self._head or None,
                    "left_out": [*left, *further, OTHERS],
                    **more,
                }
            }
        )


def _line(document: dict[str, Any]) -> bytes:
    return msgspec.json.encode(document) + b"\n"
