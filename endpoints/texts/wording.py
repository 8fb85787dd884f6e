"""Describes the body of a message in one line for people, and what makes it old news."""

from __future__ import annotations

from typing import Any

import msgspec

from endpoints.texts.i18n import Translator
from endpoints.texts.printable import one_line
from protocol.core.staleness import Staleness
from protocol.errors import RemoteProtocolError
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Acknowledgement, Alert, Heartbeat, HeartbeatAnswer, Reference, Refusal, Texts
from protocol.wire.payloads import read_body

_UNKNOWN_MAX = 200


def wording(body: dict[str, Any], t: Translator, zone: str = "UTC") -> str:
    """Return `body` in words, times on the wall clock of `zone`; a body of an unknown kind as JSON.

    It is one line, whatever the peer has written.
    """
    return one_line(_wording(body, t, zone))


def age_warning(stale: Staleness, t: Translator, now: Millis, zone: str = "UTC") -> str:
    """Return what a view says before an old message (SPEC M8.4), such as `EXPIRED 3 days ago: `; else nothing.

    Args:
        stale: why it is not news.
        t: the language.
        now: when it is shown.
        zone: on whose wall clock instants are written.
    """
    said = []
    if stale.expired_at is not None:
        said.append(t("EXPIRED {ago}", ago=t.ago((now - parsed(stale.expired_at)) / 1_000)))
    if stale.old_since is not None:
        said.append(t("OLD, sent {when}", when=t.instant(parsed(stale.old_since), zone)))
    if stale.ahead_at is not None:
        said.append(t("DATED AHEAD, {when}", when=t.instant(parsed(stale.ahead_at), zone)))
    return f"{'; '.join(said)}: " if said else ""


def _wording(body: dict[str, Any], t: Translator, zone: str) -> str:
    try:
        said = read_body(body)
    except RemoteProtocolError:
        text = msgspec.json.encode(body).decode()
        return text if len(text) <= _UNKNOWN_MAX else f"{text[:_UNKNOWN_MAX]}..."
    kind = t.term("kind", str(body["type"]))

    def about(what: str, reference: Reference) -> str:
        return t("{what} of {reference}", what=what, reference=reference)

    match said:
        case Heartbeat():
            slot = t.instant(parsed(said.slot), zone) if said.slot else t("unscheduled")
            return f"{kind} ({slot}): {said.text} [{' '.join(said.challenge)}]"
        case HeartbeatAnswer():
            who = said.officer or t("the service")
            return f"{kind} {said.of}, {who}: {said.text} [{' '.join(said.read_back)}]"
        case Alert():
            head = [kind, t.term("precedence", said.precedence), t.term("status", said.status)]
            if said.change:
                head.append(about(t.term("change", said.change.kind), said.change.of))
            where = f" ({said.area.name})" if said.area else ""
            return f"{', '.join(head)}: {t.term('category', said.category)}{where}: {_text(said.text, t)}"
        case Acknowledgement():
            text = f": {_text(said.text, t)}" if said.text else ""
            return f"{about(kind, said.of)}, {said.officer}: {t.term('decision', said.decision)}{text}"
        case Refusal():
            who = said.officer or t("the service")
            referral = f", {t('referred to {channel}', channel=said.referral)}" if said.referral else ""
            text = f": {_text(said.text, t)}" if said.text else ""
            return f"{about(kind, said.of)}, {who}: {t.term('reason', said.reason)}{referral}{text}"


def _text(texts: Texts, t: Translator) -> str:
    """Return the text in the reader's language, else the first text."""
    return texts.get(t.language) or next(iter(texts.values()))
