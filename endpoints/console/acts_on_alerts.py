"""The acts on this side's own alerts before they leave: write one, release or discard a draft."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from endpoints.console.act_document import ActDocument, Asked, said_to_peer, seen
from endpoints.console.composing import TypedAlert, compose
from endpoints.console.facts import Facts
from endpoints.console.screens.drafts import CHECKED, WORDS
from endpoints.inputs.field_error import FieldError
from endpoints.texts.i18n import Translator
from protocol.core.snapshot import DraftView
from protocol.phrases import phrase

DraftNumber = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,8}\Z")]


class AlertAct(TypedAlert, frozen=True, kw_only=True):
    """Send an alert, or hold it for a second officer, as its precedence demands."""

    def ask(self, facts: Facts, t: Translator) -> Asked:
        """Return the request. Raises FieldError for the first field that is wrong."""
        return Asked("alert", compose(self, facts.link.terms.policy, self.asked_when(facts.now), t).request())

    def said(self, reference: str, facts: Facts, t: Translator) -> str:
        """Return what was sent, or that it waits for a second officer."""
        status = t.term("status", self.status or facts.link.terms.policy.status)
        what = f"{status}, {t.term('precedence', self.precedence)}, {t.term('category', self.category)}"
        if reference.startswith("draft/"):
            return t(
                "Held as {draft}: {what}. Nothing was sent yet; it waits for a second officer.",
                draft=reference,
                what=what,
            )
        return said_to_peer(reference, what, facts, t)


class ReleaseAct(ActDocument, frozen=True, kw_only=True):
    """Release a draft of another officer: each point ticked, and of an actual alert its word retyped."""

    draft: DraftNumber
    checked: tuple[str, ...] = ()
    word: str = ""

    def ask(self, facts: Facts, t: Translator) -> Asked:
        """Return the request. Raises FieldError."""
        del t
        missing = [each for each in CHECKED if each not in self.checked]
        if missing:
            raise FieldError("checked", phrase("tick each of the four once you have read it"))
        if _is_actual(self.draft, facts) and self.word.strip().upper() not in WORDS:
            why = phrase("retype the word {words}: this alert is no exercise", words=" / ".join(WORDS))
            raise FieldError("word", why)
        return Asked("release", {"draft": int(self.draft), **seen(self)})

    def said(self, reference: str, facts: Facts, t: Translator) -> str:
        """Return what was released, and as which message."""
        return t(
            "Released as {officer}: draft/{draft} was sent to {peer} as {reference}.",
            officer=facts.officer,
            draft=self.draft,
            peer=facts.peer,
            reference=reference,
        )


class DiscardAct(ActDocument, frozen=True, kw_only=True):
    """Discard a draft; its author may, too."""

    draft: DraftNumber

    def ask(self, facts: Facts, t: Translator) -> Asked:
        """Return the request. Raises FieldError."""
        del facts, t
        return Asked("cancel", {"draft": int(self.draft), **seen(self)})

    def said(self, reference: str, facts: Facts, t: Translator) -> str:
        """Return what was discarded."""
        return t("Discarded as {officer}: {draft}. Nothing was sent.", officer=facts.officer, draft=reference)


def _is_actual(number: str, facts: Facts) -> bool:
    """Return whether a draft is an actual alert; one that is not known here is, where the link is not an exercise."""
    drafts: tuple[DraftView, ...] = () if facts.snapshot is None else facts.snapshot.drafts
    ended: dict[str, Any] = {} if facts.snapshot is None else dict(facts.snapshot.drafts_ended)
    found = next((each for each in drafts if each.draft == f"draft/{number}"), None)
    if found is not None:
        return found.status == "actual"
    # how it ended is what the endpoint answers then
    return facts.link.terms.policy.status == "actual" and f"draft/{number}" not in ended
