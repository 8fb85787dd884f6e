"""The committed test vectors are what the script generates, and the code agrees with each of them."""

import json
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from msgspec import UNSET

from endpoints.clocks.slots import plan
from endpoints.config import link_file
from endpoints.config.link_file import LinkFile
from protocol.core.effects import Apply, Effect, RaiseAlarm, RejectFrame, Settle
from protocol.core.events import FrameReceived
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.core.rules import check_body
from protocol.core.start_events import EpochOpened
from protocol.errors import EnrolmentError, RemoteProtocolError
from protocol.wire import canonical, envelope
from protocol.wire.digests import genesis, message_digest, policy_digest
from protocol.wire.instants import parsed
from protocol.wire.keyring import Keyring
from protocol.wire.messages import Message
from protocol.wire.payloads import read_body
from protocol.wire.policy import EnrolledKey, Terms
from protocol.wire.refusals import VERIFIED, FrameRefusal
from protocol.wire.words import challenge, differing_words, fingerprint_words, typed_words
from tests.support.journal_samples import fields_of
from tests.vectors.make import FOLDER, vectors
from tests.vectors.streams import STREAM
from tests.vectors.terms import EPOCH_1

Vector = dict[str, Any]
NOON = parsed("2022-11-29T12:00:00.000Z")


