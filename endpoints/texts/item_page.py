"""Shows one message or draft in full, for a person who has to judge it: every field, the ladder, and the acts on it.

What another party wrote stands behind a bar, on every line, so that no text can pass for a field or an act:

    eucom/1/4  alert: acknowledged
      status        EXERCISE
      text, en      | Dam under fire.
                    |   acts  duty-1 acknowledged it: a line of the text, not an act
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any, Literal

import msgspec
from msgspec import Struct

from endpoints.texts.i18n import Translator
from endpoints.texts.printable import barred
from endpoints.texts.wording import circle, moment
from protocol.core.acts import Act
from protocol.wire.instants import parsed
from protocol.wire.messages import Digest, Identifier, Reference, Texts, Utc

VALUE_COLUMN = 16
"""Where the values begin; a digest ends in column 80."""
_LABEL_MAX = VALUE_COLUMN - 3
FIELDS = (
    "event_at",
    "expires_at",
    "slot",
    "of",
    "by",
    "officer",
    "decision",
    "reason",
    "referral",
    "challenge",
    "read_back",
    "references",
    "change",
    "released_by",
)
"""The other fields of a body, in the order in which they are shown."""


class PageField(Struct, frozen=True):
    """One field of a page: its label, and its lines. Those that another party wrote are foreign."""

    label: str
    lines: tuple[tuple[str, Literal["own", "foreign"]], ...]


class ShownAct(Struct, frozen=True, kw_only=True):
    """One act, and what its message says."""

    act: Act
    text: Texts = {}
    # of a refusal, the channel to use instead
    referral: str | None = None


class ItemPage(Struct, frozen=True, kw_only=True):
    """What is known of a message or a draft. `item_lines` writes it down."""

    # `eucom/1/42` or `draft/3`
    reference: str
    # `alert`, `heartbeat`, ...
    kind: str
    # its state, in words
    state: str
    # the body of a known kind; of any other, JSON
    body: Mapping[str, Any] | str
    # of a change, the text of the alert that it changes
    target: Texts = {}
    # the text prepared for its cancellation; None for the standing text, or if it is no draft
    cancellation: Texts | None = None
    # a draft's author
    author: Identifier | None = None
    # what must be read first, such as that the alert has expired
    warnings: tuple[str, ...] = ()
    # the steps that it has reached, in words, each with its time
    steps: tuple[tuple[str, Utc], ...] = ()
    # the other steps of its ladder, each with what is known of it, in words
    undated: tuple[tuple[str, str], ...] = ()
    acts: tuple[ShownAct, ...] = ()
    # the alert that changed or cancelled it
    successor: str | None = None
    # the other channels of the policy, if it was refused as out of scope
    channels: tuple[str, ...] = ()
    # None for an alert that was not handed in yet
    seen: Digest | None = None


def item_lines(page: ItemPage, t: Translator, zones: Sequence[str], width: int | None) -> list[str]:
    """Return the lines of a page, with times in UTC and on the wall clocks of `zones`.

    Args:
        page: what is shown.
        t: translates.
        zones: the time zones of the reader's site and of the other ones.
        width: the columns of the terminal, in which texts are folded; None for a file or a pipe.
    """
    lines = [f"{page.reference}  {t.term('kind', page.kind)}: {page.state}"]
    lines += [f"  ! {warning}" for warning in page.warnings]
    writer = _Writer(t, zones, width)
    writer.body(page)
    if page.author is not None:
        writer.field(t("written by"), page.author)
    for step, at in page.steps:
        writer.field(step, *writer.when(at))
    for step, words in page.undated:
        writer.field(step, words)
    if page.successor is not None:
        writer.field(t("replaced by"), page.successor)
    for shown in page.acts:
        writer.act(shown)
    if page.channels:
        columns = sys.maxsize if width is None else max(width - VALUE_COLUMN, 1)
        folded = (line for channel in page.channels for line in wrap(channel, columns, subsequent_indent="  "))
        writer.field(t("other channels"), *folded)
    if page.seen is not None:
        writer.field("seen", page.seen)
    return [*lines, *field_lines(writer.fields, width)]


def body_fields(page: ItemPage, t: Translator, zone: str) -> list[PageField]:
    """Return the fields of the body of a page, those of an alert first in the order in which an officer judges it."""
    writer = _Writer(t, (zone,), None)
    writer.body(page)
    return writer.fields


def field_lines(fields: Iterable[PageField], width: int | None) -> list[str]:
    """Return fields as lines: the values in one column, foreign ones behind a bar and folded to `width` columns."""
    lines: list[str] = []
    for field in fields:
        begin = f"  {field.label}"
        if len(field.label) > _LABEL_MAX:
            lines.append(begin)
            begin = ""
        for text, whose in field.lines:
            columns = None if width is None else width - VALUE_COLUMN
            for line in barred(text, columns) if whose == "foreign" else [text]:
                lines.append(f"{begin:<{VALUE_COLUMN}}{line}")
                begin = ""
    return lines


class _Writer:
    """Collects the fields of a page."""

    def __init__(self, t: Translator, zones: Sequence[str], width: int | None) -> None:
        self.fields: list[PageField] = []
        self._t = t
        self._zones = zones
        self._columns = None if width is None else width - VALUE_COLUMN

    def field(self, label: str, *values: str) -> None:
        """Add a field with one line for each of its values, none of them foreign text."""
        self.fields.append(PageField(label, tuple((value, "own") for value in values)))

    def foreign(self, label: str, text: str, *more: str) -> None:
        """Add a field of foreign text, and below it what is our own."""
        self.fields.append(PageField(label, ((text, "foreign"), *((each, "own") for each in more))))

    def texts(self, label: str, texts: Mapping[str, str]) -> None:
        """Add a text in each of its languages."""
        for language, text in texts.items():
            self.foreign(f"{label}, {language}", text)

    def when(self, at: Utc) -> Sequence[str]:
        """Return an instant in UTC and on the wall clocks of the sites; in two lines, if one is too short for it."""
        text = moment(at, self._t, *self._zones)
        if self._columns is None or len(text) <= self._columns:
            return [text]
        utc, bracket, local = text.partition(" (")
        return [utc, f"{bracket.strip()}{local}"]

    def body(self, page: ItemPage) -> None:
        """Add every field of the body, those of an alert first in the order in which an officer judges it."""
        if isinstance(page.body, str):
            self.foreign(self._t.term("field", "body"), page.body)
            return
        t, left = self._t, {name: value for name, value in page.body.items() if name != "type"}
        for name, kind in (("status", "status"), ("precedence", "precedence"), ("category", "category")):
            if isinstance(value := left.pop(name, None), str):
                self.field(t.term("field", name), t.term(kind, value))
        if "text" in left:
            text = left.pop("text")
            if isinstance(text, dict):
                self.texts(t.term("field", "text"), text)
            else:
                self.foreign(f"{t.term('field', 'text')}, {left.pop('language', '')}", str(text))
        if isinstance(area := left.pop("area", None), dict):
            self.foreign(
                t.term("field", "area"),
                area["name"],
                circle(area["latitude_udeg"], area["longitude_udeg"], area["radius_m"], t),
            )
        for name in sorted(left, key=FIELDS.index):
            self._rest(name, left[name])
            if name == "change":
                self._quoted(page.target)
        if page.cancellation is not None:
            self.texts(t("cancellation"), page.cancellation)
        elif page.author is not None:
            self.field(t("cancellation"), t("the standing text"))

    def _rest(self, name: str, value: Any) -> None:
        """Add one of the remaining fields."""
        t, label = self._t, self._t.term("field", name)
        match name, value:
            case (("event_at" | "expires_at" | "slot"), str()):
                self.field(label, *self.when(value))
            case (("challenge" | "read_back"), [*words]):
                self.foreign(label, "  ".join(map(str, words)))
            case "released_by", [*officers]:
                self.field(label, ", ".join(map(str, officers)))
            case "references", [*references]:
                self.field(label, ", ".join(str(msgspec.convert(each, Reference)) for each in references))
            case "of", dict():
                self.field(label, str(msgspec.convert(value, Reference)))
            case "change", dict():
                of = msgspec.convert(value["of"], Reference)
                self.field(label, t("{what} of {reference}", what=t.term("change", value["kind"]), reference=of))
            case (("decision" | "reason"), str()):
                self.field(label, t.term(name, value))
            case _:
                self.field(label, str(value))

    def act(self, shown: ShownAct) -> None:
        """Add an act: when, whose and what, and below it the text of its message."""
        t = self._t
        self.field(t.term("act", shown.act.act), *self.when(shown.act.at), act_in_words(shown.act, t))
        if shown.referral is not None:
            self.field("", t("referred to {channel}", channel=shown.referral))
        self._quoted(shown.text)

    def _quoted(self, texts: Texts) -> None:
        """Add the text of another message below the field that names it."""
        for language, text in texts.items():
            self.fields.append(PageField("", ((f"{language}:", "own"), (text, "foreign"))))


def act_in_words(act: Act, t: Translator) -> str:
    """Return whose act it is and what it says: `ndmc, duty-2: a reply will follow (ndmc/1/7)`."""
    who = f"{act.party}, {act.officer or t('the service')}" if act.act != "expired" else act.party
    said = [
        *([t.term("decision", act.decision)] if act.decision else []),
        *([t.term("reason", act.reason)] if act.reason else []),
    ]
    carried = f" ({act.reference})" if act.reference else ""
    return f"{who}{': ' if said else ''}{', '.join(said)}{carried}"


def acts_in_words(acts: Iterable[Act], t: Translator) -> Sequence[str]:
    """Return a line for each act, in which it is told apart by its time: for an error or a prompt."""
    return [f"{t.instant(parsed(act.at), 'UTC')} UTC: {t.term('act', act.act)}: {act_in_words(act, t)}" for act in acts]
