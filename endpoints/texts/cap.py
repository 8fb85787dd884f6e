"""Writes a message as an alert of the Common Alerting Protocol, version 1.2 (OASIS).

One message is one XML document. CAP knows no line tests, no officers and no precedences: what it has no element for
stands in parameters, and what the link does not say, such as a severity, is `Unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias
from xml.etree import ElementTree as ET

from msgspec import UNSET

from endpoints.texts.i18n import Translator
from endpoints.texts.printable import one_line, printable
from protocol.core.acts import Act
from protocol.record.ledger import Ledger
from protocol.record.ledger_entries import LedgerEntry
from protocol.wire.messages import (
    Acknowledgement,
    Alert,
    AnyBody,
    Area,
    Heartbeat,
    HeartbeatAnswer,
    Reference,
    Refusal,
    Utc,
    references_of,
)

NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"
_STATUS: Final = {"actual": "Actual", "exercise": "Exercise", "test": "Test"}
_URGENCY: Final = {"flash": "Immediate", "immediate": "Immediate", "priority": "Expected", "routine": "Future"}
_CATEGORY: Final = {
    "critical_infrastructure": "Infra",
    "stray_munition": "Security",
    "airspace_transit": "Transport",
    "air_pursuit": "Security",
    "evacuation_of_nationals": "Rescue",
    "unintended_clash": "Security",
    "airspace_operation": "Transport",
}
_TYPES: Final = {"cancellation": "Cancel", "update": "Update", "correction": "Update"}
_UDEG: Final = 1_000_000
_M: Final = 1_000

_Element: TypeAlias = "tuple[str, str | list[_Element]]"
"""The name of an element, and its text or the elements in it."""

ET.register_namespace("", NAMESPACE)


def cap(entry: LedgerEntry, body: AnyBody, ledger: Ledger, statement: str, words: Mapping[str, Translator]) -> bytes:
    """Return a message as a CAP alert, in UTF-8.

    Args:
        entry: the message.
        body: its body, decoded.
        ledger: the journal's, for the messages that it refers to.
        statement: what the export is, in one line; it ends the note.
        words: the languages that the terms of the protocol are translated to; `en` is one of them.
    """
    reference, link = entry.reference, ledger.link
    others = [_party(link, party) for party in ledger.parties if party != reference.sender]
    references = _references(body, ledger)
    alert: list[_Element] = [
        ("identifier", _identifier(link, reference)),
        ("sender", _party(link, reference.sender)),
        ("sent", _instant(entry.at)),
        ("status", _status(reference, body, ledger)),
        ("msgType", _message_type(body)),
        ("scope", "Private"),
        ("addresses", " ".join(others)),
        ("note", "\n".join([*_own_note(body), *_elsewhere(body, ledger), one_line(statement)])),
        *([("references", " ".join(references))] if references else []),
        *(_info(entry, body, language, text, words.get(language, words["en"])) for language, text in _texts(body)),
    ]
    builder = ET.TreeBuilder()
    _build(("alert", alert), builder)
    root = builder.close()
    ET.indent(root, " ")
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _identifier(link: str, reference: Reference) -> str:
    return f"{link}/{reference}"


def _party(link: str, party: str) -> str:
    return f"{party}@{link}"


def _instant(at: Utc) -> str:
    """Return an instant as CAP writes one of UTC: to the second, and never with a Z."""
    return f"{at[:19]}-00:00"


def _status(reference: Reference, body: AnyBody, ledger: Ledger) -> str:
    """Return the status of a message; of an answer, that of what it answers."""
    if isinstance(body, Heartbeat | HeartbeatAnswer):
        return "Test"
    if isinstance(body, Alert):
        return _STATUS[body.status]
    about = ledger.entries.get(body.of)
    if about is not None and about.kind == "heartbeat":
        return "Test"
    said = None if about is None else about.body.get("status")
    return _STATUS.get(str(said)) or _STATUS[ledger.statuses.get(reference.epoch, "test")]


def _message_type(body: AnyBody) -> str:
    match body:
        case Acknowledgement() | HeartbeatAnswer():
            return "Ack"
        case Refusal():
            return "Error"
        case Alert() if body.change is not UNSET:
            return _TYPES[body.change.kind]
        case _:
            return "Alert"


def _references(body: AnyBody, ledger: Ledger) -> list[str]:
    """Return the messages that CAP's receivers have to find: a change replaces only the alert that it changes."""
    meant: Iterable[Reference] = references_of(body)
    if isinstance(body, Alert) and body.change is not UNSET:
        meant = (body.change.of,)
    found = [(each, ledger.entries.get(each)) for each in dict.fromkeys(meant)]
    return [
        ",".join([_party(ledger.link, each.sender), _identifier(ledger.link, each), _instant(entry.at)])
        for each, entry in found
        if entry is not None
    ]


