"""Puts what a process prints into lines for people: `run`, `watch` and `broker` on a terminal.

A line has its time (UTC), who it is about and what happened. Many lines of one kind are shown only in part, and the
rest is counted, so that a flood hides nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from endpoints.cli.output import console, print_row
from endpoints.cli.story_lines import STYLES, WHO_WIDTH
from endpoints.texts.i18n import Translator
from endpoints.texts.printable import one_line
from endpoints.texts.story import Storyteller, Told, Tone
from protocol.core.start_events import EpochOpened
from protocol.errors import JournalError
from protocol.record.journal import decode
from protocol.wire.instants import Millis, parsed, written

LINES_MAX = 20
"""How many lines of one kind are printed in a period; a person reads no more of them."""
PERIOD_MS: Millis = 10_000
_EXAMPLE_MAX = 60
_TONES: dict[str, Tone] = {"warning": "bad", "error": "bad", "critical": "bad"}
_SHOWN_APART = {"at", "level", "side", "event", "why", "text", "exception"}
"""Fields of an ordinary line that have a place of their own."""
_RECORDED = {"connected to the broker"}
"""Ordinary lines that a record of each link tells in the same words."""


class TerminalLog:
    """Writes the records and the ordinary log lines of one process for a terminal."""

    def __init__(
        self, t: Translator, side: str, epochs: Mapping[str, int], statuses: Mapping[str, str] | None = None
    ) -> None:
        """Make it.

        Args:
            t: the language.
            side: the process's name.
            epochs: the epoch of each link at the start.
            statuses: what each link is for at the start, exercise or actual. If links differ, each line says it.
        """
        self._t = t
        self._side = side
        self._tellers = {link: Storyteller(t, epoch) for link, epoch in epochs.items()}
        self._statuses = dict(statuses or {})
        self._out = console()
        self._began: Millis = 0
        self._last: Millis = 0
        self._printed: Counter[tuple[str, str]] = Counter()
        # the last line of each kind that was left out
        self._left_out: dict[tuple[str, str], Told] = {}

    def records(self, lines: bytes) -> bytes:
        """Return the text for whole lines of a journal."""
        with self._out.capture() as captured:
            for line in lines.splitlines():
                try:
                    record = decode(line)
                except JournalError:
                    # what was written here can be read; a disk that changes it is reported by `log verify`
                    continue
                if isinstance(record.entry, EpochOpened):
                    self._statuses[record.link] = record.entry.terms.policy.status
                for told in self._tellers[record.link].tell(record):
                    self._take(record.link, told)
        return captured.get().encode()

    def line(self, line: bytes) -> bytes:
        """Return the text for an ordinary line."""
        fields: dict[str, Any] = msgspec.json.decode(line)
        if fields["event"] in _RECORDED:
            return b""
        at = parsed(fields["at"]) if "at" in fields else self._last
        what, event = self._words(fields), str(fields["event"])
        tone: Tone = "said" if event == "notification" else _TONES.get(str(fields.get("level")), "quiet")
        kind = f"line {fields.get('logger') or event}"
        with self._out.capture() as captured:
            self._take("", Told(at, self._side, one_line(what), tone, kind))
            for cause in str(fields.get("exception", "")).splitlines():
                self._print("", Told(at, self._side, f"| {one_line(cause)}", tone, kind))
        return captured.get().encode()

    def rest(self) -> bytes:
        """Return the text for what was left out in this period."""
        with self._out.capture() as captured:
            self._begin_period(self._last)
        return captured.get().encode()

    def _words(self, fields: dict[str, Any]) -> str:
        """Return an ordinary line in words: what happened, why, and the other fields in brackets."""
        event = self._t.term("log", str(fields["event"]))
        if "text" in fields:
            # of a notification everything else is in its text
            return f"{event}: {fields['text']}"
        why = f": {fields['why']}" if "why" in fields else ""
        left = ((self._t.term("log field", name), value) for name, value in fields.items() if name not in _SHOWN_APART)
        rest = ", ".join(f"{name}: {_short(value)}" for name, value in left)
        return f"{event}{why}{f' ({rest})' if rest else ''}"

    def _take(self, link: str, told: Told) -> None:
        """Print a line, or count it if too many of its kind were printed."""
        if abs(told.at - self._began) >= PERIOD_MS:
            self._begin_period(told.at)
        self._last = told.at
        kind = (link, told.kind)
        self._printed[kind] += 1
        if self._printed[kind] > LINES_MAX:
            self._left_out[kind] = told
        else:
            self._print(link, told)

    def _begin_period(self, at: Millis) -> None:
        """Print how many lines of each kind were left out, and count from now on."""
        t = self._t
        for kind, last in self._left_out.items():
            what = t.plural(
                "{count} more line like the last one: {line}",
                "{count} more lines, the last one: {line}",
                self._printed[kind] - LINES_MAX,
                line=last.what if len(last.what) <= _EXAMPLE_MAX else f"{last.what[:_EXAMPLE_MAX]}...",
            )
            self._print(kind[0], last._replace(what=what))
        self._left_out.clear()
        self._printed.clear()
        self._began = at

    def _print(self, link: str, told: Told) -> None:
        from rich.text import Text

        date, _, time = written(told.at).partition("T")
        where = f"{self._named(link)}  " if len(self._tellers) > 1 else ""
        begin = Text.assemble((f"{date} {time[:8]} UTC  ", "bright_black"), where, f"{told.who:<{WHO_WIDTH}}  ")
        print_row(self._out, begin, Text(told.what, STYLES[told.tone]))

    def _named(self, link: str) -> str:
        """Return a link's id, with its status if there are links of both."""
        mixed = link in self._statuses and len(set(self._statuses.values())) > 1
        return f"{link} ({self._t.term('status', self._statuses[link])})" if mixed else link


def _short(value: Any) -> str:
    """Return a field's value in a few words."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
