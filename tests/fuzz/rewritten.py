"""Wraps fuzz inputs in valid envelopes, hash chains and journal records, so that a fuzzer reaches the code behind them.

A holder of a signing key, or somebody who rewrites a whole journal, produces valid hashes. A fuzzer cannot guess them.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec

from endpoints.journal.record_view import decoded
from endpoints.texts.i18n import translator
from endpoints.texts.story import Storyteller
from protocol.record.journal import ORIGIN, Record
from protocol.wire import envelope
from protocol.wire.canonical import CanonicalError, digest, encode
from protocol.wire.envelope import PAYLOAD_TYPES
from tests.fuzz.ends import PEER, SIDE, SIGNATURES, End

FRAMES_MAX = 8
LINES_MAX = 64
ENDS_BATCH = {"BatchClosed", "Checkpoint", "Closed"}


def frames(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the channel and frame for each line, whose JSON object is the payload; add the fields that it lacks.

    A message without `prev` gets the hash of the message before it, in the line or in the end's view of the stream.
    """
    snapshot = End.resumed().link.snapshot()
    theirs = snapshot.theirs[PEER]
    seq, prev = theirs.last, theirs.head
    for line in data.split(b"\n")[:FRAMES_MAX]:
        value = _object(line)
        if value is None:
            yield "message", envelope.seal(PAYLOAD_TYPES["message"], line, SIGNATURES)
            continue
        channel = "message" if "messages" in value else "receipt"
        address = {"link": "eucom-ndmc", "epoch": 1, "sender": PEER, "recipient": SIDE, "policy": snapshot.policy}
        value = address | value
        messages = value.get("messages")
        if isinstance(messages, list):
            value.setdefault("floor", 0)
            for message in messages:
                if not isinstance(message, dict):
                    continue
                message.setdefault("seq", seq + 1)
                message.setdefault("prev", prev)
                message.setdefault("at", snapshot.at)
                if isinstance(message["seq"], int):
                    seq = message["seq"]
                try:
                    prev = digest(message)
                except CanonicalError:
                    break
        try:
            payload = encode(value)
        except CanonicalError:
            payload = line
        yield channel, envelope.seal(PAYLOAD_TYPES[channel], payload, SIGNATURES)


def journal(data: bytes) -> bytes:
    """Return a journal with these lines as its records and with valid numbers, batches and hashes."""
    lines: list[bytes] = []
    prev, batch = ORIGIN, 0
    for line in data.split(b"\n")[:LINES_MAX]:
        value = _object(line)
        if value is None:
            continue
        if not lines and isinstance(value.get("n"), int):
            first = value["n"]
        elif not lines:
            first = 1
        n = first + len(lines)
        batch = batch or n
        for name in ("n", "link", "side", "batch", "prev", "hash"):
            value.pop(name, None)
        effects = value.pop("effects", [])
        fields = {"n": n, "link": "eucom-ndmc", "side": SIDE, "batch": batch, **value, "effects": effects}
        try:
            body = msgspec.json.encode(fields | {"prev": prev})[:-1]
        except (ValueError, OverflowError, RecursionError):
            continue
        prev = sha256(body).hexdigest()
        lines.append(hashed(body) + b"\n")
        if value.get("event") in ENDS_BATCH:
            batch = 0
    return b"".join(lines)


def hashed(line: bytes) -> bytes:
    """Return `line` with the valid hash of the bytes before its hash."""
    body, _, _ = line.partition(b',"hash":"')
    return b'%b,"hash":"%b"}' % (body, sha256(body).hexdigest().encode())


def told(record: Record) -> None:
    """Render a record as `log show` does, for people and for programs."""
    msgspec.json.encode(decoded(record))
    for line in Storyteller(translator("ru")).tell(record):
        line.what.encode()


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
