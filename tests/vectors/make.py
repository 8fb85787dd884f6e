"""Regenerates the test vectors from fixed seeds: `python -m tests.vectors.make`.

Only ML-DSA signatures are random: a committed frame with one is kept while it is valid.
"""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from protocol.wire.canonical import digest, encode
from protocol.wire.digests import genesis, policy_digest
from protocol.wire.envelope import pae
from protocol.wire.messages import MESSAGE_TYPE
from protocol.wire.words import challenge, fingerprint_words
from tests.vectors import bodies
from tests.vectors.agreements import link_file, slots
from tests.vectors.alerts import alerts
from tests.vectors.fingerprints import fingerprints
from tests.vectors.frames import frames, superseded
from tests.vectors.streams import ANSWERS, STREAM, receipts, streams, times
from tests.vectors.terms import EPOCH_1, KEYS, Vector, address, enrolled, text

FOLDER = Path(__file__).parent

# --- keys ---------------------------------------------------------------------------------------------------------


def keys() -> Vector:
    """Return keys with their seeds, and public keys that must not be enrolled."""
    ed25519_point = "ed25519"
    refused = [
        ("the identity", "0100000000000000000000000000000000000000000000000000000000000000", "low order"),
        ("a point of order 2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "low order"),
        ("a point of order 4", "0000000000000000000000000000000000000000000000000000000000000000", "low order"),
        ("a point of order 8", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "low order"),
        ("the identity, its y beyond p", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "encoded"),
        ("the identity, with a sign", "0100000000000000000000000000000000000000000000000000000000000080", "encoded"),
        ("no point", "0200000000000000000000000000000000000000000000000000000000000000", "not a point"),
        ("31 bytes", "01" * 31, "bytes long"),
    ]
    return {
        "enrolled": [
            {"name": name, "party": party, "id": key_id, "seed_hex": key.private_bytes_raw().hex()}
            | {"algorithm": enrolled(name).algorithm, "public": enrolled(name).public}
            for name, (party, key, key_id) in KEYS.items()
        ],
        "refused": [
            {"name": name, "algorithm": ed25519_point, "public": b64encode(bytes.fromhex(public)).decode(), "why": why}
            for name, public, why in refused
        ],
    }


# --- canonical bytes ----------------------------------------------------------------------------------------------


def canonical_bytes() -> Vector:
    """Return values with their canonical bytes, and bytes that are not canonical."""
    values: list[tuple[str, Any]] = [
        ("empty object", {}),
        ("empty array", []),
        ("largest integer", 2**53 - 1),
        ("smallest integer", -(2**53) + 1),
        ("zero", 0),
        ("booleans", [True, False]),
        ("keys are sorted by their bytes", {"b": 1, "a": 2, "B": 3, "aa": 4, "": 5, "_": 6}),
        ("escapes", 'quotation mark " backslash \\ newline \n solidus /'),
        ("text beyond ASCII stands as UTF-8", "Проверка линии é \u2028 \U0001f600"),
        ("text in normalization form C", "й ё é"),
        ("combining character after a newline", "a\n\u0303b"),
        ("combining characters after the other escapes", '"\u0338 \\\u0338'),
        ("combining character at the beginning", ["\u0303", {"n": "\u0303"}]),
        ("last characters of Unicode 14.0", "\u0870 \u061d \u20c0 \U0001fae7 \U0001faf6"),
        ("private-use characters", "\ue000\uf8ff\U000f0000\U0010fffd"),
        ("nesting to the limit", [[[[[[[[[[[[[[[["16"]]]]]]]]]]]]]]]]),
    ]
    invalid: list[tuple[str, bytes]] = [
        ("nothing", b""),
        ("white space", b'{"a": 1}'),
        ("white space at the end", b"1\n"),
        ("byte order mark", b"\xef\xbb\xbf1"),
        ("keys not sorted", b'{"b":1,"a":2}'),
        ("duplicate key", b'{"a":1,"a":1}'),
        ("key beyond ASCII", '{"ключ":1}'.encode()),
        ("null", b'{"a":null}'),
        ("fraction", b"1.5"),
        ("whole number with a fraction", b"1.0"),
        ("exponent", b"1e2"),
        ("minus zero", b"-0"),
        ("leading zero", b"01"),
        ("2^53", b"9007199254740992"),
        ("-2^53", b"-9007199254740992"),
        ("needless escape", b'"\\u0041"'),
        ("escaped solidus", b'"\\/"'),
        ("newline written as a number", b'"\\u000a"'),
        ("raw newline", b'"\n"'),
        ("tabulator", b'"\\t"'),
        ("carriage return", b'"\\r"'),
        ("NUL", b'"\\u0000"'),
        ("DEL", b'"\x7f"'),
        ("C1 control", '"\u0085"'.encode()),
        ("noncharacter", '"\ufdd0"'.encode()),
        ("noncharacter of another plane", '"\U0010ffff"'.encode()),
        ("normalization form D", '"и\u0306"'.encode()),
        ("combining character after an n", '"\\nn\u0303"'.encode()),
        ("combining character after a backslash and an n", '"\\\\n\u0303"'.encode()),
        ("combining characters in another order", '"a\u0301\u0323"'.encode()),
        ("a character that is never assigned in 14.0", '"\u0378"'.encode()),
        ("a character of Unicode 15.0", '"\U0001fae8"'.encode()),
        ("a character of Unicode 15.0 that combines", '"x\U0001e08f\u0323"'.encode()),
        ("a character of Unicode 15.1", '"\u2ffc"'.encode()),
        ("a character of Unicode 16.0", '"\u1c89"'.encode()),
        ("a composite of Unicode 16.0", '"\U000105c9"'.encode()),
        ("the parts of a composite of Unicode 16.0", '"\U000105d2\u0307"'.encode()),
        ("lone surrogate", b'"\\ud800"'),
        ("surrogate in UTF-8", b'"\xed\xa0\x80"'),
        ("surrogate pair for a character", b'"\\ud83d\\ude00"'),
        ("overlong UTF-8", b'"\xc0\xaf"'),
        ("UTF-8 cut short", b'"\xd0"'),
        ("nested one deeper than the limit", b"[" * 17 + b"]" * 17),
        ("cut short", b'{"a":1'),
        ("two documents", b"1 1"),
    ]
    return {
        "valid": [
            {"name": name, "value": value, "bytes": text(encode(value)), "sha256": digest(value)}
            for name, value in values
        ],
        "invalid": [{"name": name, "base64": text(b64encode(data))} for name, data in invalid],
    }


# --- digests and signed bytes -------------------------------------------------------------------------------------


def hashes() -> Vector:
    """Return the digests of SPEC M2 and E1, the pre-authentication encoding, and words."""
    signed_bytes = [("http://example.com/HelloWorld", b"hello world"), ("тип", "тест".encode()), (MESSAGE_TYPE, b"")]
    nonce, fingerprint = "0001feff10203040", digest({"an": "example"})
    return {
        "terms": json.loads(encode(EPOCH_1)),
        "terms_bytes": text(encode(EPOCH_1)),
        "policy": policy_digest(EPOCH_1),
        "genesis": {
            sender: {"bytes": text(encode(address(sender))), "sha256": genesis(EPOCH_1, sender)}
            for sender in ("eucom", "ndmc")
        },
        "messages": [
            {"message": message, "bytes": text(encode(message)), "sha256": digest(message)}
            for message in (*STREAM, *ANSWERS)
        ],
        "pae": [
            {"payload_type": kind, "payload": text(payload), "bytes": text(pae(kind, payload))}
            for kind, payload in signed_bytes
        ],
        "words": {
            language: {
                "nonce": nonce,
                "challenge": challenge(nonce, language),
                "digest": fingerprint,
                "fingerprint": fingerprint_words(fingerprint, language),
            }
            for language in ("en", "ru")
        },
    }


# --- files --------------------------------------------------------------------------------------------------------


def body_vectors() -> Vector:
    """Return bodies that are admitted, and bodies that the service refuses."""
    return {
        "valid": [{"name": name, "sender": sender, "body": body} for name, sender, body in bodies.VALID],
        "refused": [
            {"name": name, "sender": sender, "body": body, "refused": reason}
            for name, sender, body, reason in bodies.REFUSED
        ],
    }


def committed_frames() -> dict[str, bytes]:
    """Return the committed frames by name."""
    path = FOLDER / "frames.json"
    known = json.loads(path.read_text())["valid"] if path.exists() else []
    return {vector["name"]: vector["text"].encode() for vector in known if "text" in vector}


def vectors() -> dict[str, str]:
    """Return the text of each vector file, by name."""
    files = {
        "keys.json": keys(),
        "canonical.json": canonical_bytes(),
        "hashes.json": hashes(),
        "fingerprints.json": fingerprints(),
        "frames.json": frames(committed_frames()),
        "bodies.json": body_vectors(),
        "alerts.json": alerts(),
        "link_file.json": link_file(),
        "slots.json": slots(),
        "streams.json": {"messages": streams(), "receipts": receipts(), "times": times()},
        "superseded/frames.json": superseded(),
    }
    return {name: json.dumps(content, ensure_ascii=False, indent=1) + "\n" for name, content in files.items()}


if __name__ == "__main__":
    for file_name, content in vectors().items():
        (FOLDER / file_name).write_text(content)
