"""Makes the schemas of what is signed: frames, payloads, bodies; and of journals' records and signed heads."""

from __future__ import annotations

import re
from functools import reduce
from operator import or_

import msgspec

from protocol.record.journal import _LINES, HEAD_TYPE, HeadClaim
from protocol.wire import envelope
from protocol.wire.canonical import DEPTH_MAX
from protocol.wire.envelope import PAYLOAD_TYPES, SIGNATURE_BYTES, SIGNATURES_MAX
from protocol.wire.messages import (
    FRAME_MAX_BYTES,
    INTEGER_MAX,
    MESSAGE_MAX_BYTES,
    AnyBody,
    MessagePayload,
    ReceiptPayload,
)
from tests.contracts.typed import BASE64, END, INSTANT, Schema, components, document, headed, walked

TEXT = r"^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff]*$"
"""No control characters but newline, no noncharacters of the first plane (SPEC F4.4)."""
KEY = r"^[\u0000-\u007f]*$"
"""ASCII (SPEC F4.5)."""
CANONICAL = "CanonicalValue"

BEYOND_A_SCHEMA = (
    "What no schema can say: the bytes are canonical (RFC 8785: order of keys, no white space, no `-0`, no `1.0`, no"
    f" key twice), nested at most {DEPTH_MAX} deep, in Unicode normalization form C, of characters of Unicode 14.0."
)


def frame() -> Schema:
    """Return the schema of a frame, a DSSE envelope."""
    (_,), defs = components([envelope._TextEnvelope])
    made, signature = defs["_TextEnvelope"], defs["_TextSignature"]
    fields = made["properties"]
    fields["payloadType"] = {"enum": list(PAYLOAD_TYPES.values()), "description": "SPEC F2"}
    fields["payload"] = _base64("The payload's canonical bytes (SPEC F1.1).", FRAME_MAX_BYTES)
    fields["signatures"]["items"] = {"$ref": "#/$defs/Signature"}
    signature["properties"]["keyid"] |= {"pattern": TEXT, "description": "Only a hint: it decides nothing (SPEC F3.5)."}
    signature["properties"]["sig"] = {
        "type": "string",
        "contentEncoding": "base64",
        "pattern": "^(?:" + "|".join(_base64_of(size) for size in SIGNATURE_BYTES.values()) + ")" + END,
        "description": "Over DSSE's pre-authentication encoding (SPEC F1.2), as long as an algorithm's: "
        + ", ".join(f"{name} {size} bytes" for name, size in SIGNATURE_BYTES.items()),
    }
    return headed(
        "Frame",
        f"What travels on a message or receipt topic (SPEC F1.1): at most {FRAME_MAX_BYTES} bytes, and 1 to"
        f" {SIGNATURES_MAX} signatures. {BEYOND_A_SCHEMA} Nor whether a signature is good, and of whom (SPEC F3.5).",
        {name: value for name, value in made.items() if name != "title"},
        {"Signature": {name: value for name, value in signature.items() if name != "title"}},
    )


def message_payload() -> Schema:
    """Return the schema of the payload of a message frame."""
    return _canonical(
        document(
            "MessagePayload",
            f"The payload of a message frame (SPEC M1.1). Each body is judged by itself (SPEC M7.1): body.schema.json."
            f" A message has at most {MESSAGE_MAX_BYTES} canonical bytes (SPEC F6.2). {BEYOND_A_SCHEMA} Nor that `seq`"
            " follows without a gap, that `prev` is the hash of the message before, and that the address is the topic's"
            " (SPEC F3.7, M1.2, M2.2).",
            MessagePayload,
        )
    )


def receipt_payload() -> Schema:
    """Return the schema of the payload of a receipt frame."""
    return _canonical(
        document(
            "ReceiptPayload",
            f"The payload of a receipt frame (SPEC R1.1). {BEYOND_A_SCHEMA} Nor whether `head` is the hash of message"
            " `upto` (SPEC R3).",
            ReceiptPayload,
        )
    )


def body() -> Schema:
    """Return the schema of the bodies of messages."""
    made = _canonical(
        document(
            "Body",
            f"The body of a message: one of five types (SPEC B1 to B5). {BEYOND_A_SCHEMA} Nor what a body has to"
            " do with the policy and with other messages: categories, languages, four eyes, references (SPEC M7, P1).",
            AnyBody,
        )
    )
    # SPEC B5.1: an officer's refusal names them, a service's names nobody
    made["$defs"]["Refusal"] |= {
        "if": {"properties": {"by": {"const": "officer"}}},
        "then": {"required": ["officer"]},
        "else": {"properties": {"officer": False}},
    }
    return made


