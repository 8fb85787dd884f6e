"""Compose: an alert from the scope question to the credential, with what the other side will see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from endpoints.console.composing import TypedAlert, four_eyes, language_of, statuses
from endpoints.console.facts import Facts
from endpoints.console.screen import Screen
from endpoints.console.screens.message_card import BARS
from endpoints.inputs.alerts import EXPIRY_MAX_DAYS
from endpoints.inputs.places import typed_coordinates, typed_radius
from endpoints.inputs.texts import TEXT_MAX
from endpoints.texts.i18n import LANGUAGES, Translator
from endpoints.texts.printable import one_line
from protocol.core.officer_requests import STANDING_CANCELLATION
from protocol.phrases import Phrase, phrase
from protocol.wire.instants import parsed, written
from protocol.wire.messages import Reference

EXPIRES: Final = "6h"
"""As at the command line."""
_PRECEDENCES: Final = ("flash", "immediate", "priority", "routine")


class CategoryChoice(Struct, frozen=True, kw_only=True):
    """An answer to the scope question."""

    value: str
    word: str


class PrecedenceChoice(Struct, frozen=True, kw_only=True):
    """A precedence: how long its handling may take, and whether a second officer releases it."""

    value: str
    word: str
    bars: int
    within: str
    held: bool


class StatusChoice(Struct, frozen=True, kw_only=True):
    """A status, with the words of the button that sends at once, or that holds a draft."""

    value: str
    word: str
    send: str
    hold: str


class TextField(Struct, frozen=True, kw_only=True):
    """A text in one language: what stands in it at first, and who reads it."""

    language: str
    text: str
    theirs: bool


class ComposeView(Struct, frozen=True, kw_only=True):
    """The form.

    Attributes:
        key: names the form: what was typed into one is not kept for another.
        filled: what stands in its fields at first.
        notice: from which message it was filled, in words; `wrong` says that there is no such message.
        texts: one for each language of the link, this screen's first.
        cancellation: the texts prepared for its cancellation, likewise.
        now: date and time of day in UTC, to the minute.
    """

    key: str
    filled: TypedAlert
    notice: str
    wrong: str
    categories: tuple[CategoryChoice, ...]
    precedences: tuple[PrecedenceChoice, ...]
    statuses: tuple[StatusChoice, ...]
    texts: tuple[TextField, ...]
    cancellation: tuple[TextField, ...]
    text_max: int
    expiry_max_days: int
    now: str


def view(facts: Facts, query: Mapping[str, str], t: Translator) -> ComposeView:
    """Return the form, empty or filled from an earlier message.

    The query says from which: `draft=draft/3` writes a draft again, `updates=eucom/1/2` and `corrects=eucom/1/2` change
    an alert of this side, `answers=ndmc/1/4` refers to one of the other side.
    """
    policy = facts.link.terms.policy
    filled, notice, wrong = _filled(facts, query)
    theirs = language_of(facts.peer, facts.link.terms)
    order = sorted(policy.languages, key=lambda each: (each != t.language, each not in LANGUAGES))
    standing = {language: STANDING_CANCELLATION.get(language, "") for language in order}
    return ComposeView(
        key=_key(query) if notice is not None else "new",
        filled=filled,
        notice="" if notice is None else t.say(notice),
        wrong="" if wrong is None else t.say(wrong),
        categories=tuple(CategoryChoice(value=each, word=t.term("category", each)) for each in policy.categories),
        precedences=tuple(_precedences(facts, t)),
        statuses=tuple(
            StatusChoice(value=each, word=t.term("status", each), send=send_words(each, t), hold=hold_words(each, t))
            for each in statuses(policy)
        ),
        texts=_fields(filled.text, order, theirs),
        cancellation=_fields(filled.cancellation or standing, order, theirs),
        text_max=TEXT_MAX,
        expiry_max_days=EXPIRY_MAX_DAYS,
        now=written(facts.now)[:16].replace("T", " "),
    )


def send_words(status: str, t: Translator) -> str:
    """Return the words of the button that sends an alert of a status at once."""
    return {
        "exercise": t("Send EXERCISE alert"),
        "actual": t("Send ACTUAL alert"),
        "test": t("Send TEST alert"),
    }[status]


def hold_words(status: str, t: Translator) -> str:
    """Return the words of the button that holds an alert of a status for a second officer."""
    return {
        "exercise": t("Hold EXERCISE alert for a second officer"),
        "actual": t("Hold ACTUAL alert for a second officer"),
        "test": t("Hold TEST alert for a second officer"),
    }[status]


def _precedences(facts: Facts, t: Translator) -> Iterator[PrecedenceChoice]:
    policy = facts.link.terms.policy
    for each in _PRECEDENCES:
        yield PrecedenceChoice(
            value=each,
            word=t.term("precedence", each),
            bars=BARS[each],
            within=t.duration(getattr(policy.handling, each)),
            held=four_eyes(policy, each),
        )


def _fields(texts: Mapping[str, str], order: list[str], theirs: str) -> tuple[TextField, ...]:
    return tuple(TextField(language=each, text=texts.get(each, ""), theirs=each == theirs) for each in order)


# --- filled from an earlier message -----------------------------------------------------------------------------------

_SOURCES: Final = ("draft", "updates", "corrects", "answers")
_UNSENT: Final = "unsent-form"
_EMPTY: Final = TypedAlert(request=_UNSENT, event_at="now", expires=EXPIRES)


def _filled(facts: Facts, query: Mapping[str, str]) -> tuple[TypedAlert, Phrase | None, Phrase | None]:
    """Return what stands in the form, from which message it comes, and what is wrong with the address."""
    source = next((each for each in _SOURCES if query.get(each)), None)
    if source is None:
        return _EMPTY, None, None
    reference = query[source]
    body = _draft_body(facts, reference) if source == "draft" else _alert_body(facts, reference)
    if body is None:
        shown = one_line(reference[:60])
        return _EMPTY, None, phrase("{reference}: the journal has no such alert, so the form is empty", reference=shown)
    filled = _of_body(body, facts)
    match source:
        case "draft":
            return filled, phrase("Filled from {draft}, which stays as it is.", draft=reference), None
        case "updates" | "corrects":
            kind = "update" if source == "updates" else "correction"
            changed = structs.replace(filled, changes=reference, change_kind=kind, references="", cancellation={})
            if kind == "update":
                return changed, phrase("It updates {reference}, from which it is filled.", reference=reference), None
            return changed, phrase("It corrects {reference}, from which it is filled.", reference=reference), None
        case _:
            # what is said about it is new: only the matter and the place are the same
            answer = structs.replace(
                _EMPTY,
                category=filled.category,
                where=filled.where,
                place=one_line(filled.place),
                at=filled.at,
                radius=filled.radius,
                references=reference,
            )
            return answer, phrase("It refers to {reference} of the other side.", reference=reference), None


def _key(query: Mapping[str, str]) -> str:
    """Return from which message a form is filled, for its id."""
    return next(f"{each}-{query[each].replace('/', '-')}" for each in _SOURCES if query.get(each))


def _draft_body(facts: Facts, reference: str) -> Mapping[str, Any] | None:
    what, _, number = reference.partition("/")
    if facts.history is None or what != "draft" or not (number.isascii() and number.isdecimal()):
        return None
    draft = facts.history.ledger.drafts.get(int(number[:9]))
    return None if draft is None else draft.item.item


def _alert_body(facts: Facts, reference: str) -> Mapping[str, Any] | None:
    try:
        entry = None if facts.history is None else facts.history.ledger.entries.get(Reference.parse(reference))
    except ValueError:
        return None
    return entry.body if entry is not None and entry.kind == "alert" else None


def _of_body(body: Mapping[str, Any], facts: Facts) -> TypedAlert:
    """Return an alert as it would be typed. What has expired meanwhile gets the usual time."""
    policy = facts.link.terms.policy
    area, change = body.get("area"), body.get("change")
    ends = str(body.get("expires_at", ""))
    return TypedAlert(
        request=_UNSENT,
        status=body.get("status", "") if body.get("status") in statuses(policy) else "",
        category=body.get("category", ""),
        precedence=body.get("precedence", ""),
        text=dict(body.get("text", {})),
        where="none" if area is None else "place",
        place="" if area is None else area["name"],
        at="" if area is None else typed_coordinates(area["latitude_udeg"], area["longitude_udeg"]),
        radius="" if area is None else typed_radius(area["radius_m"]),
        event_at=_typed_instant(str(body.get("event_at", ""))),
        expires=_typed_instant(ends) if ends and parsed(ends) > facts.now else EXPIRES,
        cancellation=dict(body.get("cancellation", {})),
        references=" ".join(_reference(each) for each in body.get("references", ())),
        changes="" if change is None else _reference(change["of"]),
        change_kind="" if change is None else change["kind"],
    )


def _typed_instant(at: str) -> str:
    """Return an instant as it is typed: `2022-11-29 16:00:30 UTC`."""
    return f"{at[:10]} {at[11:19]} UTC" if at else "now"


def _reference(reference: Mapping[str, Any]) -> str:
    return str(msgspec.convert(reference, Reference))


SCREEN = Screen(name="compose", title="Compose", key="c", view=view, roles=frozenset({"officer"}))
