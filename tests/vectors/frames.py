"""Generates the vectors of frames: valid ones, and refused ones with the reason."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from protocol.errors import RemoteProtocolError
from protocol.wire.canonical import digest, encode
from protocol.wire.digests import genesis
from protocol.wire.envelope import pae, seal
from protocol.wire.keyring import Keyring
from protocol.wire.messages import FRAME_MAX_BYTES, MESSAGE_TYPE, RECEIPT_TYPE
from tests.vectors import bodies
from tests.vectors.streams import ANSWERS, STREAM
from tests.vectors.terms import EPOCH_1, HYBRID, KEYS, Vector, address, message_frame, party_keys, signed, stream, text

RECEIPT = address("ndmc") | {"upto": 2, "head": digest(STREAM[1]), "at": "2022-11-29T08:30:00.000Z"}
PAYLOAD = address("eucom") | {"floor": 0, "messages": STREAM[:1]}


def frames(committed: Mapping[str, bytes]) -> Vector:
    """Return the content of `frames.json`; `committed` are the committed frames by name."""
    return {
        "suites": {suite: json.loads(encode(party_keys(suite))) for suite in ("ed25519", HYBRID)},
        "valid": [*plain_frames(), *hybrid_frames(committed)],
        "refused": [*ill_frames(), *ill_signed_frames(), *ill_payloads(), *ill_addressed()],
    }


def plain_frames() -> list[Vector]:
    """Return valid frames of the suite `ed25519`."""
    receipt = {key: RECEIPT[key] for key in ("upto", "head", "at")}
    unhinted = seal(MESSAGE_TYPE, encode(PAYLOAD), [("", signature("eucom", MESSAGE_TYPE, encode(PAYLOAD)))])
    combining = stream("eucom", bodies.HEARTBEAT | {"text": "Проверка\n\u0303линии"})
    three = signed(MESSAGE_TYPE, encode(PAYLOAD), "stranger", "ndmc", "eucom")
    good = signature("eucom", MESSAGE_TYPE, encode(PAYLOAD))
    unknown = seal(MESSAGE_TYPE, encode(PAYLOAD), [("new-1", bytes(64)), ("new-2", bytes(3_309)), ("eucom-1", good)])
    return [
        frame("a line test", "message", "eucom", message_frame("eucom", STREAM[:1]), opens=True),
        frame("a run of messages", "message", "eucom", message_frame("eucom", STREAM), opens=True),
        frame(
            "a receipt beside messages",
            "message",
            "ndmc",
            message_frame("ndmc", ANSWERS, receipt=receipt),
            opens=True,
        ),
        frame("a receipt alone", "receipt", "ndmc", signed(RECEIPT_TYPE, encode(RECEIPT), "ndmc"), opens=True),
        frame(
            "a combining character after a newline", "message", "eucom", message_frame("eucom", combining), opens=True
        ),
        frame("keyid is a hint: none given", "message", "eucom", unhinted, opens=True),
        frame("signatures of others beside the good one", "message", "eucom", three, opens=True),
        frame("signatures of unknown keys, of either algorithm's length", "message", "eucom", unknown, opens=True),
    ]


def hybrid_frames(committed: Mapping[str, bytes]) -> list[Vector]:
    """Return valid frames of the suite of two algorithms; keep the committed frame while it is valid."""
    name, payload = "two algorithms", encode(PAYLOAD)
    data = committed.get(name, b"")
    try:
        kept = Keyring(party_keys(HYBRID), HYBRID).open("eucom", MESSAGE_TYPE, data) == payload
    except RemoteProtocolError:
        kept = False
    if not kept:
        data = signed(MESSAGE_TYPE, payload, "eucom", "eucom ml-dsa-65")
    return [frame(name, "message", "eucom", data, opens=True) | {"suite": HYBRID}]


def ill_frames() -> list[Vector]:
    """Return frames that are refused before any signature is verified."""
    good = message_frame("eucom", STREAM[:1])
    envelope: dict[str, Any] = json.loads(good)
    sig = envelope["signatures"][0]
    reordered = json.dumps(envelope, separators=(",", ":")).replace('{"payload":', '{"z":').encode()
    malformed = [
        ("nothing", b""),
        ("not JSON", b"hello"),
        ("not UTF-8", b"\xff\xfe"),
        ("white space at the end", good + b"\n"),
        ("white space inside", json.dumps(envelope).encode()),
        ("another field", reordered),
        ("a field more", encode(envelope | {"z": 1})),
        ("no signatures", encode(envelope | {"signatures": []})),
        ("nine signatures", encode(envelope | {"signatures": [sig] * 9})),
        ("no keyid", encode(envelope | {"signatures": [{"sig": sig["sig"]}]})),
        ("keyid of 65 characters", encode(envelope | {"signatures": [sig | {"keyid": "k" * 65}]})),
        ("an empty signature", encode(envelope | {"signatures": [sig | {"sig": ""}]})),
        ("a signature of 63 bytes beside a good one", encode(envelope | {"signatures": [sig, sig_of(63)]})),
        ("a signature of 65 bytes beside a good one", encode(envelope | {"signatures": [sig_of(65), sig]})),
        ("a signature of 3308 bytes beside a good one", encode(envelope | {"signatures": [sig, sig_of(3_308)]})),
        ("a signature of 3310 bytes beside a good one", encode(envelope | {"signatures": [sig, sig_of(3_310)]})),
        ("base64 without padding", encode(envelope | {"signatures": [sig | {"sig": sig["sig"].rstrip("=")}]})),
        ("base64 with stray bits", encode(envelope | {"payload": "e31="})),
        ("base64 for URLs", encode(envelope | {"payload": "-_-_"})),
        ("base64 with a newline", encode(envelope | {"payload": envelope["payload"] + "\n"})),
    ]
    other_type = signed("application/json", encode(PAYLOAD), "eucom")
    return [
        {"name": "a byte too many", "channel": "message", "sender": "eucom", "refused": "too_large"}
        | {"text": "", "then": {"text": " ", "times": FRAME_MAX_BYTES + 1}},
        *(frame(name, "message", "eucom", data, "malformed_envelope") for name, data in malformed),
        frame("another payload type", "message", "eucom", other_type, "wrong_payload_type"),
        frame("a message on the receipts' channel", "receipt", "eucom", good, "wrong_payload_type"),
        frame("a sender without keys", "message", "watch", good, "unknown_sender"),
    ]


def ill_signed_frames() -> list[Vector]:
    """Return frames without a valid signature."""
    payload = encode(PAYLOAD)
    good = signature("eucom", MESSAGE_TYPE, payload)
    flipped = bytes([good[0] ^ 1]) + good[1:]
    order = 2**252 + 27_742_317_777_372_353_535_851_937_790_883_648_493
    malleable = good[:32] + (int.from_bytes(good[32:], "little") + order).to_bytes(32, "little")
    in_characters = f"DSSEv1 {len(MESSAGE_TYPE)} {MESSAGE_TYPE} {len(payload.decode())} ".encode() + payload
    signatures = [
        ("the other party's signature", signature("ndmc", MESSAGE_TYPE, payload)),
        ("a stranger's signature under an enrolled keyid", signature("stranger", MESSAGE_TYPE, payload)),
        ("a bit flipped", flipped),
        ("S beyond the group's order", malleable),
        ("signed for the other payload type", signature("eucom", RECEIPT_TYPE, payload)),
        ("the payload signed without its encoding", KEYS["eucom"][1].sign(payload)),
        ("the encoding with lengths in characters", KEYS["eucom"][1].sign(in_characters)),
        ("64 bytes of zeros", bytes(64)),
    ]
    one_only = signed(MESSAGE_TYPE, payload, "eucom")
    return [
        *(
            frame(name, "message", "eucom", seal(MESSAGE_TYPE, payload, [("eucom-1", each)]), "bad_signature")
            for name, each in signatures
        ),
        frame("one algorithm of two", "message", "eucom", one_only, "bad_signature") | {"suite": HYBRID},
    ]


def ill_payloads() -> list[Vector]:
    """Return validly signed frames whose payload is not canonical or does not have its type's form."""
    good = encode(PAYLOAD)
    not_canonical = [
        ("payload with white space", good + b" "),
        ("payload that is no JSON", b"hello"),
        ("payload with an unsorted key", b'{"z":1,' + good[1:]),
        ("payload with a duplicate key", good[:-1] + b',"sender":"eucom"}'),
        ("payload with null", good.replace(b'"floor":0', b'"floor":null')),
        ("payload with a fraction", good.replace(b'"floor":0', b'"floor":0.0')),
        ("payload with text in form D", good.replace("Проверка".encode(), "Проверкаи\u0306".encode())),
        ("payload with a character of Unicode 15.0", good.replace("Проверка".encode(), "x\U0001e08f\u0323".encode())),
    ]
    first = STREAM[0]
    malformed: list[tuple[str, Any]] = [
        ("a field more", PAYLOAD | {"extra": 1}),
        ("a field less", {key: PAYLOAD[key] for key in PAYLOAD if key != "floor"}),
        ("no messages", PAYLOAD | {"messages": []}),
        ("a gap inside the run", PAYLOAD | {"messages": [STREAM[0], STREAM[2]]}),
        ("a party in capitals", PAYLOAD | {"sender": "EUCOM"}),
        ("a digest cut short", PAYLOAD | {"policy": "0" * 63}),
        ("a number as text", PAYLOAD | {"floor": "0"}),
        ("seq 0", PAYLOAD | {"messages": [first | {"seq": 0}]}),
        ("the year 0", PAYLOAD | {"messages": [first | {"at": "0000-12-31T08:00:00.000Z"}]}),
        ("30 February", PAYLOAD | {"messages": [first | {"at": "2022-02-30T08:00:00.000Z"}]}),
        ("a leap second", PAYLOAD | {"messages": [first | {"at": "2016-12-31T23:59:60.000Z"}]}),
        ("time without milliseconds", PAYLOAD | {"messages": [first | {"at": "2022-11-29T08:00:00Z"}]}),
        ("a body that is text", PAYLOAD | {"messages": [first | {"body": "alert"}]}),
        ("a receipt's payload in a message frame", RECEIPT | {"sender": "eucom", "recipient": "ndmc"}),
    ]
    return [
        *(
            frame(name, "message", "eucom", signed(MESSAGE_TYPE, data, "eucom"), "not_canonical")
            for name, data in not_canonical
        ),
        *(
            frame(name, "message", "eucom", signed(MESSAGE_TYPE, encode(value), "eucom"), "malformed_payload")
            for name, value in malformed
        ),
        frame(
            "a message's payload in a receipt frame",
            "receipt",
            "eucom",
            signed(RECEIPT_TYPE, encode(PAYLOAD), "eucom"),
            "malformed_payload",
        ),
    ]


