"""Shows an alert that is being written as the other side will see it, and what is wrong with it, field by field."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from endpoints.console import pages
from endpoints.console.composing import ComposedAlert, TypedAlert, compose, language_of
from endpoints.console.facts import Facts
from endpoints.console.screens.message_page import page_of_body
from endpoints.texts.i18n import LANGUAGES, Translator, translator
from endpoints.texts.item_page import ItemPage
from endpoints.texts.items import target_in


class FieldProblem(Struct, frozen=True):
    """What is wrong with one field, in the reader's language."""

    field: str
    why: str


def preview(typed: TypedAlert, facts: Facts, language: str, t: Translator, common: Mapping[str, object]) -> str:
    """Return the preview of what was typed, as HTML.

    Args:
        typed: the form's document.
        facts: what is known of the link.
        language: in which the alert is shown; if it is none of the console's, in the one that the other side reads.
        t: the language of the page, in which its author is warned.
        common: what every template may use.
    """
    composed = compose(typed, facts.link.terms.policy, facts.now, t)
    theirs = language_of(facts.peer, facts.link.terms)
    shown = translator(next((each for each in (language, theirs) if each in LANGUAGES), t.language))
    return pages.render(
        "preview",
        **common,
        t=shown,
        one=page_of_body(_page(composed, facts), facts, shown),
        warnings=composed.warnings,
        problems=[FieldProblem(each.field, t.say(each.why)) for each in composed.problems],
    )


def _page(composed: ComposedAlert, facts: Facts) -> ItemPage:
    ledger = None if facts.history is None else facts.history.ledger
    return ItemPage(
        reference="",
        kind="alert",
        state="",
        body=composed.body,
        target={} if ledger is None else target_in(ledger, composed.body),
    )
