"""Signs of life between the links of two endpoints and the watch: who makes them when, and which are taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from endpoints.journal.segments import segments
from endpoints.mqtt.topics import Topic
from endpoints.runtime.endpoint_link import EndpointLink
from endpoints.runtime.rate_limits import SIGNED_SILENCE_S
from protocol.core.events import PeerPresenceChanged
from protocol.record.journal import decode
from protocol.wire import envelope
from protocol.wire.messages import FRAME_MAX_BYTES
from protocol.wire.payloads import read_receipt_payload
from tests.support.exchange import WATCH, Exchange, link_file
from tests.vectors.terms import EPOCH_1

AT = 1_700_000_000_000
TOPIC = Topic("eucom-ndmc", "ndmc", "receipt")


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    exchange = Exchange(tmp_path, at=AT)
    exchange.open()
    exchange.start()
    return exchange


def sign(exchange: Exchange, side: str, at: int = AT) -> bytes:
    runner = exchange.ends[side].runner
    assert isinstance(runner, EndpointLink)
    made = runner.own_sign_of_life(at)
    assert made is not None
    return made


def journaled(exchange: Exchange, name: str) -> list[bytes]:
    return [
        line for path in segments(exchange.ends[name].folder) for line in path.read_bytes().rstrip(b"\0").splitlines()
    ]


def test_a_sign_of_life_is_the_standing_receipt_sealed_anew(exchange: Exchange) -> None:
    """SPEC Q2.5, R2"""
    before = journaled(exchange, "eucom")
    payload = read_receipt_payload(envelope.parse(sign(exchange, "eucom", AT + 5_000)).payload)
    assert (payload.sender, payload.recipient, payload.upto) == ("eucom", "ndmc", 0)
    assert payload.at == "2023-11-14T22:13:25.000Z"
    exchange.alert("ndmc")
    exchange.ends["ndmc"].turn()
    exchange.ends["eucom"].receive(exchange.ends["ndmc"].outgoing[-1])
    # it is applied, and not on disk before the turn ends
    assert read_receipt_payload(envelope.parse(sign(exchange, "eucom")).payload).upto == 0
    exchange.settle()
    assert read_receipt_payload(envelope.parse(sign(exchange, "eucom")).payload).upto == 1
    assert len(journaled(exchange, "eucom")) > len(before)


@pytest.mark.parametrize("name", ["eucom", WATCH])
def test_a_sign_of_life_is_taken_without_a_record(exchange: Exchange, name: str) -> None:
    """SPEC Q2.5"""
    runner = exchange.ends[name].runner
    before = journaled(exchange, name)
    assert runner.sign_of_life(TOPIC, sign(exchange, "ndmc"), 10.0) is False
    runner.presence["ndmc"].hear(10.0)
    assert runner.presence["ndmc"].due_s == 0
    assert runner.sign_of_life(TOPIC, sign(exchange, "ndmc", AT + 1), 20.0) is True
    assert journaled(exchange, name) == before


def test_a_silent_peer_is_reported_although_the_broker_calls_it_present(exchange: Exchange) -> None:
    """SPEC W3.1"""
    eucom = exchange.ends["eucom"]
    began = eucom.now.real_s
    eucom.runner.presence["ndmc"].hear(began)
    eucom.runner.sign_of_life(TOPIC, sign(exchange, "ndmc"), began)
    for _ in range(3):
        exchange.run(20_000)
        eucom.runner.presence["ndmc"].hear(eucom.now.real_s)
    assert eucom.now.real_s - began > SIGNED_SILENCE_S
    assert eucom.runner.gauges().silent == {"ndmc"}
    changes = [
        entry.present
        for entry in (decode(line).entry for line in journaled(exchange, "eucom"))
        if isinstance(entry, PeerPresenceChanged)
    ]
    assert changes == [True, False]
    assert eucom.runner.next_tick.real_s is not None


def test_what_is_no_sign_of_life_changes_nothing(exchange: Exchange) -> None:
    """SPEC Q2.5"""
    runner = exchange.ends["eucom"].runner
    cap = runner.presence["ndmc"]
    good = sign(exchange, "ndmc")
    other = Exchange(
        exchange.ends["eucom"].folder.parent / "other", link_file(structs.replace(EPOCH_1, epoch=2)), at=AT
    )
    other.open()
    other.start()
    exchange.alert("ndmc")
    for seconds, (topic, frame) in enumerate(
        (
            (TOPIC, b""),
            (TOPIC, good[:-10]),
            (TOPIC, good + b" " * FRAME_MAX_BYTES),
            (Topic("eucom-ndmc", "ndmc", "message"), good),
            # of this side itself, signed by it; of another epoch; of nobody here
            (TOPIC, sign(exchange, "eucom")),
            (TOPIC, sign(other, "ndmc")),
            (Topic("eucom-ndmc", "stranger", "receipt"), good),
        )
    ):
        assert runner.sign_of_life(topic, frame, seconds * 2.0) is False
    cap.hear(100.0)
    assert cap.due(100) is True
    assert cap.due_s is None


def test_a_link_gives_no_sign_of_life_before_its_first_batch(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, at=AT)
    exchange.open()
    runner = exchange.ends["eucom"].runner
    assert isinstance(runner, EndpointLink)
    assert runner.own_sign_of_life(AT) is None
    exchange.start()
    assert runner.own_sign_of_life(AT) is not None
