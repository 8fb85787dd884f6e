from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from endpoints.clocks.clock import SystemClock
from endpoints.control.application import Control
from endpoints.control.request_body import EXPECTED, decode_request
from endpoints.control.requests import ACTIONS, AskAlert, ConsoleTold
from endpoints.keys.officer_credentials import OfficerCredentials
from endpoints.runtime.console_screens import ConsoleScreens
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.ports import Now
from endpoints.runtime.reloading import Reloaded
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.wire.instants import parsed
from protocol.wire.messages import Area
from tests.support.hand_turned import LINK, Machine
from tests.vectors.terms import receipt_frame

ALERT = {
    "request": "12345678",
    "officer": "watch-1",
    "credential": "secret",
    "category": "stray_munition",
    "precedence": "routine",
    "expires_in_s": 60,
}


@pytest.mark.parametrize("escaped", [False, True], ids=["UTF-8", "escaped"])
def test_text_typed_in_decomposed_form_is_composed(*, escaped: bool) -> None:
    """SPEC F4.4: a keyboard that writes й as two characters must not cost an officer their alert."""
    body = msgspec.json.encode({**ALERT, "text": {"ru": "Чужо\u0438\u0306 снаряд"}})
    if escaped:
        body = body.decode().replace("\u0306", "\\u0306").encode()
    ask = decode_request(body, AskAlert)
    assert isinstance(ask, AskAlert)
    assert ask.text == {"ru": "Чужо\u0439 снаряд"}


@pytest.mark.parametrize("text", ["a\n\u0303b", 'a"\u0303b', "\u0303b", "\\\u0303"])
def test_a_combining_character_after_an_escape_stays_as_it_is(text: str) -> None:
    """SPEC F4.4: each text is composed by itself, not the JSON around it."""
    for body in (msgspec.json.encode({**ALERT, "text": {"ru": text}}), json.dumps({**ALERT, "text": {"ru": text}})):
        ask = decode_request(body.encode() if isinstance(body, str) else body, AskAlert)
        assert isinstance(ask, AskAlert)
        assert ask.text == {"ru": text}


def test_a_character_newer_than_unicode_14_is_refused_by_its_field() -> None:
    """SPEC F4.4: the peer would refuse the whole frame, and the direction would stand still."""
    for field, at in (("text", "text.ru"), ("cancellation", "cancellation.ru")):
        body = msgspec.json.encode({**ALERT, "text": {"ru": "Снаряд"}} | {field: {"ru": "Снаряд \U0001fae8"}})
        with pytest.raises(LocalProtocolError) as refused:
            decode_request(body, AskAlert)
        assert refused.value.code == "not_writable"
        assert refused.value.detail.startswith(f"{at}: U+1FAE8 is not a character of Unicode 14.0")


def test_a_credential_may_contain_any_character() -> None:
    body = msgspec.json.encode({**ALERT, "credential": "пароль\U0001fae8", "text": {"en": "x"}})
    assert decode_request(body, AskAlert).credential == "пароль\U0001fae8"


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b"null", b"[]", b'{"request": 1}'])
def test_what_is_no_request_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="not a valid request for this action"):
        decode_request(body, AskAlert)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("text", {"ru": "Д" * 5_000}, "text: expected 1 to 4000 characters; of an alert"),
        ("text", {"english": "x"}, "text: expected 1 to 4000 characters"),
        ("event_at", "now", "event_at: expected an instant such as 2022-11-29T16:00:00.000Z"),
        ("expires_in_s", 60 * 86_400, "expires_in_s: expected whole seconds from 1 to 2678400, which is 31 days"),
        ("area", {"name": "Dam"}, "area.latitude_udeg is missing: expected millionths of a degree from -90000000"),
        ("category", "complaint", "category: expected one of critical_infrastructure, stray_munition, "),
        ("officer", "A B", "officer: expected an id of at most 32 lower-case letters, digits and hyphens"),
        ("mood", "good", "mood is unknown here"),
        ("references", ["x" * 101], "references: expected at most 16 messages such as eucom/1/42"),
    ],
)
def test_a_wrong_field_is_named_with_what_would_be_right(field: str, value: Any, said: str) -> None:
    body = msgspec.json.encode({**ALERT, "text": {"ru": "Снаряд"}} | {field: value})
    with pytest.raises(LocalProtocolError) as refused:
        decode_request(body, AskAlert)
    assert refused.value.code == "bad_request"
    assert refused.value.detail.startswith(f"not a valid request for this action: {said}")
    assert not set("$`^\\") & set(refused.value.detail)


def test_a_control_character_is_refused_by_its_place_in_the_text() -> None:
    for text, code in (("Дамба\tсевер", "0009"), ("Дамба\x85", "0085"), ("Дамба\r\n", "000D")):
        body = msgspec.json.encode({**ALERT, "text": {"ru": text}})
        with pytest.raises(LocalProtocolError) as refused:
            decode_request(body, AskAlert)
        assert refused.value.code == "not_writable"
        assert refused.value.detail.startswith(f"text.ru: character 6 is the control character U+{code}")
    assert decode_request(msgspec.json.encode({**ALERT, "text": {"ru": "Дамба\nсевер"}}), AskAlert)


