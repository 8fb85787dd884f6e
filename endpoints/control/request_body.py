"""Decodes the body of a request to the control socket, and says in words what is wrong with it.

An error names the field and what would be right: no path of JSON and no pattern reaches a person.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, TypeVar, get_args

import msgspec

from endpoints.texts.printable import printable
from protocol.core.event_fields import SessionRole
from protocol.errors import LocalProtocolError
from protocol.phrases import Phrase, phrase
from protocol.wire.characters import UNICODE, unassigned
from protocol.wire.messages import Category, Decision, Precedence, RefusalReason, Status

T = TypeVar("T")
_FIELD_MAX = 60
_PATH = re.compile(r"(?:`key` in )?`\$\.?(?P<path>[^`]*)`$")
_NAMED = re.compile(r"Object (?P<wrong>missing required|contains unknown) field `(?P<field>[^`]*)`")
_WRITTEN_BY_PEOPLE = {"text", "cancellation", "area", "why"}
_ID = phrase("an id of at most 32 lower-case letters, digits and hyphens")
_MESSAGE = phrase("a message such as eucom/1/42")
_NAME = phrase("8 to 64 letters, digits and hyphens")
_COUNT = phrase("whole numbers from 0 to 100000")
_INSTANT = phrase("an instant such as 2022-11-29T16:00:00.000Z")
_TEXT = phrase("1 to 4000 characters; of an alert, an acknowledgement and a refusal for each language")


def _one_of(choices: Any) -> Phrase:
    return phrase("one of {choices}", choices=", ".join(get_args(choices)))


EXPECTED: dict[str, Phrase] = {
    "request": phrase("8 to 64 letters, digits, dots, hyphens and underscores"),
    "officer": _ID,
    "credential": phrase("1 to 1024 characters"),
    "category": _one_of(Category),
    "precedence": _one_of(Precedence),
    "status": _one_of(Status),
    "decision": _one_of(Decision),
    "reason": _one_of(RefusalReason),
    "text": _TEXT,
    "cancellation": _TEXT,
    "expires_in_s": phrase("whole seconds from 1 to 2678400, which is 31 days"),
    "expires_at": _INSTANT,
    "event_at": _INSTANT,
    "area": phrase("a name, latitude_udeg, longitude_udeg and radius_m"),
    "name": phrase("1 to 200 characters"),
    "latitude_udeg": phrase("millionths of a degree from -90000000 to 90000000"),
    "longitude_udeg": phrase("millionths of a degree from -180000000 to 180000000"),
    "radius_m": phrase("whole metres from 0 to 20100000"),
    "references": phrase("at most 16 messages such as eucom/1/42"),
    "changes": _MESSAGE,
    "change_kind": phrase("one of {choices}", choices="update, correction"),
    "draft": phrase("the number of a draft, such as 3"),
    "seen": phrase("64 hexadecimal digits"),
    "of": _MESSAGE,
    "slot": phrase("the instant of a slot such as 2022-11-29T16:00:00.000Z, or null for an unscheduled test"),
    "words": phrase("three words of 1 to 40 characters"),
    "referral": _ID,
    "code": phrase("the code of an alarm, such as broker_unreachable"),
    "subject": phrase("the subject of an alarm, at most 200 characters"),
    "relieves": _ID,
    "why": phrase("1 to 200 characters"),
    "session": _NAME,
    "role": _one_of(SessionRole),
    "console": _NAME,
    "sessions": _COUNT,
    "screens": _COUNT,
    "armed": _COUNT,
    "closing": phrase("true or false"),
}
"""What each field of a request has to be, in words."""


def decode_request(body: bytes, kind: type[T]) -> T:
    """Return the request in `body`. Raises LocalProtocolError that names the wrong field.

    Some keyboards write an accented letter as two characters. The protocol accepts only the composed form (SPEC F4.4),
    so the text is composed here instead of refusing the officer.
    """
    try:
        composed = _composed(msgspec.json.decode(body))
        return msgspec.json.decode(msgspec.json.encode(composed), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = _in_words(str(error)) if isinstance(error, msgspec.ValidationError) else phrase("it is not JSON")
        raise LocalProtocolError(
            "bad_request", phrase("not a valid request for this action: {why}", why=why)
        ) from error


def _in_words(fault: str) -> Phrase:
    """Return what msgspec found, in words that name the field."""
    found = _PATH.search(fault)
    above = re.sub(r"\[.*?\]", "", found["path"]) if found else ""
    if named := _NAMED.match(fault):
        field = printable(f"{above}.{named['field']}".removeprefix("."))[:_FIELD_MAX]
        if named["wrong"] == "contains unknown":
            return phrase("{field} is unknown here", field=field)
        return phrase("{field} is missing: expected {expected}", field=field, expected=_expected(named["field"]))
    if not above:
        return phrase("expected a JSON object")
    return phrase("{field}: expected {expected}", field=above, expected=_expected(above.rpartition(".")[2]))


def _expected(field: str) -> Phrase:
    return EXPECTED.get(field) or phrase("another value")


def _composed(value: Any, at: str = "") -> Any:
    """Return `value` with its texts in normalization form C.

    Raises LocalProtocolError(not_writable), which names the field, for a character that no message may have: one that
    Unicode 14.0 does not know, or a control character other than a line break.
    """
    match value:
        case dict():
            return {key: _composed(each, f"{at}.{key}".removeprefix(".")) for key, each in value.items()}
        case list():
            return [_composed(each, at) for each in value]
        case str():
            text = unicodedata.normalize("NFC", value)
            # a credential is compared, but never sent
            if at != "credential":
                _require_writable(text, at)
            return text
        case _:
            return value


def _require_writable(text: str, at: str) -> None:
    field = printable(at)[:_FIELD_MAX]
    if (character := unassigned(text)) is not None:
        raise LocalProtocolError(
            "not_writable",
            phrase(
                "{field}: U+{code} is not a character of Unicode {unicode}, and the other side may not know it: "
                "write it in words",
                field=field,
                code=f"{ord(character):04X}",
                unicode=UNICODE,
            ),
        )
    if at.partition(".")[0] not in _WRITTEN_BY_PEOPLE:
        return
    for place, each in enumerate(text, 1):
        if unicodedata.category(each) == "Cc" and each != "\n":
            raise LocalProtocolError(
                "not_writable",
                phrase(
                    "{field}: character {place} is the control character U+{code}: write a space or a line break",
                    field=field,
                    place=place,
                    code=f"{ord(each):04X}",
                ),
            )
