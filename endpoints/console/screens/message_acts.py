"""The acts that an officer can do on a message now, for the forms below it."""

from __future__ import annotations

from typing import get_args

from msgspec import Struct

from endpoints.console.facts import Facts
from endpoints.console.screens.message_card import Written, texts_of
from endpoints.texts.channels import channel_name
from endpoints.texts.i18n import LANGUAGES, Translator
from protocol.core.alerts import AlertState
from protocol.record.ledger_entries import LedgerEntry
from protocol.wire.messages import Decision, RefusalReason

_CLOSED = {AlertState.REFUSED, AlertState.CANCELLED, AlertState.CHANGED}


class FormOption(Struct, frozen=True):
    """One choice of a form: its value, and its words."""

    value: str
    word: str


class MessageActs(Struct, frozen=True, kw_only=True):
    """The forms of a message, each without choices where it is not possible.

    Attributes:
        decisions: of an acknowledgement.
        reasons: of a refusal, with the `channels` of a referral.
        cancellation: what the cancellation of an alert of this side would say.
        languages: of the link, for texts; the screen's first.
        answers: the reference for an alert that answers this one, `changes` for one that changes it; empty for neither.
        test: whether it is a line test that waits for its answer here.
    """

    decisions: tuple[FormOption, ...] = ()
    reasons: tuple[FormOption, ...] = ()
    channels: tuple[FormOption, ...] = ()
    cancellation: tuple[Written, ...] = ()
    languages: tuple[str, ...] = ()
    answers: str = ""
    changes: str = ""
    test: bool = False

    @property
    def any(self) -> bool:
        """Whether there is something to do."""
        return bool(self.decisions or self.cancellation or self.answers or self.test)


def acts_of(entry: LedgerEntry, facts: Facts, t: Translator) -> MessageActs:
    """Return what the officer of the session can do on a message; nothing for other readers."""
    if not facts.officer or facts.snapshot is None:
        return MessageActs()
    reference = str(entry.reference)
    policy = facts.link.terms.policy
    languages = tuple(sorted(policy.languages, key=lambda each: (each != t.language, each not in LANGUAGES)))
    if entry.kind == "heartbeat":
        waits = not entry.own and any(each.reference == reference and not each.answer for each in facts.snapshot.tests)
        return MessageActs(test=waits)
    alert = next((each for each in facts.snapshot.alerts if each.reference == reference), None)
    if alert is None:
        return MessageActs()
    if entry.own:
        if alert.cancellation is None:
            return MessageActs()
        said = texts_of({"text": dict(alert.cancellation)}, t)
        return MessageActs(cancellation=said, changes=reference, languages=languages)
    if alert.state in _CLOSED:
        return MessageActs(answers=reference)
    return MessageActs(
        decisions=tuple(FormOption(each, t.term("decision", each)) for each in get_args(Decision)),
        reasons=tuple(FormOption(each, t.term("reason", each)) for each in get_args(RefusalReason)),
        channels=tuple(FormOption(each.id, channel_name(each, t)) for each in policy.channels),
        languages=languages,
        answers=reference,
    )
