import hashlib

import msgspec
import pytest

from protocol.wire.digests import genesis, message_digest, policy_digest
from protocol.wire.messages import Message
from protocol.wire.policy import Policy, Terms

TERMS = Terms(
    link="eucom-ndmc",
    epoch=1,
    caller="eucom",
    answering="ndmc",
    policy=Policy(
        status="exercise",
        slots=("0 9,17 * * *",),
        zone="Europe/Berlin",
        categories=("critical_infrastructure",),
        languages=("en", "ru"),
        test_language="ru",
        test_text="Проверка линии.",
        answer_text="Слышу вас.",
    ),
)


def test_the_policy_digest_covers_link_epoch_parties_and_policy() -> None:
    """SPEC E1.2"""
    written = (
        '{"answering":"ndmc","caller":"eucom","epoch":1,"link":"eucom-ndmc","policy":'
        '{"answer_text":"Слышу вас.","answer_within_s":600,"answered_by":"officer",'
        '"categories":["critical_infrastructure"],"channels":[],"four_eyes":["flash","immediate"],"grace_s":900,'
        '"handling":{"flash":600,"immediate":1800,"priority":10800,"routine":21600},"languages":["en","ru"],'
        '"placed_by":"service","skew_limit_s":60,"slots":["0 9,17 * * *"],"status":"exercise","suite":"ed25519",'
        '"test_language":"ru","test_text":"Проверка линии.","zone":"Europe/Berlin"}}'
    )
    assert policy_digest(TERMS) == hashlib.sha256(written.encode()).hexdigest()


def test_different_terms_have_different_digests() -> None:
    """SPEC E1.2"""
    others = [
        msgspec.structs.replace(TERMS, link="other"),
        msgspec.structs.replace(TERMS, epoch=2),
        msgspec.structs.replace(TERMS, caller="ndmc", answering="eucom"),
        msgspec.structs.replace(TERMS, policy=msgspec.structs.replace(TERMS.policy, grace_s=901)),
    ]
    assert len({policy_digest(terms) for terms in [TERMS, *others]}) == 5


def test_genesis_is_the_first_prev_of_each_stream() -> None:
    """SPEC M2.3"""
    policy = policy_digest(TERMS)
    for sender, recipient in (("eucom", "ndmc"), ("ndmc", "eucom")):
        written = f'{{"epoch":1,"link":"eucom-ndmc","policy":"{policy}","recipient":"{recipient}","sender":"{sender}"}}'
        assert genesis(TERMS, sender) == hashlib.sha256(written.encode()).hexdigest()


def test_genesis_refuses_a_sender_that_is_not_a_party() -> None:
    with pytest.raises(ValueError, match="'watch' is not a party of the link 'eucom-ndmc'"):
        genesis(TERMS, "watch")


def test_message_digest_is_the_hash_of_the_canonical_bytes() -> None:
    """SPEC M2.2"""
    message = Message(seq=1, prev="a" * 64, at="2022-11-29T16:00:00.000Z", body={"type": "x", "a": "я"})
    written = f'{{"at":"2022-11-29T16:00:00.000Z","body":{{"a":"я","type":"x"}},"prev":"{"a" * 64}","seq":1}}'
    assert message_digest(message) == hashlib.sha256(written.encode()).hexdigest()