def _elsewhere(body: AnyBody, ledger: Ledger) -> list[str]:
    """Return the messages that it refers to and that are not in this journal: CAP refers only with their instant."""
    return [f"of: {each}" for each in dict.fromkeys(references_of(body)) if each not in ledger.entries]


def _own_note(body: AnyBody) -> list[str]:
    """Return what an answer says, one line each; foreign text can't begin another one."""
    match body:
        case Acknowledgement():
            lines = [f"{body.decision}: {body.officer}"]
        case Refusal():
            who = body.by if body.officer is UNSET else body.officer
            lines = [f"{body.reason}: {who}" + ("" if body.referral is UNSET else f" ({body.referral})")]
        case _:
            return []
    texts = {} if body.text is UNSET else body.text
    return lines + [f"{language}: {one_line(text)}" for language, text in texts.items()]


def _texts(body: AnyBody) -> list[tuple[str, str]]:
    match body:
        case Alert():
            return list(body.text.items())
        case Heartbeat() | HeartbeatAnswer():
            return [(body.language, body.text)]
        case _:
            return []


def _info(entry: LedgerEntry, body: AnyBody, language: str, text: str, t: Translator) -> _Element:
    """Return what a message says in one language."""
    alert = body if isinstance(body, Alert) else None
    info: list[_Element] = [
        ("language", language),
        ("category", "Other" if alert is None else _CATEGORY[alert.category]),
        ("event", t.term("kind", entry.kind) if alert is None else t.term("category", alert.category)),
        ("urgency", "Unknown" if alert is None else _URGENCY[alert.precedence]),
        ("severity", "Unknown"),
        ("certainty", "Unknown"),
    ]
    if alert is not None:
        info += [
            ("eventCode", _named("category", alert.category)),
            ("onset", _instant(alert.event_at)),
            ("expires", _instant(alert.expires_at)),
        ]
    info += [("senderName", entry.reference.sender), ("description", printable(text))]
    info += [("parameter", _named(name, one_line(value))) for name, value in _parameters(entry, body)]
    if alert is not None and alert.area is not UNSET:
        info.append(("area", _area(alert.area)))
    return "info", info


def _named(name: str, value: str) -> list[_Element]:
    return [("valueName", f"deconfliction-link:{name}"), ("value", value)]


def _parameters(entry: LedgerEntry, body: AnyBody) -> list[tuple[str, str]]:
    """Return what CAP has no element for: each with a name."""
    found = [("reference", str(entry.reference)), ("digest", entry.digest), ("at", entry.at), ("state", entry.state)]
    times = ("queued_at", "sent_at", "received_at", "receipted_at")
    found += [(name, at) for name in times if (at := getattr(entry, name)) is not None]
    match body:
        case Alert():
            found += [("precedence", body.precedence), ("released_by", " ".join(body.released_by))]
            if body.change is not UNSET:
                found.append(("change", body.change.kind))
            if body.references is not UNSET:
                found.append(("references", " ".join(map(str, body.references))))
        case Heartbeat():
            found.append(("challenge", " ".join(body.challenge)))
            if body.slot is not UNSET:
                found.append(("slot", body.slot))
        case HeartbeatAnswer():
            found.append(("read_back", " ".join(body.read_back)))
            found.append(("officer", "service" if body.officer is UNSET else body.officer))
        case _:
            pass
    return found + [("act", _act(each)) for each in entry.acts]


def _act(act: Act) -> str:
    words = (act.act, act.party, act.officer or "service", act.at)
    return " ".join([*words, "" if act.reference is UNSET else str(act.reference)]).strip()


def _area(area: Area) -> list[_Element]:
    """Return a circle, in degrees and kilometres."""
    latitude, longitude = (_decimal(each, _UDEG, 6) for each in (area.latitude_udeg, area.longitude_udeg))
    circle = f"{latitude},{longitude} {_decimal(area.radius_m, _M, 3)}"
    return [("areaDesc", one_line(area.name)), ("circle", circle)]


def _decimal(value: int, unit: int, places: int) -> str:
    whole, part = divmod(abs(value), unit)
    return f"{'-' if value < 0 else ''}{whole}.{part:0{places}}"


def _build(element: _Element, builder: ET.TreeBuilder) -> None:
    """Add an element, with all that is in it, to a document."""
    name, content = element
    builder.start(f"{{{NAMESPACE}}}{name}", {})
    if isinstance(content, str):
        builder.data(content)
    else:
        for each in content:
            _build(each, builder)
    builder.end(f"{{{NAMESPACE}}}{name}")
