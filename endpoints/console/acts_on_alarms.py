"""The act on an alarm: one officer has seen it and acts."""

from __future__ import annotations

from typing import Any

from endpoints.console.act_document import ActDocument, Asked, fits
from endpoints.console.facts import Facts
from endpoints.inputs.field_error import FieldError
from endpoints.texts.i18n import Translator
from protocol.core.link_keys import WORDS_ASKED
from protocol.phrases import phrase
from protocol.wire.messages import Word


class AcknowledgeAlarmAct(ActDocument, frozen=True, kw_only=True):
    """Acknowledge one alarm, `CODE/SUBJECT`; changed keys with words of the fingerprint."""

    alarm: str
    words: tuple[str, ...] = ()

    def ask(self, facts: Facts, t: Translator) -> Asked:
        """Return the request. Raises FieldError."""
        del facts, t
        code, _, subject = self.alarm.partition("/")
        fields: dict[str, Any] = {"code": code, "subject": subject}
        words = tuple(each.strip() for each in self.words)
        if words and not (len(words) == WORDS_ASKED and all(fits(each.lower(), Word) for each in words)):
            raise FieldError("words", phrase("type {count} words, as the other side reads them", count=WORDS_ASKED))
        return Asked("acknowledge-alarm", {**fields, **({"words": words} if words else {})})

    def said(self, reference: str, facts: Facts, t: Translator) -> str:
        """Return what was recorded."""
        return t("Recorded: {officer} has seen the alarm {alarm}, and acts.", officer=facts.officer, alarm=reference)
