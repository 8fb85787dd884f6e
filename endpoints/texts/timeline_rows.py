"""Writes an account as JSON values, and its rows as CSV that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, TextIO

import msgspec

from endpoints.texts.printable import one_line
from protocol.core.acts import Act
from protocol.record.clock_difference import ClockDifference, Exchange
from protocol.record.happenings import MESSAGE_STEPS
from protocol.record.reconcile import MessagePath, PathAct
from protocol.record.timeline import Account, Row
from protocol.wire.messages import Identifier, Reference

COLUMNS = (
    "at",
    "journal",
    "record",
    "what",
    "subject",
    "officer",
    "since",
    "detail",
    "proof",
    "signed_by",
    "kind",
    "status",
    "precedence",
    "category",
    "decision",
    "reason",
    "of",
    "event_at",
    "expires_at",
    "slot",
    "released_by",
    "place",
    "latitude",
    "longitude",
    "radius_m",
    "text",
)
"""The columns of CSV. Columns are added at the end, never renamed or removed."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula."""
_UDEG = 1_000_000


def document(account: Account) -> dict[str, Any]:
    """Return an account as JSON values, without what is known of the journals as files."""
    return {
        "link": account.link,
        "statuses": {str(epoch): status for epoch, status in account.statuses.items()},
        "since": account.since,
        "until": account.until,
        "summary": {
            "tests": {
                "due": len(account.slots),
                **{state: account.slots_in(state) for state in ("met", "late", "missed", "unknown", "open")},
                "unscheduled": account.unscheduled,
            },
            "line_ms": {state: account.length_ms(state) for state in ("proven", "not_proven", "blind")},
            "used": account.used,
            "uses": account.uses,
        },
        "slots": [
            {
                **msgspec.to_builtins(slot),
                "test": _named(slot.test),
                "answer": _named(slot.answer),
            }
            for slot in account.slots
        ],
        "line": [
            {
                "state": each.state,
                "since": each.since,
                "until": each.until,
                "reasons": [{"side": side, "reason": reason} for side, reason in each.reasons],
            }
            for each in account.line
        ],
        "clocks": [_clock(each) for each in account.clocks],
        "messages": [message_row(path) for path in account.messages.values()],
        "drafts": [
            {
                "side": side,
                "draft": name,
                "officer": draft.raised.officer,
                "held_at": draft.held_at,
                "item": draft.item.item,
                "end": None if draft.end is None else msgspec.to_builtins(draft.end),
            }
            for (side, name), draft in account.drafts.items()
        ],
        "rows": [
            {
                **msgspec.to_builtins(row.happening),
                "journal": row.journal,
                "proof": row.proof,
                "signed_by": row.signed_by or None,
            }
            for row in account.rows
        ],
    }


def message_row(path: MessagePath) -> dict[str, Any]:
    """Return a message with its texts and the acts on it, each with its officer, decision and times."""
    return {
        "sender": path.reference.sender,
        "epoch": path.reference.epoch,
        "seq": path.reference.seq,
        "kind": path.kind,
        "sent_at": path.sent_at,
        "received_at": path.received_at,
        "receipted_at": path.receipted_at,
        "acknowledged_at": path.acknowledged_at,
        "refused": path.refused,
        "change": path.change,
        "changed_by": _named(path.changed_by),
        "refused_by": path.refused_by,
        "state": path.state,
        "at": path.at,
        "body": path.body,
        "acts": [_act(each) for each in path.acts],
    }


def write_csv(account: Account, file: TextIO, about: tuple[Identifier, str] | None = None) -> None:
    """Write the rows of an account: one line each, in UTF-8, whatever the texts contain.

    `about` is whose journal it is, and what the table is, for the first row.
    """
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    if about is not None:
        writer.writerow({"what": "export", "journal": about[0], "detail": cell(about[1])})
    for row in account.rows:
        writer.writerow({name: cell(value) for name, value in _cells(row, account).items()})


def cell(value: object) -> object:
    """Return a value for a spreadsheet: a text on one line, behind an apostrophe where it would be a formula."""
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _cells(row: Row, account: Account) -> dict[str, Any]:
    happening = row.happening
    cells: dict[str, Any] = {
        "at": happening.at,
        "journal": row.journal,
        "record": happening.record,
        "what": happening.what,
        "subject": happening.subject,
        "officer": happening.officer,
        "since": happening.since,
        "detail": happening.detail,
        "proof": row.proof,
        "signed_by": row.signed_by,
    }
    body: dict[str, Any] = {}
    if happening.what in MESSAGE_STEPS and (path := account.messages.get(Reference.parse(happening.subject))):
        body = path.body
        cells["kind"] = path.kind
    elif happening.what == "draft_held" and (draft := account.drafts.get((row.journal, happening.subject))):
        body = draft.item.item
        cells["kind"] = "alert"
    return cells | dict(_of_body(body))


def _of_body(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the cells of a body. One that breaks the rules may hold anything, and is written as JSON."""
    plain = ("status", "precedence", "category", "decision", "reason", "event_at", "expires_at", "slot")
    for name in plain:
        if name in body:
            yield name, _text(body[name])
    if "of" in body:
        yield "of", _reference(body["of"])
    elif isinstance(body.get("change"), dict):
        yield "of", _reference(body["change"].get("of"))
    if isinstance(body.get("released_by"), list):
        yield "released_by", " ".join(map(str, body["released_by"]))
    if isinstance(area := body.get("area"), dict):
        yield "place", _text(area.get("name", ""))
        for name, key in (("latitude", "latitude_udeg"), ("longitude", "longitude_udeg")):
            if isinstance(area.get(key), int):
                yield name, area[key] / _UDEG
        if isinstance(area.get("radius_m"), int):
            yield "radius_m", area["radius_m"]
    if "text" in body:
        text, language = body["text"], body.get("language")
        # JSON keeps its languages and line breaks apart
        yield "text", _json({language: text} if isinstance(text, str) and isinstance(language, str) else text)


def _text(value: object) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _reference(value: object) -> str:
    try:
        return str(msgspec.convert(value, Reference))
    except msgspec.ValidationError:
        return _json(value)


def _act(each: PathAct) -> dict[str, Any]:
    act: Act = each.act
    text, language = each.body.get("text"), each.body.get("language")
    if isinstance(text, str):
        text = {language: text}
    return {
        **msgspec.to_builtins(act),
        "reference": str(act.reference),
        "recorded_at": each.recorded_at,
        **({"referral": each.body["referral"]} if "referral" in each.body else {}),
        # of an alert that changes another one, the message itself has the text
        **({"text": text} if text and each.body.get("type") != "alert" else {}),
    }


def _clock(each: ClockDifference) -> dict[str, Any]:
    return {
        "one": each.one,
        "other": each.other,
        "least": _bound(each.least),
        "most": _bound(each.most),
        "exchanges": each.exchanges,
        "changed_by_ms": each.changed_by_ms,
    }


def _bound(exchange: Exchange | None) -> dict[str, Any] | None:
    if exchange is None:
        return None
    return {
        "ahead_ms": exchange.bound_ms,
        "message": str(exchange.message),
        "by": "receipt" if exchange.receipt else "message",
        "at": exchange.at,
    }


def _named(reference: Reference | None) -> str | None:
    return None if reference is None else str(reference)
