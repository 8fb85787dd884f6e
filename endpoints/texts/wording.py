"""Describes the body of a message in one line for people, and what makes it old news."""

from __future__ import annotations

from typing import Any

import msgspec

from endpoints.texts.i18n import Translator
from endpoints.texts.printable import one_line
from protocol.core.staleness import Staleness
from protocol.errors import RemoteProtocolError
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import (
    Acknowledgement,
    Alert,
    AnyBody,
    Heartbeat,
    HeartbeatAnswer,
    Reference,
    Refusal,
    Texts,
    Utc,
)
from protocol.wire.payloads import read_body

_UNKNOWN_MAX = 200
_KM_M = 1_000


def decoded(body: dict[str, Any]) -> AnyBody | None:
    """Return the message that `body` is; None if it is of an unknown kind."""
    try:
        return read_body(body)
    except RemoteProtocolError:
        return None


def wording(body: dict[str, Any], t: Translator, zone: str = "UTC") -> str:
    """Return `body` in words, times on the wall clock of `zone`; a body of an unknown kind as JSON.

    It is one line, whatever the peer has written: what our side knows to be a field stands before the peer's own words,
    so that no name of a place and no text can pass for it.
    """
    return wording_of(decoded(body), body, t, zone)


def wording_of(said: AnyBody | None, body: dict[str, Any], t: Translator, zone: str) -> str:
    """Return what `wording` does, of a body that was decoded already."""
    return one_line(_wording(said, body, t, zone))


def moment(at: Utc, t: Translator, *zones: str) -> str:
    """Return an instant in UTC and on the wall clocks of `zones`; the date there only if it is another one."""
    instant = parsed(at)
    utc = t.instant(instant, "UTC")
    there = []
    for zone in dict.fromkeys(zones):
        local, time = t.instant(instant, zone), t.time(instant, zone)
        same_day = local.removesuffix(time) == utc.removesuffix(t.time(instant, "UTC"))
        there += [] if zone == "UTC" else [f"{time if same_day else local} {zone}"]
    return f"{utc} UTC ({', '.join(there)})" if there else f"{utc} UTC"


def circle(latitude: int, longitude: int, radius_m: int, t: Translator) -> str:
    """Return a circle, in micro-degrees and metres, in degrees and kilometres: `46.7758 N, 33.3706 E, radius 10 km`."""
    where = [
        f"{_degrees(latitude)} {t.term('compass', 'S' if latitude < 0 else 'N')}",
        f"{_degrees(longitude)} {t.term('compass', 'W' if longitude < 0 else 'E')}",
    ]
    if radius_m < _KM_M:
        where.append(t("radius {metres} m", metres=radius_m))
    else:
        where.append(t("radius {kilometres} km", kilometres=_decimal(radius_m, 3)))
    return ", ".join(where)


def _degrees(udeg: int) -> str:
    return _decimal(abs(udeg), 6)


def _decimal(value: int, places: int) -> str:
    """Return `value` / 10^`places` without an exponent and without closing zeros."""
    whole, part = divmod(value, 10**places)
    return f"{whole}.{part:0{places}}".rstrip("0").rstrip(".")


def local(at: Utc, t: Translator, zone: str) -> str:
    """Return an instant on the wall clock of `zone`, with the zone's name: `29 Nov 2022, 17:00:00 Europe/Berlin`."""
    return f"{t.instant(parsed(at), zone)} {zone}"


def utc(at: Utc) -> str:
    """Return an instant for a row: `2022-11-29 08:00:00.100`."""
    return at.removesuffix("Z").replace("T", " ")


