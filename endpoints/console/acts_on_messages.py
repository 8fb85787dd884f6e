"""The acts on a message: acknowledge or refuse an alert of the other side, cancel one of this side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from endpoints.console.act_document import ActDocument, Asked, choice, said_to_peer, seen, texts
from endpoints.console.facts import Facts
from endpoints.inputs.field_error import FieldError
from endpoints.texts.i18n import Translator
from protocol.phrases import phrase
from protocol.wire.messages import Decision, RefusalReason


class AcknowledgeAct(ActDocument, frozen=True, kw_only=True):
    """Acknowledge an alert: understood, acting, or a reply will follow."""

    of: str
    decision: str = ""
    text: Mapping[str, str] = msgspec.field(default_factory=dict)

    def ask(self, facts: Facts, t: Translator) -> Asked:
        """Return the request. Raises FieldError."""
        del t
        decision = choice("decision", self.decision, get_args(Decision))
        said = texts("text", self.text, facts)
        return Asked(
            "acknowledge", {"of": self.of, "decision": decision, **({"text": said} if said else {}), **seen(self)}
        )

    def said(self, reference: str, facts: Facts, t: Translator) -> str:
        """Return what was said, and as which message."""
        what = f"{t.term('act', 'acknowledged')} ({self.of}), {t.term('decision', self.decision)}"
        return said_to_peer(reference, what, facts, t)


class RefuseAct(ActDocument, frozen=True, kw_only=True):
    """Refuse an alert, perhaps with a referral to another channel."""

    of: str
    reason: str = ""
    referral: str = ""
    text: Mapping[str, str] = msgspec.field(default_factory=dict)

    def ask(self, facts: Facts, t: Translator) -> Asked:
        """Return the request. Raises FieldError."""
        del t
        fields: dict[str, Any] = {"of": self.of, "reason": choice("reason", self.reason, get_args(RefusalReason))}
        if self.referral:
            known = tuple(channel.id for channel in facts.link.terms.policy.channels)
            fields["referral"] = choice("referral", self.referral, known)
        elif self.reason == "out_of_scope" and facts.link.terms.policy.channels:
            raise FieldError("referral", phrase("choose the channel where the matter belongs"))
        if said := texts("text", self.text, facts):
            fields["text"] = said
        return Asked("refuse", {**fields, **seen(self)})

    def said(self, reference: str, facts: Facts, t: Translator) -> str:
        """Return what was said, and as which message."""
        referral = f", {t('referred to {channel}', channel=self.referral)}" if self.referral else ""
        what = f"{t.term('act', 'refused')} ({self.of}), {t.term('reason', self.reason)}{referral}"
        return said_to_peer(reference, what, facts, t)


class CancelAct(ActDocument, frozen=True, kw_only=True):
    """Cancel an alert of this side, with the text that was prepared for it."""

    of: str

    def ask(self, facts: Facts, t: Translator) -> Asked:
        """Return the request. Raises FieldError."""
        del facts, t
        return Asked("cancel", {"of": self.of, **seen(self)})

    def said(self, reference: str, facts: Facts, t: Translator) -> str:
        """Return what was said, and as which message."""
        what = f"{t.term('act', 'cancelled')} ({self.of})"
        return said_to_peer(reference, what, facts, t)
