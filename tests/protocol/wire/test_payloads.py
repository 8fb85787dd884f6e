from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError
from protocol.wire.canonical import encode
from protocol.wire.messages import Claim, Message, Reference
from protocol.wire.payloads import read_message_payload, read_receipt_payload

AT = "2022-11-29T16:00:00.000Z"
RECEIPT: dict[str, Any] = {
    "link": "eucom-ndmc",
    "epoch": 1,
    "sender": "ndmc",
    "recipient": "eucom",
    "policy": "0" * 64,
    "upto": 2,
    "head": "1" * 64,
    "at": AT,
}
CLAIM = {key: RECEIPT[key] for key in ("upto", "head", "at")}
MESSAGE = {"seq": 4, "prev": "2" * 64, "at": AT, "body": {"type": "of the future", "any": [True, "é"]}}
PAYLOAD = {key: RECEIPT[key] for key in ("link", "epoch", "sender", "recipient", "policy")} | {
    "floor": 3,
    "messages": [MESSAGE, MESSAGE | {"seq": 5}],
}


def reason(channel: str, payload: object) -> str:
    data = payload if isinstance(payload, bytes) else encode(payload)
    with pytest.raises(RemoteProtocolError) as refused:
        (read_message_payload if channel == "message" else read_receipt_payload)(data)
    return refused.value.reason


def test_a_message_payload_decodes_with_bodies_of_unknown_types() -> None:
    """SPEC M1.1: a body of an unknown type does not make the frame invalid."""
    decoded = read_message_payload(encode(PAYLOAD | {"receipt": CLAIM}))
    assert [message.seq for message in decoded.messages] == [4, 5]
    assert decoded.messages[0] == Message(seq=4, prev="2" * 64, at=AT, body=MESSAGE["body"])  # type: ignore[arg-type]
    assert decoded.receipt == Claim(upto=2, head="1" * 64, at=AT)
    assert not read_message_payload(encode(PAYLOAD)).receipt


def test_a_receipt_payload_decodes() -> None:
    """SPEC R1.1"""
    assert read_receipt_payload(encode(RECEIPT)).upto == 2


@pytest.mark.parametrize("payload", [b"", b"x", b"{}" + b" ", encode(PAYLOAD)[:-1], b"\xff", b'{"b":1,"a":2}'])
def test_payloads_that_are_not_canonical_are_refused_first(payload: bytes) -> None:
    """SPEC F3.6"""
    assert reason("message", payload) == "not_canonical"
    assert reason("receipt", payload) == "not_canonical"


MALFORMED: dict[str, object] = {
    "a number": 1,
    "nothing": {},
    "an array": [PAYLOAD],
    "a receipt": RECEIPT,
    "a field more": PAYLOAD | {"extra": 1},
    "a field less": {key: PAYLOAD[key] for key in PAYLOAD if key != "floor"},
    "no messages": PAYLOAD | {"messages": []},
    "a gap in the run": PAYLOAD | {"messages": [MESSAGE, MESSAGE | {"seq": 6}]},
    "a seq twice": PAYLOAD | {"messages": [MESSAGE, MESSAGE]},
    "the run backwards": PAYLOAD | {"messages": [MESSAGE | {"seq": 5}, MESSAGE]},
    "seq 0": PAYLOAD | {"messages": [MESSAGE | {"seq": 0}]},
    "seq as text": PAYLOAD | {"messages": [MESSAGE | {"seq": "4"}]},
    "seq as a boolean": PAYLOAD | {"messages": [MESSAGE | {"seq": True}]},
    "floor below 0": PAYLOAD | {"floor": -1},
    "epoch 0": PAYLOAD | {"epoch": 0},
    "a link with a slash": PAYLOAD | {"link": "a/b"},
    "a link that ends in a newline": PAYLOAD | {"link": "eucom-ndmc\n"},
    "a sender in capitals": PAYLOAD | {"sender": "EUCOM"},
    "a long sender": PAYLOAD | {"sender": "e" * 33},
    "a short digest": PAYLOAD | {"policy": "0" * 63},
    "a digest in capitals": PAYLOAD | {"policy": "A" * 64},
    "an instant without milliseconds": PAYLOAD | {"messages": [MESSAGE | {"at": "2022-11-29T16:00:00Z"}]},
    "an instant with an offset": PAYLOAD | {"messages": [MESSAGE | {"at": "2022-11-29T16:00:00.000+00:00"}]},
    "month 13": PAYLOAD | {"messages": [MESSAGE | {"at": "2022-13-29T16:00:00.000Z"}]},
    "30 February": PAYLOAD | {"receipt": CLAIM | {"at": "2022-02-30T16:00:00.000Z"}},
    "a leap second": PAYLOAD | {"messages": [MESSAGE | {"at": "2016-12-31T23:59:60.000Z"}]},
    "digits of another script": PAYLOAD | {"messages": [MESSAGE | {"at": "٢022-11-29T16:00:00.000Z"}]},
    "a body that is text": PAYLOAD | {"messages": [MESSAGE | {"body": "alert"}]},
    "a message with an extra field": PAYLOAD | {"messages": [MESSAGE | {"extra": 1}]},
    "a claim with an extra field": PAYLOAD | {"receipt": CLAIM | {"link": "eucom-ndmc"}},
}


@pytest.mark.parametrize("payload", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_payloads_are_refused(payload: object) -> None:
    """SPEC F3.6, F4.7, F4.8, M1.1, M1.2"""
    assert reason("message", payload) == "malformed_payload"


@pytest.mark.parametrize(
    "payload",
    [PAYLOAD, RECEIPT | {"floor": 1}, RECEIPT | {"upto": -1}, RECEIPT | {"at": "2022-00-01T00:00:00.000Z"}, CLAIM],
)
def test_malformed_receipts_are_refused(payload: object) -> None:
    """SPEC R1.1"""
    assert reason("receipt", payload) == "malformed_payload"


@given(st.binary(max_size=200))
def test_reading_any_bytes_raises_only_refusals(data: bytes) -> None:
    """SPEC F3.6"""
    assert reason("message", data) in {"not_canonical", "malformed_payload"}
    assert reason("receipt", data) in {"not_canonical", "malformed_payload"}


@pytest.mark.parametrize(
    "text", ["eucom", "eucom/1", "eucom/1/0", "eucom/0/1", "EUCOM/1/1", "eucom/1/1/1", "eucom/٢/1", ""]
)
def test_a_reference_is_written_in_one_way(text: str) -> None:
    """SPEC B6.1"""
    assert str(Reference.parse("eucom/1/42")) == "eucom/1/42"
    with pytest.raises(ValueError, match="eucom/1/42"):
        Reference.parse(text)
