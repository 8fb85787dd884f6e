"""The texts of refusals are part of the rules: effects contain them, and replays compare them (decision 0064).

Many are worded by msgspec or Python. If one of these tests fails after an update or an edit, either restore the old
wording or raise RULES.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from protocol.core.references import KnownState, References
from protocol.core.rules import check_body
from protocol.errors import RemoteProtocolError
from protocol.wire.canonical import decode, encode
from protocol.wire.instants import parsed
from protocol.wire.payloads import read_body, read_message_payload
from tests.protocol.wire.test_payloads import MESSAGE, PAYLOAD
from tests.support.world import terms

HEARTBEAT: dict[str, Any] = {
    "type": "heartbeat",
    "status": "exercise",
    "language": "en",
    "text": "Line test.",
    "challenge": ["acorn", "bread", "cedar"],
}
ALERT: dict[str, Any] = {
    "type": "alert",
    "status": "exercise",
    "category": "stray_munition",
    "precedence": "flash",
    "event_at": "2022-11-29T09:00:00.000Z",
    "expires_at": "2022-11-30T09:00:00.000Z",
    "text": {"en": "A drone."},
    "released_by": ["officer-1"],
}
OF: dict[str, Any] = {"sender": "eucom", "epoch": 1, "seq": 1}
ACKNOWLEDGEMENT: dict[str, Any] = {
    "type": "acknowledgement",
    "of": OF,
    "officer": "officer-1",
    "decision": "acting",
}
AREA: dict[str, Any] = {"name": "dam", "latitude_udeg": 0, "longitude_udeg": 0, "radius_m": 0}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "Object missing required field `type`"),
        ({"type": "song"}, "Invalid value 'song' - at `$.type`"),
        ({"type": 1}, "Expected `str`, got `int` - at `$.type`"),
        (HEARTBEAT | {"more": 1}, "Object contains unknown field `more`"),
        ({"type": "heartbeat"}, "Object missing required field `status`"),
        (HEARTBEAT | {"text": 1}, "Expected `str`, got `int` - at `$.text`"),
        (HEARTBEAT | {"text": ""}, "Expected `str` of length >= 1 - at `$.text`"),
        (HEARTBEAT | {"text": "x" * 4_001}, "Expected `str` of length <= 4000 - at `$.text`"),
        (HEARTBEAT | {"status": "peace"}, "Invalid enum value 'peace' - at `$.status`"),
        (HEARTBEAT | {"language": "eng"}, r"Expected `str` matching regex '^[a-z]{2}\\Z' - at `$.language`"),
        (HEARTBEAT | {"challenge": ["acorn"]}, "Expected `array` of length 3, got 1 - at `$.challenge`"),
        (HEARTBEAT | {"challenge": ["a", "b", True]}, "Expected `str`, got `bool` - at `$.challenge[2]`"),
        (HEARTBEAT | {"slot": "2022-13-29T09:00:00.000Z"}, "slot: month must be in 1..12"),
        (ALERT | {"text": "A drone."}, "Expected `object`, got `str` - at `$.text`"),
        (ALERT | {"text": {}}, "Expected `object` of length >= 1 - at `$.text`"),
        (
            ALERT | {"text": dict.fromkeys(("en", "ru", "de", "fr", "it"), "x")},
            "Expected `object` of length <= 4 - at `$.text`",
        ),
        (ALERT | {"text": {"eng": "x"}}, r"Expected `str` matching regex '^[a-z]{2}\\Z' - at `key` in `$.text`"),
        (ALERT | {"text": {"en": 1}}, "Expected `str`, got `int` - at `$.text[...]`"),
        (ALERT | {"released_by": "officer-1"}, "Expected `array`, got `str` - at `$.released_by`"),
        (ALERT | {"released_by": []}, "Expected `array` of length >= 1 - at `$.released_by`"),
        (ALERT | {"released_by": ["officer-1"] * 9}, "Expected `array` of length <= 8 - at `$.released_by`"),
        (ALERT | {"area": AREA | {"radius_m": -1}}, "Expected `int` >= 0 - at `$.area.radius_m`"),
        (
            ALERT | {"area": AREA | {"latitude_udeg": 90_000_001}},
            "Expected `int` <= 90000000 - at `$.area.latitude_udeg`",
        ),
        (ACKNOWLEDGEMENT | {"of": "eucom/1/1"}, "Expected `object`, got `str` - at `$.of`"),
        (ACKNOWLEDGEMENT | {"of": OF | {"seq": True}}, "Expected `int`, got `bool` - at `$.of.seq`"),
    ],
)
def test_a_body_is_refused_in_these_words(body: dict[str, Any], text: str) -> None:
    """The service's refusal quotes them in a message, so another wording would be another message (SPEC M2.2, M7.2)."""
    assert detail(read_body, body) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (HEARTBEAT | {"status": "actual"}, "this link's status is exercise, the test's actual"),
        (HEARTBEAT | {"slot": "2022-11-29T09:00:00.000Z"}, "only eucom places the test of a slot"),
        (HEARTBEAT | {"language": "de"}, "'de' is not among ru, en"),
        (
            {"type": "heartbeat_answer", "of": OF, "language": "en", "text": "x", "read_back": ["a", "b", "c"]},
            "a line test is answered by an officer here",
        ),
        (ALERT | {"status": "actual"}, "this link's status is exercise, the alert's actual"),
        (ALERT, "stray_munition is not among critical_infrastructure"),
        (ALERT | {"category": "critical_infrastructure"}, "flash alerts are released by two officers"),
    ],
)
def test_a_body_breaks_a_rule_of_the_policy_in_these_words(body: dict[str, Any], text: str) -> None:
    agreed = terms(four_eyes=("flash",), categories=("critical_infrastructure",), languages=("ru", "en"))
    assert detail(lambda body: check_body(body, "ndmc", agreed), read_body(body)) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (ACKNOWLEDGEMENT, "there is no alert eucom/1/1 that this could refer to"),
        (ACKNOWLEDGEMENT | {"of": OF | {"sender": "ndmc"}}, "there is no ndmc/1/1 that this could refer to"),
        (ALERT | {"change": {"of": OF, "kind": "update"}}, "there is no alert eucom/1/1 that this could refer to"),
    ],
)
def test_a_reference_is_refused_in_these_words(body: dict[str, Any], text: str) -> None:
    references = References({"eucom": KnownState(), "ndmc": KnownState()}, 1)
    assert detail(lambda body: references.check(body, "ndmc", unsent_too=False), read_body(body)) == text