def ill_addressed() -> list[Vector]:
    """Return validly signed, well-formed frames for another link, epoch, party or policy."""
    wrong: list[tuple[str, Vector, str]] = [
        ("another link", {"link": "other"}, "wrong_link"),
        ("another sender than the topic's", {"sender": "ndmc", "recipient": "eucom"}, "wrong_sender"),
        ("another recipient", {"recipient": "watch"}, "wrong_recipient"),
        ("to oneself", {"recipient": "eucom"}, "wrong_recipient"),
        ("another epoch", {"epoch": 2}, "wrong_epoch"),
        ("another policy", {"policy": "0" * 64}, "wrong_policy"),
    ]
    return [
        item
        for name, change, reason in wrong
        for item in (
            frame(
                f"{name}, messages",
                "message",
                "eucom",
                signed(MESSAGE_TYPE, encode(PAYLOAD | change), "eucom"),
                reason,
            ),
            frame(
                f"{name}, receipt",
                "receipt",
                "eucom",
                signed(
                    RECEIPT_TYPE,
                    encode(RECEIPT | address("eucom") | {"upto": 0, "head": genesis(EPOCH_1, "ndmc")} | change),
                    "eucom",
                ),
                reason,
            ),
        )
    ]


def superseded() -> Vector:
    """Return the content of `superseded/frames.json`: frames that an earlier version of SPEC.md judged otherwise."""
    payload = encode(PAYLOAD)
    empty = seal(MESSAGE_TYPE, payload, [("eucom-1", b"")])
    odd = seal(MESSAGE_TYPE, payload, [("eucom-1", signature("eucom", MESSAGE_TYPE, payload)), ("x", bytes(63))])
    why = {"now": "malformed_envelope", "clause": "F1.1", "decision": "0073"}
    return {
        "valid": [frame("a signature of 63 bytes beside a good one", "message", "eucom", odd, opens=True) | why],
        "refused": [frame("an empty signature", "message", "eucom", empty, "bad_signature") | why],
    }


def sig_of(length: int) -> Vector:
    """Return a signature of an unknown key, of this length."""
    return {"keyid": "x", "sig": b64encode(bytes(length)).decode()}


def signature(name: str, payload_type: str, payload: bytes) -> bytes:
    """Return a key's signature over a payload."""
    return KEYS[name][1].sign(pae(payload_type, payload))


def frame(name: str, channel: str, sender: str, data: bytes, refused: str = "", *, opens: bool = False) -> Vector:
    """Return the vector of a frame, as text if it is UTF-8, otherwise as base64."""
    vector: Vector = {"name": name, "channel": channel, "sender": sender}
    try:
        vector["text"] = data.decode()
    except UnicodeDecodeError:
        vector["base64"] = text(b64encode(data))
    if opens:
        return vector | {"payload": text(b64decode(json.loads(data)["payload"]))}
    return vector | {"refused": refused}
