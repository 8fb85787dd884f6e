"""Messages: two columns by sender, newest last, with what waits for an officer on top; and one message as a ladder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final, Literal

from msgspec import Struct

from endpoints.console.facts import Facts
from endpoints.console.screen import NoSuchThing, Screen
from endpoints.console.screens.journal_notes import JournalNote, journal_notes
from endpoints.console.screens.message_card import MessageCard, card
from endpoints.console.screens.message_page import MessagePage, draft_page_of, message_page_of
from endpoints.console.screens.moments import Moment, Moments
from endpoints.control.open_items import OpenItem
from endpoints.texts.i18n import Translator
from endpoints.texts.printable import one_line
from protocol.phrases import phrase
from protocol.record.ledger_entries import LedgerEntry
from protocol.wire.messages import Reference, Utc

ROWS: Final = 100
"""Messages on one page, both columns together."""
PINNED_MAX: Final = 20
"""How many waiting messages stand on top: with more, the list itself is the better view."""
Kind = Literal["all", "alerts", "tests"]
_KINDS: Final[Mapping[Kind, Callable[[LedgerEntry], bool]]] = {
    "all": lambda _: True,
    "alerts": lambda entry: entry.kind not in {"heartbeat", "heartbeat_answer"},
    "tests": lambda entry: entry.kind in {"heartbeat", "heartbeat_answer"},
}


class Column(Struct, frozen=True, kw_only=True):
    """The messages of one sender, oldest first."""

    id: str
    title: str
    party: str
    cards: tuple[MessageCard, ...]


class Choice(Struct, frozen=True, kw_only=True):
    """One choice of a filter."""

    value: str
    word: str
    here: bool


class WaitingDraftRow(Struct, frozen=True, kw_only=True):
    """A draft that waits for a second officer."""

    draft: str
    officer: str
    precedence: str
    category: str
    written: Moment
    expires_at: Utc


class MessagesView(Struct, frozen=True, kw_only=True):
    """What the screen shows: lists, or one message.

    Attributes:
        one: the message or draft that was asked for; None for the lists.
        pinned: what waits for an officer of either side, flash first, then by deadline.
        drafts: what waits for its release here.
        columns: this side's messages, then the other side's.
        kinds: the filter.
        older, newer: the cursors of the pages around this one, empty for none.
        total: how many messages there are, of the chosen kinds.
        notes: what the journal lacks.
        next_due: the next line test, for a list without messages.
    """

    one: MessagePage | None = None
    pinned: tuple[MessageCard, ...] = ()
    drafts: tuple[WaitingDraftRow, ...] = ()
    columns: tuple[Column, ...] = ()
    kinds: tuple[Choice, ...] = ()
    kind: Kind = "all"
    older: str = ""
    newer: str = ""
    total: int = 0
    notes: tuple[JournalNote, ...] = ()
    next_due: Moment | None = None


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> MessagesView:
    """Return the lists, or the message whose reference follows the screen's name. Raises NoSuchThing."""
    moments = Moments(facts, t)
    notes = journal_notes(facts, t)
    if facts.rest:
        return MessagesView(one=_one(facts, t, moments), notes=notes)
    due = {item.reference: item.due_at for item in _waiting(facts) if item.due_at is not None}
    kind: Kind = next((each for each in _KINDS if each == query.get("kind")), "all")
    entries = [] if facts.history is None else list(facts.history.ledger.entries.values())
    chosen = [each for each in entries if _KINDS[kind](each)]
    page, older, newer = _page(chosen, query)
    cards = [card(each, facts, t, moments, due) for each in page]
    peer = facts.link.peer_of(facts.side) if facts.side in facts.link.parties else ""
    columns = (
        Column(id="own", title=t("from here"), party=facts.side, cards=tuple(each for each in cards if each.own)),
        Column(id="theirs", title=t("from them"), party=peer, cards=tuple(each for each in cards if not each.own)),
    )
    words = {"all": t("everything"), "alerts": t("alerts and replies"), "tests": t("line tests")}
    next_slot = None if facts.status is None else facts.status.next_slot
    return MessagesView(
        pinned=tuple(_pinned(facts, t, moments, due)),
        drafts=tuple(_drafts(facts, t, moments)),
        columns=columns,
        kinds=tuple(Choice(value=each, word=word, here=each == kind) for each, word in words.items()),
        kind=kind,
        older=older,
        newer=newer,
        total=len(chosen),
        notes=notes,
        next_due=moments.maybe(next_slot),
    )


def _waiting(facts: Facts) -> Iterable[OpenItem]:
    return () if facts.status is None else (*facts.status.open, *facts.status.awaited)


def _page(entries: list[LedgerEntry], query: Mapping[str, str]) -> tuple[list[LedgerEntry], str, str]:
    """Return the entries of a page, and the cursors before and after it.

    `before=REF` asks for what was recorded before a message, `after=REF` for what was recorded after it.
    """
    places = {str(each.reference): place for place, each in enumerate(entries)}
    begin = max(0, len(entries) - ROWS)
    if (place := places.get(query.get("before", ""))) is not None:
        begin = max(0, place - ROWS)
    elif (place := places.get(query.get("after", ""))) is not None:
        begin = min(place + 1, begin)
    end = min(begin + ROWS, len(entries)) if "before" not in query or place is None else place
    page = entries[begin:end]
    older = str(page[0].reference) if begin > 0 and page else ""
    newer = str(page[-1].reference) if end < len(entries) and page else ""
    return page, older, newer


def _pinned(facts: Facts, t: Translator, moments: Moments, due: Mapping[str, Utc]) -> Iterable[MessageCard]:
    ledger = None if facts.history is None else facts.history.ledger
    for item in islice(_waiting(facts), PINNED_MAX):
        entry = None if ledger is None else ledger.entries.get(Reference.parse(item.reference))
        if entry is not None:
            yield card(entry, facts, t, moments, due)


def _drafts(facts: Facts, t: Translator, moments: Moments) -> Iterable[WaitingDraftRow]:
    for draft in () if facts.status is None else facts.status.drafts[:PINNED_MAX]:
        yield WaitingDraftRow(
            draft=draft.draft,
            officer=draft.officer,
            precedence=t.term("precedence", draft.precedence),
            category=t.term("category", draft.category),
            written=moments.of(draft.at),
            expires_at=draft.expires_at,
        )


def _one(facts: Facts, t: Translator, moments: Moments) -> MessagePage:
    """Return the page of the message or draft that the address names. Raises NoSuchThing."""
    ledger = None if facts.history is None else facts.history.ledger
    what, _, number = facts.rest.partition("/")
    if ledger is not None and what == "draft" and number.isdecimal() and number.isascii():
        draft = ledger.drafts.get(int(number[:9]))
        if draft is not None:
            return draft_page_of(draft, facts, ledger, t, moments)
    try:
        entry = None if ledger is None else ledger.entries.get(Reference.parse(facts.rest))
    except ValueError:
        entry = None
    if entry is None or ledger is None:
        raise NoSuchThing(
            phrase(
                "{reference}: the journal has no such message; the page of messages lists all",
                reference=one_line(facts.rest[:60]),
            )
        )
    return message_page_of(entry, facts, ledger, t, moments)


SCREEN = Screen(name="messages", title="Messages", key="m", view=view)