def test_every_field_of_every_action_has_its_words() -> None:
    kinds: list[type[msgspec.Struct]] = [*ACTIONS.values(), Area, ConsoleTold]
    fields = {field.encode_name for kind in kinds for field in msgspec.structs.fields(kind)}
    assert fields == set(EXPECTED)


def test_an_alert_ends_once_and_within_a_month() -> None:
    now = Now(at=parsed("2022-11-29T16:00:00.000Z"), mono=1, real_s=1)
    base = {name: value for name, value in ALERT.items() if name != "expires_in_s"} | {"text": {"ru": "Снаряд"}}

    def expires(**fields: Any) -> str:
        event: Any = decode_request(msgspec.json.encode(base | fields), AskAlert).event(now)
        return str(event.expires_at)

    assert expires(expires_in_s=60) == "2022-11-29T16:01:00.000Z"
    assert expires(expires_at="2022-12-30T16:00:00.000Z") == "2022-12-30T16:00:00.000Z"
    for wrong in (
        {},
        {"expires_in_s": 60, "expires_at": "2022-11-29T17:00:00.000Z"},
        {"expires_at": "2022-12-30T16:00:00.001Z"},
        {"expires_at": "2022-13-30T16:00:00.000Z"},
    ):
        with pytest.raises(LocalProtocolError, match=r"alert ends|expires_at: "):
            expires(**wrong)


async def no_reload() -> Reloaded:
    raise AssertionError


def no_screens(machine: Machine) -> ConsoleScreens:
    return ConsoleScreens({LINK: machine.runner}, machine.loop.queue, SystemClock().real_ms, configured=False)


async def test_an_error_says_what_its_detail_is_made_from(tmp_path: Path) -> None:
    """So that the client can show it in another language."""
    eucom = Machine(tmp_path, "eucom")
    officers = OfficerCredentials({}, SystemClock().real_ms)
    control = Control(eucom.loop, {LINK: eucom.runner}, officers, SystemClock(), ACTIONS, no_reload, no_screens(eucom))
    detail = phrase("{link} has {count} more", link=LINK, count=7)

    for error, made_from in ((detail, {"text": detail.template, "values": detail.values}), (str(detail), None)):
        answer = await control._local_error(asked(), LocalProtocolError("busy", error))
        document = msgspec.json.decode(bytes(answer.body))
        assert document["detail"] == detail
        assert document.get("said") == made_from


def asked(**path: str) -> Request:
    return Request({"type": "http", "path_params": {"link": LINK, **path}, "query_string": b"", "headers": []})


async def test_nothing_of_a_stopped_link_is_said_to_be_journaled(tmp_path: Path) -> None:
    """SPEC R2: what its core holds beyond the last flush may not be on disk."""
    eucom = Machine(tmp_path, "eucom")
    runners: dict[str, AnyRunner] = {LINK: eucom.runner}
    control = Control(
        eucom.loop,
        runners,
        OfficerCredentials({}, SystemClock().real_ms),
        SystemClock(),
        ACTIONS,
        no_reload,
        no_screens(eucom),
    )
    eucom.asks()
    eucom.turn()
    shown: Any = await control._progress(asked(reference="eucom/1/1"))
    assert isinstance(shown, StreamingResponse)
    ladders: Any = aiter(shown.body_iterator)
    assert msgspec.json.decode(await anext(ladders))["steps"] == ["journaled"]

    # a receipt and another alert, neither of them on disk
    eucom.breaks()
    eucom.arrives(receipt_frame("ndmc", 1, eucom.ours.head))
    eucom.asks("request-2")
    eucom.turn()
    assert eucom.ours.last == 2
    following: asyncio.Task[Any] = asyncio.create_task(anext(ladders, None))
    await asyncio.wait([following], timeout=0.05)
    assert not following.done()
    for asking in (control._progress(asked(reference="eucom/1/2")), control._snapshot(asked())):
        with pytest.raises(LocalProtocolError, match="this link has stopped") as stopped:
            await asking
        assert stopped.value.code == "link_stopped"
    status: Any = await control._status(asked())
    assert msgspec.json.decode(status.body)["state"] == "alarm"

    # the room that follows knows what is on disk
    eucom.dies()
    before = eucom.runner
    eucom.up()
    runners[LINK] = eucom.runner
    before.changed.send()
    eucom.arrives(receipt_frame("ndmc", 1, eucom.ours.head))
    eucom.turn()
    async with asyncio.timeout(60):
        line = await following
    assert msgspec.json.decode(line)["steps"] == ["journaled", "broker", "received"]
    control.close()
    eucom.dies()
