"""One message of a list: what it is, what it says, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from endpoints.console.facts import Facts
from endpoints.console.frame import Level
from endpoints.console.screens.moments import Moment, Moments
from endpoints.texts.i18n import LANGUAGES, Translator
from endpoints.texts.items import stale
from endpoints.texts.wording import age_warning, decoded, wording_of
from protocol.record.ledger_entries import SERVICE, LedgerEntry
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Utc

BRIEF_MAX: Final = 280
"""How much of a text a list shows: a hundred texts of 4,000 letters would be a page of many seconds."""
BARS: Final[Mapping[str, int]] = {"flash": 4, "immediate": 3, "priority": 2, "routine": 1}
"""Precedence is a word and bars, never a colour."""
PLACE_MAX: Final = 80
_LEVELS: Final[Mapping[str, Level]] = {
    "queued": "standby",
    "sent": "standby",
    "received": "normal",
    "receipted": "standby",
    "acknowledged": "normal",
    "will_reply": "caution",
    "refused": "serious",
    "changed": "unknown",
    "cancelled": "unknown",
    "undelivered": "critical",
}
_ANSWERED_KINDS: Final = ("alert", "heartbeat")


class Written(Struct, frozen=True, kw_only=True):
    """A text in one language, its label, and what is said of its rest where it is shortened."""

    label: str
    language: str
    text: str
    more: str = ""


class MessageCard(Struct, frozen=True, kw_only=True):
    """A message in a list.

    Attributes:
        reference: `eucom/1/42`; `parts` are its parts, for an address.
        own: whether this side sent it.
        kind, status, precedence, category, change: in words; empty where it has none. `bars` are those of precedence.
        level, state, who: how far it has come, and through whom.
        sent: when it was sent, by its sender's clock; `recorded` when this side recorded it.
        warning: what makes it old news.
        place: of an alert with one; foreign text.
        texts: in every language, this screen's first.
        summary: what a message without a text says, in words.
        due: until when it has to be handled, None if nothing runs.
    """

    reference: str
    parts: tuple[str, ...]
    own: bool
    kind: str
    status: str
    is_test: bool
    precedence: str
    bars: int
    category: str
    change: str
    level: Level
    state: str
    who: str
    sent: Moment
    recorded: Utc
    warning: str
    place: str
    texts: tuple[Written, ...]
    summary: str
    due: Utc | None


def recorded_at(entry: LedgerEntry) -> Utc:
    """Return when this side recorded a message: its sender's clock may be wrong."""
    return entry.queued_at or entry.received_at or entry.at


def level_of(entry: LedgerEntry) -> Level:
    """Return how urgent the state of a message is: what waits for an officer here is serious."""
    if entry.state == "received" and entry.kind in _ANSWERED_KINDS:
        return "serious"
    if entry.state == "receipted" and entry.kind not in _ANSWERED_KINDS:
        return "normal"
    return _LEVELS[entry.state]


def state_words(entry: LedgerEntry, t: Translator) -> str:
    """Return the state of a message in words; of one that waits for an officer here, that it does."""
    if entry.state == "received" and entry.kind in _ANSWERED_KINDS:
        return t("waits for an officer here")
    return t.term("way", entry.state)


def age_words(entry: LedgerEntry, t: Translator, now: Millis) -> str:
    """Return what makes a message old news, empty if nothing does."""
    arrived = None if entry.received_at is None else parsed(entry.received_at)
    old = stale(entry, now)
    return age_warning(old, t, now, arrived=arrived).removesuffix(": ") if old else ""


def texts_of(body: Mapping[str, Any], t: Translator, most: int | None = None) -> tuple[Written, ...]:
    """Return the texts of a body, the screen's language first, each shortened to `most` letters."""
    text, language = body.get("text"), body.get("language")
    if isinstance(text, str):
        text = {language if isinstance(language, str) else "": text}
    if not isinstance(text, dict):
        return ()
    order = [t.language, *(each for each in LANGUAGES if each != t.language)]
    known = sorted(text, key=lambda each: order.index(each) if each in order else len(order))
    return tuple(_written(each, str(text[each]), t, most) for each in known)


def _written(language: str, text: str, t: Translator, most: int | None) -> Written:
    left = 0 if most is None else len(text) - most
    if left <= 0:
        return Written(label=language, language=language, text=text)
    more = t.plural("and {count} more letter", "and {count} more letters", left)
    return Written(label=language, language=language, text=f"{text[:most]}…", more=more)


def shortened(text: str, most: int) -> str:
    """Return a text, shortened to `most` letters."""
    return text if len(text) <= most else f"{text[:most]}…"


def card(entry: LedgerEntry, facts: Facts, t: Translator, moments: Moments, due: Mapping[str, Utc]) -> MessageCard:
    """Return a message for a list; `due` has the deadlines that run, by reference."""
    body = entry.body
    reference = entry.reference
    said = decoded(body)
    known = {} if said is None else body
    texts = texts_of(known, t, BRIEF_MAX) if facts.texts else ()
    status = known.get("status", "")
    area = known.get("area") or {}
    change = known.get("change") or {}
    who = entry.refused_by or (entry.replied.officer or SERVICE if entry.replied else "")
    return MessageCard(
        reference=str(reference),
        parts=(reference.sender, str(reference.epoch), str(reference.seq)),
        own=entry.own,
        kind=t.term("kind", "unknown" if said is None else entry.kind),
        status=t.term("status", status) if status else "",
        is_test=status == "test",
        precedence=t.term("precedence", known["precedence"]) if "precedence" in known else "",
        bars=BARS.get(known.get("precedence", ""), 0),
        category=t.term("category", known["category"]) if "category" in known else "",
        change=t.term("change", change["kind"]) if change else "",
        level=level_of(entry),
        state=state_words(entry, t),
        who=t("the service") if who == SERVICE else who,
        sent=moments.of(entry.at),
        recorded=recorded_at(entry),
        warning=age_words(entry, t, facts.now),
        place=shortened(area.get("name", ""), PLACE_MAX),
        texts=texts,
        summary="" if texts or not facts.texts else wording_of(said, body, t, "UTC"),
        due=due.get(str(reference)),
    )
