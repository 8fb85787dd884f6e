"""Defines the vectors of fingerprints: link files without and with a key of the watch, and words typed from a start."""

from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import json, to_builtins

from endpoints.keys.signer import Signer
from protocol.wire.words import fingerprint_words
from tests.vectors.terms import EPOCH_1, Vector, party_keys, text

PARTIES: dict[str, Vector] = {
    "eucom": {
        "name": {"en": "US European Command", "ru": "Европейское командование США"},
        "site": "Wiesbaden",
        "zone": "Europe/Berlin",
    },
    "ndmc": {
        "name": {"en": "National Defence Management Centre", "ru": "Национальный центр управления обороной"},
        "site": "Moscow",
        "zone": "Europe/Moscow",
    },
}
WATCH = Signer({"watch-1": Ed25519PrivateKey.from_private_bytes(bytes([6]) * 32)})


def fingerprints() -> list[Vector]:
    """Return link files with their digests and words, and comparisons of them."""
    keys = party_keys("ed25519")
    parties = {side: {**party, "keys": to_builtins(keys[side])} for side, party in PARTIES.items()}
    plain = {**to_builtins(EPOCH_1), "parties": parties}
    watched = {**plain, "watch": {"keys": to_builtins(WATCH.enrolled)}}
    return [_vector("without a key of the watch", plain), _vector("with a key of the watch", watched)]


def _vector(name: str, file: dict[str, Any]) -> Vector:
    # the order of the values above is that of SPEC E1.7
    ordered = json.encode(file)
    fingerprint = sha256(ordered).hexdigest()
    english, russian = (fingerprint_words(fingerprint, language) for language in ("en", "ru"))
    typed = [
        ("all words from the first", 1, " ".join(english), []),
        ("from the seventh, with commas and capitals", 7, ", ".join(_from(7, english)).upper() + ".", []),
        ("from the last", 16, " ".join(_from(16, english)), []),
        ("in Russian", 12, "  ".join(_from(12, russian)), []),
        ("half in each language", 1, " ".join(english[:8] + russian[8:]), []),
        ("only the last word differs", 1, " ".join((*english[:15], _other(english[15]))), [16]),
        ("the words before the start differ", 9, " ".join(_from(9, (_other(english[0]), *english[1:]))), [1]),
    ]
    return {
        "name": name,
        "file": file,
        "bytes": text(ordered),
        "digest": fingerprint,
        "words": {"en": english, "ru": russian},
        "comparisons": [
            {"name": each, "start": start, "typed": words, "differing": differing}
            for each, start, words, differing in typed
        ],
    }


def _from(start: int, words: tuple[str, ...]) -> tuple[str, ...]:
    return words[start - 1 :] + words[: start - 1]


def _other(word: str) -> str:
    return "acorn" if word != "acorn" else "airport"