RULE = (
    "admitted are strings without noncharacters and control characters but newline, integers within 2^53 - 1, booleans,"
    " ASCII keys"
)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "not canonical JSON: Input data was truncated"),
        (b"x", "not canonical JSON: JSON is malformed: invalid character (byte 0)"),
        (b"{}x", "not canonical JSON: JSON is malformed: trailing characters (byte 3)"),
        (b'{"a" 1}', "not canonical JSON: JSON is malformed: expected ':' (byte 5)"),
        (b'{"a":01}', "not canonical JSON: JSON is malformed: invalid number (byte 6)"),
        (b'{"a":"\\x"}', "not canonical JSON: JSON is malformed: invalid escape character in string (byte 8)"),
        (b'{"a":1e400}', "not canonical JSON: Number out of range - at `$[...]`"),
        (b'"\xff"', "not canonical JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b'{"b":1,"a":1}', "not canonical JSON: written again, it differs from byte 2 on"),
        (b"null", f"not admitted at byte 0: b'null' ({RULE})"[:200]),
        (b'"e\xcc\x81"', "not admitted: a string is not in Unicode normalization form C"),
        ('"\U0001e08f"'.encode(), "not admitted: U+1E08F is not assigned in Unicode 14.0"),
        (b"[" * 17 + b"]" * 17, "not admitted: nested deeper than 16"),
        (encode([]), "Expected `object`, got `array`"),
        (encode(PAYLOAD | {"messages": []}), "Expected `array` of length >= 1 - at `$.messages`"),
        (encode(PAYLOAD | {"messages": [MESSAGE | {"seq": 0}]}), "Expected `int` >= 1 - at `$.messages[0].seq`"),
        (encode(PAYLOAD | {"messages": [MESSAGE, MESSAGE]}), "message 4 stands for 5"),
    ],
)
def test_a_payload_is_refused_in_these_words(payload: bytes, text: str) -> None:
    assert detail(read_message_payload, payload) == text


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        ("0000-01-01T00:00:00.000Z", "year 0 is out of range"),
        ("2022-00-01T00:00:00.000Z", "month must be in 1..12"),
        ("2022-13-00T00:60:60.000Z", "month must be in 1..12"),
        ("2022-11-00T00:00:00.000Z", "day is out of range for month"),
        ("2022-02-29T00:60:00.000Z", "day is out of range for month"),
        ("2022-02-28T00:60:60.000Z", "minute must be in 0..59"),
        ("2016-12-31T23:59:60.000Z", "second must be in 0..59"),
        ("2022-02-28T24:00:00.000Z", "not an instant of the form 2022-11-29T16:00:00.000Z: '2022-02-28T24:00:00.000Z'"),
    ],
)
def test_an_instant_is_refused_in_these_words(instant: str, text: str) -> None:
    """Python 3.14 words several of them differently, for instance "month must be in 1..12, not 13"."""
    with pytest.raises(ValueError, match=r".") as refused:
        parsed(instant)
    assert str(refused.value) == text


@pytest.mark.parametrize("depth", [401, 900, 985, 1_200, 30_000])
@pytest.mark.parametrize("closed", [True, False])
def test_deep_nesting_is_refused_in_these_words_however_deep_the_callers_stack(depth: int, closed: bool) -> None:
    """SPEC F4.5: otherwise a peer could choose a depth at which a service and a replay disagree."""

    def refused(frames: int) -> str:
        if frames:
            return refused(frames - 1)
        return detail(read_message_payload, b'{"a":' * depth + b"1" + b"}" * depth * closed)

    assert {refused(frames) for frames in (0, 50, 400)} == {"not admitted: nested deeper than 16"}


def test_brackets_in_strings_do_not_nest() -> None:
    text = '[{"\\' * 500
    assert decode(encode([text, *[[]] * 500])) == [text, *[[]] * 500]
    assert detail(read_message_payload, b'"' + b"[" * 500) == "not canonical JSON: Input data was truncated"


def detail(read: Callable[[Any], object], value: object) -> str:
    with pytest.raises(RemoteProtocolError) as refused:
        read(value)
    return refused.value.detail
