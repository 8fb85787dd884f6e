"""Defines the link of the test vectors: its terms, its keys from fixed seeds, and functions that make its frames."""

from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from protocol.wire.canonical import digest, encode
from protocol.wire.digests import genesis, policy_digest
from protocol.wire.envelope import pae, seal
from protocol.wire.instants import parsed, written
from protocol.wire.messages import MESSAGE_TYPE, RECEIPT_TYPE
from protocol.wire.policy import Channel, EnrolledKey, Policy, Terms

Private = Ed25519PrivateKey | MLDSA65PrivateKey
Vector = dict[str, Any]
EIGHT = parsed("2022-11-29T08:00:00.000Z")
HYBRID = "ed25519+ml-dsa-65"

EPOCH_1 = Terms(
    link="eucom-ndmc",
    epoch=1,
    caller="eucom",
    answering="ndmc",
    policy=Policy(
        status="exercise",
        slots=("0 9,17 * * *",),
        zone="Europe/Berlin",
        categories=("critical_infrastructure", "stray_munition", "airspace_transit"),
        languages=("en", "ru"),
        test_language="ru",
        test_text="Проверка линии. Как слышите?",
        answer_text="Слышу вас хорошо.",
        channels=(Channel(id="defence-ministers", name={"en": "Defence ministers", "ru": "Министры обороны"}),),
    ),
)

KEYS: dict[str, tuple[str, Private, str]] = {
    name: (party, key, key_id)
    for name, party, key_id, key in (
        ("eucom", "eucom", "eucom-1", Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)),
        ("ndmc", "ndmc", "ndmc-1", Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32)),
        ("stranger", "", "stranger-1", Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32)),
        ("eucom ml-dsa-65", "eucom", "eucom-2", MLDSA65PrivateKey.from_seed_bytes(bytes([4]) * 32)),
        ("ndmc ml-dsa-65", "ndmc", "ndmc-2", MLDSA65PrivateKey.from_seed_bytes(bytes([5]) * 32)),
    )
}
"""The party (empty for the stranger), private key and id of each key, by name."""


def enrolled(name: str) -> EnrolledKey:
    """Return a key's public part, as the link file enrols it."""
    _, key, key_id = KEYS[name]
    return EnrolledKey(
        id=key_id,
        algorithm="ed25519" if isinstance(key, Ed25519PrivateKey) else "ml-dsa-65",
        public=b64encode(key.public_key().public_bytes_raw()).decode(),
    )


def party_keys(suite: str) -> dict[str, tuple[EnrolledKey, ...]]:
    """Return the keys that the link file enrols for a suite, by party."""
    algorithms = suite.split("+")
    return {
        party: tuple(
            each for name in KEYS if KEYS[name][0] == party and (each := enrolled(name)).algorithm in algorithms
        )
        for party in ("eucom", "ndmc")
    }


def signed(payload_type: str, payload: bytes, *names: str) -> bytes:
    """Return the frame of `payload`, signed by the named keys."""
    signatures = [(KEYS[name][2], KEYS[name][1].sign(pae(payload_type, payload))) for name in names]
    return seal(payload_type, payload, signatures)


def address(sender: str, terms: Terms = EPOCH_1) -> dict[str, Any]:
    """Return the fields that every payload of `sender` contains."""
    return {
        "link": terms.link,
        "epoch": terms.epoch,
        "sender": sender,
        "recipient": "ndmc" if sender == "eucom" else "eucom",
        "policy": policy_digest(terms),
    }


def stream(sender: str, *bodies: dict[str, Any], terms: Terms = EPOCH_1) -> list[dict[str, Any]]:
    """Return the messages of a stream with these bodies, a minute apart."""
    messages: list[dict[str, Any]] = []
    prev = genesis(terms, sender)
    for index, body in enumerate(bodies):
        message = {"seq": index + 1, "prev": prev, "at": written(EIGHT + index * 60_000), "body": body}
        prev = digest(message)
        messages.append(message)
    return messages


def message_frame(sender: str, messages: list[dict[str, Any]], *, floor: int = 0, **more: Any) -> bytes:
    """Return a frame of consecutive messages; `more` replaces or adds fields of the payload."""
    payload = address(sender) | {"floor": floor, "messages": messages} | more
    return signed(MESSAGE_TYPE, encode(payload), sender)


def receipt_frame(sender: str, upto: int, head: str, **more: Any) -> bytes:
    """Return a receipt frame; `more` replaces or adds fields of the payload."""
    payload = address(sender) | {"upto": upto, "head": head, "at": "2022-11-29T08:30:00.000Z"} | more
    return signed(RECEIPT_TYPE, encode(payload), sender)


def text(data: bytes) -> str:
    """Return UTF-8 bytes as text."""
    return data.decode()