def committed(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


KEYS, CANONICAL, HASHES, FRAMES, BODIES, STREAMS, ALERTS = (
    committed(f"{name}.json") for name in ("keys", "canonical", "hashes", "frames", "bodies", "streams", "alerts")
)
LINK_FILE, SLOTS = (committed(f"{name}.json") for name in ("link_file", "slots"))

SUPERSEDED = committed("superseded/frames.json")


def each(found: list[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "vector", found, ids=[vector.get("name", str(at)) for at, vector in enumerate(found)]
    )


def bytes_of(vector: Vector) -> bytes:
    data = b64decode(vector["base64"]) if "base64" in vector else vector["text"].encode()
    return data + vector["then"]["text"].encode() * vector["then"]["times"] if "then" in vector else data


def test_the_vectors_are_what_the_script_generates() -> None:
    made = vectors()
    assert sorted(made) == sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.json"))
    for name, text in made.items():
        assert (FOLDER / name).read_text() == text, f"{name} is stale: python -m tests.vectors.make"


# --- keys ---------------------------------------------------------------------------------------------------------


@each(KEYS["enrolled"])
def test_keys_derive_from_their_seeds(vector: Vector) -> None:
    """SPEC F1.3"""
    seed = bytes.fromhex(vector["seed_hex"])
    kind = (
        Ed25519PrivateKey.from_private_bytes if vector["algorithm"] == "ed25519" else MLDSA65PrivateKey.from_seed_bytes
    )
    assert kind(seed).public_key().public_bytes_raw() == b64decode(vector["public"])


@each(KEYS["refused"])
def test_weak_keys_are_refused(vector: Vector) -> None:
    """SPEC F5.1"""
    key = EnrolledKey("k", vector["algorithm"], vector["public"])
    with pytest.raises(EnrolmentError, match=vector["why"]):
        Keyring({"eucom": (key,)}, "ed25519")


# --- canonical bytes and digests ----------------------------------------------------------------------------------


@each(CANONICAL["valid"])
def test_canonical_values_encode_and_decode(vector: Vector) -> None:
    """SPEC F4.1"""
    data = vector["bytes"].encode()
    assert canonical.encode(vector["value"]) == data
    assert canonical.decode(data) == vector["value"]
    assert sha256(data).hexdigest() == vector["sha256"]


@each(CANONICAL["invalid"])
def test_bytes_that_are_not_canonical_are_refused(vector: Vector) -> None:
    """SPEC F4.6"""
    with pytest.raises(canonical.CanonicalError):
        canonical.decode(bytes_of(vector))


def test_digests_of_terms_match() -> None:
    """SPEC E1.2, M2.3"""
    terms = msgspec.convert(HASHES["terms"], Terms)
    assert terms == EPOCH_1
    assert sha256(HASHES["terms_bytes"].encode()).hexdigest() == HASHES["policy"] == policy_digest(terms)
    for sender, start in HASHES["genesis"].items():
        assert sha256(start["bytes"].encode()).hexdigest() == start["sha256"] == genesis(terms, sender)


@each(HASHES["messages"])
def test_digests_of_messages_match(vector: Vector) -> None:
    """SPEC M2.2"""
    message = msgspec.convert(vector["message"], Message)
    assert sha256(vector["bytes"].encode()).hexdigest() == vector["sha256"] == message_digest(message)


@each(HASHES["pae"])
def test_the_signed_bytes_match(vector: Vector) -> None:
    """SPEC F1.2"""
    assert envelope.pae(vector["payload_type"], vector["payload"].encode()) == vector["bytes"].encode()


@pytest.mark.parametrize("language", ["en", "ru"])
def test_words_match(language: str) -> None:
    """SPEC B1.3"""
    vector = HASHES["words"][language]
    assert list(challenge(vector["nonce"], language)) == vector["challenge"]
    assert list(fingerprint_words(vector["digest"], language)) == vector["fingerprint"]


def test_the_terms_of_a_link_file_match(tmp_path: Path) -> None:
    """SPEC E1.3, E1.4, E1.5"""
    path = tmp_path / "link.toml"
    path.write_text(LINK_FILE["toml"])
    path.chmod(0o600)
    loaded = link_file.load(path)
    assert loaded.terms == EPOCH_1 == msgspec.convert(LINK_FILE["terms"], Terms)
    assert policy_digest(loaded.terms) == HASHES["policy"]


@each(SLOTS)
def test_slots_match(vector: Vector) -> None:
    """SPEC W1.5"""
    found = plan([vector["expression"]], vector["zone"], parsed(vector["after"]), parsed(vector["until"]))
    assert list(found) == vector["slots"]


FINGERPRINTS = committed("fingerprints.json")


@pytest.mark.parametrize("vector", FINGERPRINTS, ids=lambda vector: vector["name"])
def test_a_link_file_has_its_digest_and_words(vector: Vector, tmp_path: Path) -> None:
    """SPEC E1.7"""
    assert msgspec.json.encode(vector["file"]).decode() == vector["bytes"]
    assert sha256(vector["bytes"].encode()).hexdigest() == vector["digest"]
    for language, words in vector["words"].items():
        assert list(fingerprint_words(vector["digest"], language)) == words
    terms = {name: vector["file"][name] for name in EPOCH_1.__struct_fields__}
    content = msgspec.convert(
        {"terms": terms, "parties": vector["file"]["parties"], "watch": vector["file"].get("watch")}, LinkFile
    )
    assert content.digest == vector["digest"]
    link_file.save(content, tmp_path / "link.toml")
    assert link_file.load(tmp_path / "link.toml").digest == vector["digest"]


@pytest.mark.parametrize(
    ("digest", "vector"),
    [(each["digest"], comparison) for each in FINGERPRINTS for comparison in each["comparisons"]],
    ids=lambda value: value["name"] if isinstance(value, dict) else value[:8],
)
def test_typed_words_are_compared_from_a_start(digest: str, vector: Vector) -> None:
    """SPEC E1.8"""
    assert list(differing_words(digest, vector["start"], typed_words(vector["typed"]))) == vector["differing"]


# --- frames -------------------------------------------------------------------------------------------------------

SUITES = {
    suite: Keyring(msgspec.convert(parties, dict[str, tuple[EnrolledKey, ...]]), suite)
    for suite, parties in FRAMES["suites"].items()
}


def end_of(side: str) -> Link:
    """Return a new core for one side of the vectors' link."""
    link = Link.new("eucom-ndmc", side)
    link.handle(EpochOpened(at=NOON, mono=0, terms=EPOCH_1))
    return link


def arrival(
    link: Link | Observer, channel: Any, sender: str, frame: bytes, suite: str = "ed25519"
) -> tuple[Effect, ...]:
    """Give a core a frame with the verdict on its signatures, as the service does; return the effects."""
    verdict = SUITES[suite].judge(channel, sender, frame)
    return link.handle(
        FrameReceived(at=NOON, mono=0, channel=channel, sender=sender, frame=frame, verdict=verdict),
    )


def refusals(effects: tuple[Effect, ...]) -> list[str]:
    return [effect.reason for effect in effects if isinstance(effect, RejectFrame)]


@each(FRAMES["valid"])
def test_valid_frames_are_accepted(vector: Vector) -> None:
    """SPEC F3.5"""
    suite = vector.get("suite", "ed25519")
    assert SUITES[suite].judge(vector["channel"], vector["sender"], bytes_of(vector)) == VERIFIED
    payload_type = envelope.PAYLOAD_TYPES[vector["channel"]]
    payload = SUITES[suite].open(vector["sender"], payload_type, bytes_of(vector))
    assert payload == vector["payload"].encode()
    other = end_of("ndmc" if vector["sender"] == "eucom" else "eucom")
    reasons = refusals(arrival(other, vector["channel"], vector["sender"], bytes_of(vector), suite))
    assert not set(reasons) - {FrameRefusal.DIRECTION_STOPPED}


@each(FRAMES["refused"])
def test_invalid_frames_are_refused(vector: Vector) -> None:
    """SPEC F3.1, F3.2, F3.3, F3.4, F3.5, F3.6, F3.7, M6.1"""
    other = end_of("eucom" if vector["sender"] == "ndmc" else "ndmc")
    before = fields_of(other)
    effects = arrival(other, vector["channel"], vector["sender"], bytes_of(vector), vector.get("suite", "ed25519"))
    assert refusals(effects) == [vector["refused"]]
    assert not [effect for effect in effects if isinstance(effect, Apply | Settle)]
    after = fields_of(other)
    assert after["epoch"] == before["epoch"]


@each([vector for vectors in SUPERSEDED.values() for vector in vectors])
def test_superseded_frames_have_their_present_verdict(vector: Vector) -> None:
    """SPEC F1.1"""
    assert SUITES["ed25519"].judge(vector["channel"], vector["sender"], bytes_of(vector)) == vector["now"]
    # journals of older rules keep the verdict of their time
    before = SUITES["ed25519"].judge(vector["channel"], vector["sender"], bytes_of(vector), any_length=True)
    assert before == vector.get("refused", VERIFIED)


def test_every_reason_for_refusing_a_frame_has_a_vector() -> None:
    """SPEC M6.1"""
    shown = {vector["refused"] for vector in FRAMES["refused"]}
    shown |= {step["refused"] for vector in STREAMS["messages"] for step in vector["steps"] if "refused" in step}
    assert shown == set(FrameRefusal)


# --- bodies and streams -------------------------------------------------------------------------------------------


@each(BODIES["valid"])
def test_valid_bodies_are_admitted(vector: Vector) -> None:
    """SPEC B1.1, B2.1, B3.1, B4.1, B5.1"""
    body = read_body(vector["body"])
    check_body(body, vector["sender"], EPOCH_1)
    assert canonical.encode(body) == canonical.encode(vector["body"])


@each(BODIES["refused"])
def test_invalid_bodies_are_refused(vector: Vector) -> None:
    """SPEC M7.1"""
    with pytest.raises(RemoteProtocolError) as refused:
        check_body(read_body(vector["body"]), vector["sender"], EPOCH_1)
    assert refused.value.reason == vector["refused"]


@each(STREAMS["messages"])
def test_streams_are_applied_as_the_vectors_say(vector: Vector) -> None:
    """SPEC M3.1, M3.2, M5.1, R3.3"""
    link = end_of("ndmc")
    for step in vector["steps"]:
        effects = arrival(link, "message", "eucom", step["frame"].encode())
        applied = [effect for effect in effects if isinstance(effect, Apply)]
        assert [effect.message.seq for effect in applied] == step.get("applied", [])
        if "refused_messages" in step:
            reasons = {str(effect.message.seq): effect.refused for effect in applied if effect.refused is not UNSET}
            assert reasons == step["refused_messages"]
        assert refusals(effects) == ([step["refused"]] if "refused" in step else [])
        inbox = fields_of(link)["epoch"]["inbox"]
        assert (inbox["upto"], inbox["head"]) == (step["upto"], step["head"])


@each(ALERTS)
def test_alerts_have_the_states_of_the_vectors(vector: Vector) -> None:
    """SPEC W2.3, W6: as the watch derives them, which sees both sides' messages in this order."""
    watch = Observer.new("eucom-ndmc")
    watch.handle(EpochOpened(at=NOON, mono=0, terms=EPOCH_1))
    for step in vector["steps"]:
        arrival(watch, "message", step["sender"], step["frame"].encode())
        assert {view.reference: view.state for view in watch.snapshot().alerts} == step["alerts"]


@each(STREAMS["receipts"])
def test_receipts_have_the_outcome_in_the_vectors(vector: Vector) -> None:
    """SPEC R1.2, R3.1, R3.2, R3.4"""
    link = caller_that_has_sent()
    for earlier in vector.get("before", []):
        arrival(link, "receipt", "ndmc", earlier.encode())
    effects = arrival(link, vector.get("channel", "receipt"), "ndmc", vector["frame"].encode())
    assert refusals(effects) == ([vector["refused"]] if "refused" in vector else [])
    settled = [effect.upto for effect in effects if isinstance(effect, Settle)]
    forks = [effect for effect in effects if isinstance(effect, RaiseAlarm) and effect.alarm.code == "fork"]
    outcome = "fork" if forks else "settles" if settled else "stale"
    assert outcome == vector["outcome"]


@each(STREAMS["times"])
def test_times_raise_the_alarms_in_the_vectors(vector: Vector) -> None:
    """SPEC M8.2, M8.3, M8.5, M8.6, M8.7"""
    assert parsed(vector["at"]) == NOON
    link = end_of("ndmc") if vector["reader"] == "ndmc" else caller_that_has_sent()
    effects = arrival(link, vector["channel"], vector["sender"], vector["frame"].encode())
    raised = [f"{effect.alarm.code}/{effect.alarm.subject}" for effect in effects if isinstance(effect, RaiseAlarm)]
    assert raised == vector["raises"]


def caller_that_has_sent() -> Link:
    """Return the calling side's core with the first two messages of the stream in its outbox, as in a checkpoint."""
    link = end_of("eucom")
    state = fields_of(link)
    digests = [message_digest(msgspec.convert(message, Message)) for message in STREAM[:2]]
    state["epoch"]["outbox"] |= {
        "last": 2,
        "head": digests[-1],
        "sealed": [
            {"first": seq, "last": seq, "frame": "", "sealed_at": STREAM[1]["at"], "tries": 0, "due_age": 0}
            for seq in (1, 2)
        ],
        "hashes": state["epoch"]["outbox"]["hashes"] | {"1": digests[0], "2": digests[1]},
        "sizes": {"1": 1, "2": 1},
        "unreceipted_bytes": 2,
    }
    said = {f"eucom/1/{message['seq']}": parsed(message["at"]) for message in STREAM[:2]}
    state["peer_clocks"]["said"] = {"eucom": said}
    state["references"]["eucom"] |= {"kinds": {"eucom/1/1": "heartbeat", "eucom/1/2": "alert"}, "known_upto": 2}
    return Link.restore(msgspec.json.encode(state))