def age_warning(
    stale: Staleness, t: Translator, now: Millis, zone: str = "UTC", *, arrived: Millis | None = None
) -> str:
    """Return what a view says before an old message (SPEC M8.4), such as `EXPIRED 3 days ago: `; else nothing.

    Args:
        stale: why it is not news.
        t: the language.
        now: when it is shown.
        zone: on whose wall clock instants are written.
        arrived: when it arrived here, if that is known: an alert that had expired by then was never valid here.
    """
    said = []
    if stale.expired_at is not None:
        expired = parsed(stale.expired_at)
        ago = t.ago((now - expired) / 1_000)
        late = arrived is not None and expired <= arrived
        said.append(t("EXPIRED BEFORE IT ARRIVED, {ago}", ago=ago) if late else t("EXPIRED {ago}", ago=ago))
    if stale.old_since is not None:
        said.append(t("OLD, sent {when}", when=local(stale.old_since, t, zone)))
    if stale.ahead_at is not None:
        said.append(t("DATED AHEAD, {when}", when=local(stale.ahead_at, t, zone)))
    return f"{'; '.join(said)}: " if said else ""


def _wording(said: AnyBody | None, body: dict[str, Any], t: Translator, zone: str) -> str:
    if said is None:
        text = msgspec.json.encode(body).decode()
        return text if len(text) <= _UNKNOWN_MAX else f"{text[:_UNKNOWN_MAX]}..."
    kind = t.term("kind", str(body["type"]))

    def about(what: str, reference: Reference) -> str:
        return t("{what} of {reference}", what=what, reference=reference)

    match said:
        case Heartbeat():
            slot = local(said.slot, t, zone) if said.slot else t("unscheduled")
            return f"{kind} ({slot}): {said.text} [{' '.join(said.challenge)}]"
        case HeartbeatAnswer():
            who = said.officer or t("the service")
            return f"{kind} {said.of}, {who}: {said.text} [{' '.join(said.read_back)}]"
        case Alert():
            head = [kind, t.term("precedence", said.precedence), t.term("status", said.status)]
            if said.change:
                head.append(about(t.term("change", said.change.kind), said.change.of))
            facts = [t.term("category", said.category), *_facts(said, t, zone)]
            where = f": {said.area.name}" if said.area else ""
            return f"{', '.join(head)}: {'; '.join(facts)}{where}: {_text(said.text, t)}"
        case Acknowledgement():
            text = f": {_text(said.text, t)}" if said.text else ""
            return f"{about(kind, said.of)}, {said.officer}: {t.term('decision', said.decision)}{text}"
        case Refusal():
            who = said.officer or t("the service")
            referral = f", {t('referred to {channel}', channel=said.referral)}" if said.referral else ""
            text = f": {_text(said.text, t)}" if said.text else ""
            return f"{about(kind, said.of)}, {who}: {t.term('reason', said.reason)}{referral}{text}"


def _facts(alert: Alert, t: Translator, zone: str) -> list[str]:
    """Return what an alert says besides its text, the place last, whose name follows."""
    return [
        t("event {when}", when=moment(alert.event_at, t, zone)),
        t("expires {when}", when=moment(alert.expires_at, t, zone)),
        t("released by {officers}", officers=", ".join(alert.released_by)),
        *([t("refers to {references}", references=", ".join(map(str, alert.references)))] if alert.references else []),
        *([circle(alert.area.latitude_udeg, alert.area.longitude_udeg, alert.area.radius_m, t)] if alert.area else []),
    ]


def _text(texts: Texts, t: Translator) -> str:
    """Return the text in the reader's language, else the first text."""
    return texts.get(t.language) or next(iter(texts.values()))


def session_began(t: Translator, session: str, role: str, officer: str) -> str:
    """Return that a session of a console began."""
    if role == "officer":
        return t("{officer} logged in at a console, session {session}", officer=officer, session=session)
    if role == "board":
        return t("a board began to show this link, session {session}", session=session)
    return t("an investigator began to read at a console, session {session}", session=session)


def session_ended(t: Translator, session: str, role: str, officer: str, why: str) -> str:
    """Return that a session of a console ended, and why."""
    why = t.term("session end", why)
    if role == "officer":
        return t("the session {session} of {officer} ended: {why}", session=session, officer=officer, why=why)
    if role == "board":
        return t("the session {session} of a board ended: {why}", session=session, why=why)
    return t("the session {session} of an investigator ended: {why}", session=session, why=why)
