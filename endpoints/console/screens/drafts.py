"""Drafts: alerts that wait for a second officer, each whole, with what is different from what was there before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, structs, to_builtins

from endpoints.console.facts import Facts
from endpoints.console.frame import duration_words
from endpoints.console.screen import NoSuchThing, Screen
from endpoints.console.screens.differences import DifferentField, differences
from endpoints.console.screens.journal_notes import JournalNote, journal_notes
from endpoints.console.screens.message_page import MessagePage, draft_page_of, page_of_body
from endpoints.console.screens.moments import Moment, Moments
from endpoints.inputs.alerts import contradiction, missing_languages
from endpoints.texts.i18n import Translator
from endpoints.texts.item_page import ItemPage
from endpoints.texts.items import changed_alert, draft_page
from endpoints.texts.printable import one_line
from endpoints.texts.wording import circle
from protocol.core.acts import Act
from protocol.core.officer_requests import STANDING_CANCELLATION
from protocol.core.snapshot import DraftView
from protocol.phrases import phrase
from protocol.record.ledger import Ledger
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Texts, Utc

FLASH_WAITS_MS: Final[Millis] = 300_000
"""How long a flash draft may wait before the board hints at it: half of the time in which a flash alert is handled."""
WORDS: Final = ("ACTUAL", "РЕАЛЬНО")
"""What the releasing officer retypes, one of them, before an actual alert leaves."""
CHECKED: Final = ("status", "category", "precedence", "place")
"""What the releasing officer ticks as read."""


class DraftComparison(Struct, frozen=True, kw_only=True):
    """What is different from an earlier alert or draft."""

    title: str
    items: tuple[DifferentField, ...]


class CheckedPoint(Struct, frozen=True, kw_only=True):
    """One point that the releasing officer ticks: its name, and what it says here."""

    name: str
    label: str
    says: str


class DraftCard(Struct, frozen=True, kw_only=True):
    """A draft that waits.

    Attributes:
        draft: `draft/3`; `number` is its number.
        page: the whole alert, as its recipient will see it.
        author: who wrote it.
        barred: why the reader can't release it, in words; empty if they can.
        written, age: when it was written, and how long ago.
        expires_at: until when it can be released.
        late: whether it is a flash alert that waits for long.
        warnings: what should be noticed before it is released.
        comparisons: what is different from the alert that it changes, and from the draft before it.
        points: what the releasing officer ticks.
        word: whether they retype that it is actual.
        release: the words of the button.
        writes_again: whether its texts can be written again.
    """

    draft: str
    number: str
    page: MessagePage
    author: str
    barred: str
    written: Moment
    age: str
    expires_at: Utc
    late: bool
    warnings: tuple[str, ...]
    comparisons: tuple[DraftComparison, ...]
    points: tuple[CheckedPoint, ...]
    word: bool
    release: str


class EndedDraft(Struct, frozen=True, kw_only=True):
    """A draft that does not wait any more: how it ended, in a sentence, and its page."""

    draft: str
    said: str
    sent: tuple[str, ...]
    page: MessagePage


class DraftsView(Struct, frozen=True, kw_only=True):
    """What the screen shows: all drafts that wait, or one; or how the one that was asked for has ended."""

    cards: tuple[DraftCard, ...] = ()
    one: DraftCard | None = None
    ended: EndedDraft | None = None
    known: bool = True
    notes: tuple[JournalNote, ...] = ()


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> DraftsView:
    """Return the drafts, or the one that follows the screen's name. Raises NoSuchThing."""
    del query
    moments, notes = Moments(facts, t), journal_notes(facts, t)
    waiting = () if facts.snapshot is None else facts.snapshot.drafts
    shown = [each for each in waiting if parsed(each.expires_at) > facts.now]
    if not facts.rest:
        ordered = sorted(shown, key=lambda each: (each.precedence != "flash", each.expires_at))
        cards = tuple(_card(each, facts, t, moments) for each in ordered)
        return DraftsView(cards=cards, known=facts.snapshot is not None, notes=notes)
    found = next((each for each in shown if each.draft == facts.rest), None)
    if found is not None:
        return DraftsView(one=_card(found, facts, t, moments), notes=notes)
    return DraftsView(ended=_ended(facts, t, moments), notes=notes)


def flash_waits(precedence: str, at: Utc, now: Millis) -> bool:
    """Return whether a draft is a flash alert that waits for a second officer for too long."""
    return precedence == "flash" and now - parsed(at) >= FLASH_WAITS_MS


def release_words(status: str, t: Translator) -> str:
    """Return the words of the button that releases an alert of a status."""
    return {
        "exercise": t("Release EXERCISE alert"),
        "actual": t("Release ACTUAL alert"),
        "test": t("Release TEST alert"),
    }[status]


def _card(draft: DraftView, facts: Facts, t: Translator, moments: Moments) -> DraftCard:
    ledger = None if facts.history is None else facts.history.ledger
    policy = facts.link.terms.policy
    page = draft_page(to_builtins(draft), t, _target(draft, ledger))
    warnings = (missing_languages(draft.text, policy, t), contradiction(draft.text, draft.status, t))
    return DraftCard(
        draft=draft.draft,
        number=draft.draft.removeprefix("draft/"),
        page=page_of_body(structs.replace(page, cancellation=_taking_back(draft)), facts, t),
        author=draft.officer,
        barred=_barred(draft.officer, facts, t),
        written=moments.of(draft.at),
        age=duration_words(facts.now - parsed(draft.at)),
        expires_at=draft.expires_at,
        late=flash_waits(draft.precedence, draft.at, facts.now),
        warnings=tuple(each for each in warnings if each),
        comparisons=tuple(_comparisons(draft, page, ledger, t)) if facts.texts else (),
        points=tuple(_points(draft, t)) if facts.officer else (),
        word=draft.status == "actual",
        release=release_words(draft.status, t),
    )