def signed_head() -> Schema:
    """Return the schema of the payload of a journal's signed head."""
    return _canonical(
        document(
            "SignedHead",
            f"The payload of a signed head, in an envelope of type `{HEAD_TYPE}`: record `n` of this side's journal has"
            f" this hash. {BEYOND_A_SCHEMA} Nor whether the record has that hash.",
            HeadClaim,
        )
    )


def record() -> Schema:
    """Return the schema of the records of journals, one of each event and each of the journal's own entries."""
    entries = {line.__name__.removesuffix("Line"): entry for line, (entry, _) in _LINES.items()}
    _, known = components([reduce(or_, entries.values())])
    (found,), defs = components([reduce(or_, _LINES)], also={f"{name}Line": each for name, each in entries.items()})
    for name in entries:
        # the wrapping of a line is not described by its event
        line = defs.pop(f"{name}Line")
        assert name not in defs, f"{name} is an event and something else"
        line["properties"]["at"] = {"type": "string", "pattern": INSTANT, "format": "date-time"}
        line["properties"] |= {key: line["properties"][key] | {"description": said} for key, said in _AROUND.items()}
        defs[name] = line | {"title": name, "description": known[name].get("description", name)}
    found = _renamed(found)
    return headed(
        "Record",
        "A line of a journal (docs/journal.md), which is also the structured log: lines without `n` are no"
        " records. What no schema can say: that the line is spelt as a journal spells it (order of keys, no white"
        " space), that `hash` is the SHA-256 of the bytes before it, that `prev`"
        " is the hash of the record before, that `n` follows, and"
        " that the effects are those of the event: `deconflict log verify` and `replay` say it.",
        found,
        _renamed(defs),
    )


_AROUND = {
    "n": "the number of the record, from 1",
    "batch": "the first `n` of the records that reached the disk with one flush",
    "at": "when it happened, by this machine's wall clock",
    "mono": "milliseconds of a clock that counts through sleep and never steps",
    "effects": "what followed from it, in order",
    "prev": "the `hash` of the record before; 64 zeros in record 1",
    "hash": 'the SHA-256 of the line\'s bytes before `,"hash":`',
}


def _renamed(value: Schema) -> Schema:
    """Return schemas that refer to a record by the name of its event."""
    return walked(
        value,
        lambda each: each | {"$ref": re.sub("Line$", "", each["$ref"])} if isinstance(each.get("$ref"), str) else each,
    )


def _canonical(schema: Schema) -> Schema:
    """Return a schema whose strings and open objects are what is admitted in canonical JSON (SPEC F4.1 to F4.5)."""
    made = walked(schema, _admitted)
    if f"#/$defs/{CANONICAL}" in msgspec.json.encode(made).decode():
        made.setdefault("$defs", {})[CANONICAL] = {
            "description": "A value of canonical JSON: no null, no fraction (SPEC F4.1, F4.2).",
            "anyOf": [
                {"type": "string", "pattern": TEXT},
                {"type": "integer", "minimum": -INTEGER_MAX, "maximum": INTEGER_MAX},
                {"type": "boolean"},
                {"type": "array", "items": {"$ref": f"#/$defs/{CANONICAL}"}},
                {
                    "type": "object",
                    "propertyNames": {"pattern": KEY},
                    "additionalProperties": {"$ref": f"#/$defs/{CANONICAL}"},
                },
            ],
        }
    return made


def _admitted(schema: Schema) -> Schema:
    if schema.get("type") == "string" and "pattern" not in schema:
        return schema | {"pattern": TEXT}
    if schema.get("type") == "object" and not {"properties", "additionalProperties"} & set(schema):
        return schema | {
            "propertyNames": {"pattern": KEY},
            "additionalProperties": {"$ref": f"#/$defs/{CANONICAL}"},
        }
    return schema


def _base64(about: str, max_length: int) -> Schema:
    return {
        "type": "string",
        "contentEncoding": "base64",
        "pattern": BASE64,
        "maxLength": max_length,
        "description": about,
    }


def _base64_of(size: int) -> str:
    """Return the pattern of the base64 of `size` bytes."""
    whole, rest = divmod(size, 3)
    last = ("", "[A-Za-z0-9+/][AQgw]==", "[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=")[rest]
    return f"[A-Za-z0-9+/]{{{whole * 4}}}{last}"
