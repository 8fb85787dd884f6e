"""Writes an account as text of 80 columns: problems first, then the summary, the slots, the line, and every row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from endpoints.texts.i18n import Translator
from endpoints.texts.item_page import field_lines
from endpoints.texts.link_statuses import status_words
from endpoints.texts.printable import one_line
from endpoints.texts.timeline_words import (
    RowWriter,
    by_day,
    interval_words,
    length,
    slot_words,
    summary_lines,
)
from endpoints.texts.wording import utc
from protocol.record.timeline import Account, Row

SIGNED, ALONE = "=", "?"
"""Marks of a row that a signed frame proves, and of one that only its journal records."""
_INTERVALS_MAX = 40
"""How many intervals of the line are written out; a page and JSON have them all."""
_ROW_COLUMN = 24
_TIME_WIDTH = 12
_SIDE_WIDTH = 7


def timeline_lines(
    account: Account, journals: Sequence[Sequence[str]], problems: Sequence[str], t: Translator, width: int | None
) -> Iterator[str]:
    """Yield the lines of an account.

    Args:
        account: what is written down.
        journals: the lines about each journal.
        problems: what is wrong with the journals, or with what they say together; nothing is written before it.
        t: the language.
        width: the columns of the terminal; None for a file or a pipe, where each row is one line.
    """
    yield from _folded(_title(account, t), width, 0)
    for problem in problems:
        yield from _folded(f"! {one_line(problem)}", width, 2)
    if journals:
        yield from _heading(t("journals"))
    for first, *more in journals:
        yield from _folded(one_line(first), width, 4)
        for line in more:
            yield from _folded(f"  {one_line(line)}", width, 4)
    yield from _heading(t("summary"))
    for line in summary_lines(account, t):
        yield from _folded(line, width, 2)
    yield from _slots(account, t, width)
    yield from _line(account, t, width)
    yield from _heading(t("what happened (UTC)"))
    yield from _folded(t("{mark} proven by a signed frame (its time by this journal alone)", mark=SIGNED), width, 2)
    yield from _folded(t("{mark} recorded by this journal alone", mark=ALONE), width, 2)
    writer = RowWriter(account, t)
    for day, rows in by_day(writer.rows):
        yield ""
        yield f"-- {day} --"
        for row in rows:
            yield from _row(row, writer, width)


def _title(account: Account, t: Translator) -> str:
    return t(
        "Account of {link} from {since} to {until} UTC",
        link=f"{account.link} ({status_words(account.statuses, t)})",
        since=utc(account.since),
        until=utc(account.until),
    )


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield f"== {text} =="


def _slots(account: Account, t: Translator, width: int | None) -> Iterator[str]:
    if not account.slots:
        return
    yield from _heading(t("line tests of the schedule"))
    for slot in account.slots:
        words = slot_words(slot, t)
        yield from _folded(
            f"{utc(slot.due)[:16]}  {t.term('slot', slot.state)}{': ' if words else ''}{words}", width, 18
        )


def _line(account: Account, t: Translator, width: int | None) -> Iterator[str]:
    yield from _heading(t("the line"))
    for each in account.line[:_INTERVALS_MAX]:
        why = interval_words(each, t)
        until = utc(each.until) if each.until[:10] != each.since[:10] else utc(each.until)[11:]
        times = f"{utc(each.since)[:19]} - {until[:-4]}"
        said = f"{times}  {t.term('line', each.state)} {length(each.length_ms)}{': ' if why else ''}{why}"
        yield from _folded(said, width, 4)
    if (more := len(account.line) - _INTERVALS_MAX) > 0:
        yield t.plural("{count} more interval", "{count} more intervals", more)


def _row(row: Row, writer: RowWriter, width: int | None) -> Iterator[str]:
    mark = SIGNED if row.signed_by else ALONE
    begin = f"{utc(row.happening.at)[11:]:<{_TIME_WIDTH}} {row.journal:<{_SIDE_WIDTH}} {mark} "
    yield from _folded(f"{begin}{writer.what(row)}", width, _ROW_COLUMN)
    indent = " " * 6
    for line in field_lines(writer.fields(row), None if width is None else width - len(indent)):
        yield f"{indent}{line}"


def _folded(line: str, width: int | None, indent: int) -> list[str]:
    """Return a line in parts of at most `width` columns; what is continued is indented, so that it begins no row."""
    if width is None:
        return [line]
    return wrap(
        line,
        width,
        subsequent_indent=" " * indent,
        drop_whitespace=True,
        replace_whitespace=False,
        break_on_hyphens=False,
    ) or [""]
