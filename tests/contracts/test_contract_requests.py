"""The schemas of requests admit what the control socket decodes, and refuse what it refuses."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from endpoints.control.request_body import decode_request
from endpoints.control.requests import ACTIONS, ConsoleTold
from protocol.errors import LocalProtocolError
from tests.contracts.validators import faults, part

ACT: dict[str, Any] = {"request": "request-1", "officer": "watch-1", "credential": "secret"}
SEEN = "0" * 64
REQUESTS: dict[str, dict[str, Any]] = {
    "alert": {"category": "stray_munition", "precedence": "flash", "text": {"ru": "Снаряд"}, "expires_in_s": 60},
    "release": {"draft": 1, "seen": SEEN},
    "answer": {"of": "eucom/1/1", "words": ["бобр", "радуга", "лампа"]},
    "acknowledge": {"of": "eucom/1/1", "decision": "acting", "text": {"en": "Understood."}},
    "refuse": {"of": "eucom/1/1", "reason": "out_of_scope", "referral": "ministers"},
    "cancel": {"of": "eucom/1/1"},
    "test": {},
    "acknowledge-alarm": {"code": "broker_unreachable", "subject": "broker"},
    "take-watch": {"relieves": "watch-2"},
    "leave-watch": {"why": "log-out"},
    "log-in": {"session": "session-1"},
    "log-out": {"session": "session-1", "why": "log-out"},
}
WRONG: tuple[dict[str, Any], ...] = (
    {"request": "short"},
    {"request": "request-1\n"},
    {"officer": "Watch 1"},
    {"credential": ""},
    {"mood": "good"},
    {"officer": None},
)
WRONG_ALERTS: tuple[dict[str, Any], ...] = (
    {"category": "complaint"},
    {"precedence": 1},
    {"text": {}},
    {"text": {"english": "x"}},
    {"text": {"en": "x" * 4_001}},
    {"expires_in_s": 0},
    {"expires_in_s": 60.5},
    {"event_at": "now"},
    {"event_at": "2022-11-29T16:00:00.000Z\n"},
    {"references": ["eucom/1/1"] * 17},
    {"area": {"name": "Dam"}},
    {"change_kind": "cancellation"},
)


def decoded(kind: type[msgspec.Struct], body: dict[str, Any]) -> bool:
    try:
        decode_request(msgspec.json.encode(body), kind)
    except LocalProtocolError:
        return False
    return True


def admitted(kind: type[msgspec.Struct], body: dict[str, Any]) -> bool:
    return not faults(part("openapi.json", kind.__name__), body)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_request_is_judged_alike_by_the_schema_and_by_the_socket(action: str) -> None:
    kind = ACTIONS[action]
    body = {name: value for name, value in ACT.items() if (action, name) != ("log-out", "credential")} | REQUESTS[
        action
    ]
    assert decoded(kind, body)
    assert admitted(kind, body)
    for change in (*WRONG, *(WRONG_ALERTS if action == "alert" else ())):
        assert not decoded(kind, body | change), change
        assert not admitted(kind, body | change), change
    for name in body:
        less = {each: value for each, value in body.items() if each != name}
        assert decoded(kind, less) == admitted(kind, less), name


def test_a_session_ends_without_a_credential() -> None:
    kind = ACTIONS["log-out"]
    body = ACT | REQUESTS["log-out"]
    assert not decoded(kind, body)
    assert not admitted(kind, body)


def test_what_a_console_says_is_judged_alike() -> None:
    for body in ({"console": "console-1"}, {"console": "console-1", "screens": 2, "armed": 1, "closing": True}):
        assert decoded(ConsoleTold, body)
        assert admitted(ConsoleTold, body)
    for body in ({}, {"console": "c"}, {"console": "console-1", "screens": -1}, {"console": "console-1", "more": 1}):
        assert not decoded(ConsoleTold, body)
        assert not admitted(ConsoleTold, body)