def _taking_back(draft: DraftView) -> Texts:
    """Return what a cancellation of the alert would say."""
    return draft.cancellation or {
        each: STANDING_CANCELLATION[each] for each in STANDING_CANCELLATION if each in draft.text
    }


def _barred(author: str, facts: Facts, t: Translator) -> str:
    """Return why the officer of the session cannot release a draft of `author`; empty if they can."""
    if facts.roster is not None and author not in facts.roster:
        return t("{officer}, who wrote it, is not enrolled here any more: it can only be discarded", officer=author)
    if author != facts.officer:
        return ""
    if facts.roster is not None and len(facts.roster) == 1:
        return t("no other officer is enrolled here, so nobody can release it")
    return t(
        "You wrote it, so you can't release it: another officer has to log in at their own browser and release it "
        "there."
    )


def _target(draft: DraftView, ledger: Ledger | None) -> Texts:
    """Return the texts of the alert that a draft changes, as far as the journal has it."""
    entry = None if ledger is None or draft.changes is None else ledger.entries.get(draft.changes)
    texts: Texts = {} if entry is None else entry.body.get("text", {})
    return texts


def _points(draft: DraftView, t: Translator) -> Iterator[CheckedPoint]:
    area = draft.area
    place = t("about no place")
    if area is not None:
        place = f"{one_line(area.name)}; {circle(area.latitude_udeg, area.longitude_udeg, area.radius_m, t)}"
    said = {
        "status": t.term("status", draft.status),
        "category": t.term("category", draft.category),
        "precedence": t.term("precedence", draft.precedence),
        "place": place,
    }
    labels = {name: t.term("field", "area" if name == "place" else name) for name in CHECKED}
    for name in CHECKED:
        yield CheckedPoint(name=name, label=labels[name], says=said[name])


def _comparisons(draft: DraftView, page: ItemPage, ledger: Ledger | None, t: Translator) -> Iterator[DraftComparison]:
    """Yield what is different from the alert that a draft changes, and from the draft before it, if that was not sent.

    An officer who discards a draft and writes it again makes the next one.
    """
    if ledger is None:
        return
    of = changed_alert(draft.item)
    entry = None if of is None else ledger.entries.get(of)
    if entry is not None:
        yield DraftComparison(
            title=t("Different from {reference}, which it changes", reference=entry.reference),
            items=differences(_compared(entry.body, {}), _compared(page.body, {}), t),
        )
    number = int(draft.draft.removeprefix("draft/"))
    before = max((each for each in ledger.drafts if each < number), default=None)
    end = None if before is None else ledger.drafts[before].end
    if before is not None and end is not None and not end.reference:
        item = ledger.drafts[before].item.item
        yield DraftComparison(
            title=t(
                "Different from {draft}, which was written before and not sent ({act})",
                draft=f"draft/{before}",
                act=t.term("act", end.act),
            ),
            items=differences(_compared(item, item), _compared(page.body, draft.item), t),
        )


def _compared(body: Mapping[str, Any] | str, with_cancellation: Mapping[str, Any]) -> ItemPage:
    """Return the page of an alert with what may be compared: who released it, and that it changes another, may not."""
    assert not isinstance(body, str), "an alert is known"
    left_out = {"released_by", "change", "cancellation", "type"}
    return ItemPage(
        reference="",
        kind="alert",
        state="",
        body={name: value for name, value in body.items() if name not in left_out},
        cancellation=with_cancellation.get("cancellation"),
        author="someone" if with_cancellation else None,
    )


def _ended(facts: Facts, t: Translator, moments: Moments) -> EndedDraft:
    """Return how the draft that the address names has ended. Raises NoSuchThing."""
    what, _, number = facts.rest.partition("/")
    ledger = None if facts.history is None else facts.history.ledger
    draft = None
    if ledger is not None and what == "draft" and number.isascii() and number.isdecimal():
        draft = ledger.drafts.get(int(number[:9]))
    if draft is None or ledger is None:
        raise NoSuchThing(
            phrase(
                "{draft}: there is no such draft; the page of drafts lists those that wait",
                draft=one_line(facts.rest[:60]),
            )
        )
    name = f"draft/{draft.draft}"
    sent = () if draft.end is None or not draft.end.reference else tuple(str(draft.end.reference).split("/"))
    return EndedDraft(
        draft=name,
        said=_end_words(name, draft.end, draft.raised.expires_at, t, moments),
        sent=sent,
        page=draft_page_of(draft, facts, ledger, t, moments),
    )


def _end_words(draft: str, end: Act | None, expires_at: Utc, t: Translator, moments: Moments) -> str:
    if end is None or end.act == "expired":
        at = moments.of(expires_at if end is None else end.at)
        return t(
            "{draft} expired at {time} UTC on {date}, and nothing was sent. Nobody can release it any more.",
            draft=draft,
            time=at.clock,
            date=at.date,
        )
    at = moments.of(end.at)
    if end.reference:
        return t(
            "{draft} was released by {officer} at {time} UTC on {date}, as {reference}.",
            draft=draft,
            officer=end.officer or "",
            time=at.clock,
            date=at.date,
            reference=end.reference,
        )
    return t(
        "{draft} was discarded by {officer} at {time} UTC on {date}, and nothing was sent.",
        draft=draft,
        officer=end.officer or "",
        time=at.clock,
        date=at.date,
    )


SCREEN = Screen(name="drafts", title="Drafts", key="d", view=view)
