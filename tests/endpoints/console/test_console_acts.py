"""Acts of officers: what a page may send, what becomes of it, and each answer in one sentence of its language."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from endpoints.console.acts import ACTS, ActFailed, Acts, Refused
from endpoints.console.condition import Condition
from endpoints.console.credential_attempts import CredentialAttempts, Sender
from endpoints.console.facts import Facts
from endpoints.console.screens.message_acts import acts_of
from endpoints.keys import attempt_throttle
from endpoints.keys.attempt_throttle import PACE_MS, QUEUED_MAX
from endpoints.texts.i18n import translator
from protocol.wire.instants import written
from protocol.wire.messages import Reference
from tests.support.console_facts import facts_of
from tests.support.exchange import Exchange
from tests.support.small_day import begun
from tests.support.world import HOUR

EN, RU = translator("en"), translator("ru")
RIGHT, WRONG = "right", "wrong"
SEEN = "0" * 64
ACKNOWLEDGE = {"of": "ndmc/1/1", "decision": "understood", "seen": SEEN}


async def begin(*_: object) -> None:
    raise AssertionError("no act here begins a session")


class Endpoint:
    """A small stand-in for the endpoint at its socket, and the acts of a console that asks it."""

    def __init__(self, folder: Path, facts: Facts) -> None:
        self.now = 1_000_000
        self.facts = facts
        self.asked: list[dict[str, Any]] = []
        # what it answers to the right credential: status and document; nothing at all for a status of 0
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.control = folder / "control.sock"
        self.attempts = CredentialAttempts(lambda: self.now)
        self.acts = Acts(self.control, self.attempts)
        self.gone = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        document = json.loads(await reader.readexactly(length))
        self.asked.append({"action": head.split()[1].decode().rpartition("/")[2], **document})
        status, body = 403, {"code": "not_authorised", "detail": "not enrolled here"}
        if document["credential"] == RIGHT:
            status, body = self.answers.pop(0) if self.answers else (200, {"reference": "eucom/1/7"})
        if status:
            content = json.dumps(body).encode()
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(content)))
            writer.write(content)
            await writer.drain()
        writer.close()

    async def act(self, name: str = "acknowledge", browser: str = "b1", t: Any = EN, **fields: Any) -> dict[str, Any]:
        """Carry out an act; return the document of the answer. Raises ActFailed."""

        async def abandoned() -> bool:
            return self.gone

        document = {"request": "request-1", "credential": RIGHT, **(ACKNOWLEDGE if name == "acknowledge" else {})}
        body = json.dumps({key: value for key, value in (document | fields).items() if value is not None}).encode()
        sender = Sender(browser=browser, source="127.0.0.1", abandoned=abandoned)
        async with asyncio.timeout(20):
            answer = await self.acts.perform(name, body, self.facts, "0123456789abcdef", sender, t, begin)
        assert answer.status_code == HTTPStatus.OK
        assert answer.headers["cache-control"] == "no-store"
        return dict(json.loads(bytes(answer.body)))

    async def refused(self, name: str = "acknowledge", t: Any = EN, **fields: Any) -> tuple[HTTPStatus, Refused]:
        with pytest.raises(ActFailed) as failed:
            await self.act(name, t=t, **fields)
        return failed.value.status, failed.value.answer


@pytest.fixture
async def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    monkeypatch.setattr(attempt_throttle, "LOOK_S", 0)
    found = Endpoint(tmp_path, await facts_of(begun(tmp_path / "exchange")))
    server = await asyncio.start_unix_server(found.answer, found.control)
    async with server:
        yield found


async def test_an_act_is_asked_for_in_the_name_of_the_sessions_officer(endpoint: Endpoint) -> None:
    answer = await endpoint.act(text={"en": "Thank you.", "ru": "  "})

    assert endpoint.asked == [
        {
            "action": "acknowledge",
            "request": "request-1",
            "officer": "watch-1",
            "credential": RIGHT,
            "session": "0123456789abcdef",
            "of": "ndmc/1/1",
            "decision": "understood",
            "text": {"en": "Thank you."},
            "seen": SEEN,
        }
    ]
    assert answer["reference"] == "eucom/1/7"
    assert answer["said"] == "Said to ndmc as watch-1, in eucom/1/7: acknowledged (ndmc/1/1), understood."


@pytest.mark.parametrize(
    ("name", "fields", "asked"),
    [
        ("refuse", {"of": "ndmc/1/1", "reason": "expired"}, {"of": "ndmc/1/1", "reason": "expired"}),
        (
            "refuse",
            {"of": "ndmc/1/1", "reason": "out_of_scope", "referral": "phone"},
            {"of": "ndmc/1/1", "reason": "out_of_scope", "referral": "phone"},
        ),
        ("cancel", {"of": "eucom/1/1"}, {"of": "eucom/1/1"}),
        (
            "acknowledge-alarm",
            {"alarm": "clock_skew/a/b", "seen": None},
            {"code": "clock_skew", "subject": "a/b", "seen": None},
        ),
        (
            "acknowledge-alarm",
            {"alarm": "keys_changed/0", "words": [" Alpha", "bravo ", "charlie"], "seen": None},
            {"code": "keys_changed", "subject": "0", "words": ["Alpha", "bravo", "charlie"], "seen": None},
        ),
    ],
)
async def test_each_act_becomes_its_request(
    name: str, fields: dict[str, Any], asked: dict[str, Any], endpoint: Endpoint
) -> None:
    channels = endpoint.facts.link.terms.policy.channels
    known = {key: channels[0].id if value == "phone" else value for key, value in fields.items()}
    for t in (EN, RU):
        answer = await endpoint.act(name, t=t, **({"seen": SEEN} | known))
        assert "eucom/1/7" in answer["said"]
    wanted = {key: channels[0].id if value == "phone" else value for key, value in ({"seen": SEEN} | asked).items()}
    found = endpoint.asked[0]
    assert {key: found.get(key) for key in wanted} == wanted


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "no decision": ("acknowledge", {"decision": None}, "decision"),
    "an unknown decision": ("acknowledge", {"decision": "maybe"}, "decision"),
    "no reason": ("refuse", {"of": "ndmc/1/1", "seen": SEEN}, "reason"),
    "out of scope without a channel": (
        "refuse",
        {"of": "ndmc/1/1", "seen": SEEN, "reason": "out_of_scope"},
        "referral",
    ),
    "an unknown channel": ("refuse", {"of": "x", "seen": SEEN, "reason": "expired", "referral": "pigeon"}, "referral"),
    "a text that is too long": ("acknowledge", {"text": {"en": "x" * 4_001}}, "text.en"),
    "a control character": ("acknowledge", {"text": {"ru": "тихо\x07громко"}}, "text.ru"),
    "a language of no one": ("acknowledge", {"text": {"tlh": "nuqneH"}}, "text"),
    "no credential": ("acknowledge", {"credential": None}, "credential"),
    "an endless credential": ("acknowledge", {"credential": "x" * 2_000}, "credential"),
    "nothing seen": ("acknowledge", {"seen": None}, "seen"),
    "two words of three": ("acknowledge-alarm", {"alarm": "keys_changed/0", "words": ["a", "b"]}, "words"),
    "an empty word": ("acknowledge-alarm", {"alarm": "keys_changed/0", "words": ["a", " ", "b"]}, "words"),
    "another field": ("acknowledge", {"officer": "watch-2"}, ""),
    "a number for a text": ("acknowledge", {"of": 7}, ""),
    "a request id of no one": ("acknowledge", {"request": "x y"}, ""),
    "half a letter": ("acknowledge", {"text": {"en": "\ud800"}}, ""),
}


@pytest.mark.parametrize("kind", list(BAD))
async def test_what_was_typed_wrongly_is_named_before_the_endpoint_is_asked(kind: str, endpoint: Endpoint) -> None:
    name, fields, field = BAD[kind]
    sentences = []
    for t in (EN, RU):
        status, answer = await endpoint.refused(name, t=t, **fields)
        assert (status, answer.error, answer.field) == (HTTPStatus.BAD_REQUEST, "bad_request", field)
        assert "\n" not in answer.why
        assert not answer.unknown
        sentences.append(answer.why)
    assert sentences[0] != sentences[1]
    assert not endpoint.asked


async def test_an_unknown_act_and_a_body_of_anything_are_refused(endpoint: Endpoint) -> None:
    status, answer = await endpoint.refused("launch")
    assert (status, answer.error) == (HTTPStatus.NOT_FOUND, "unknown_act")

    async def abandoned() -> bool:
        return False

    sender = Sender(browser="b1", source="x", abandoned=abandoned)
    for body in (b"", b"{", b"[]", b"null", b"\xff", b"[" * 10_000, b'{"request": "request-1"} trailing'):
        with pytest.raises(ActFailed) as failed:
            await endpoint.acts.perform("acknowledge", body, endpoint.facts, "0" * 16, sender, EN, begin)
        assert failed.value.status == HTTPStatus.BAD_REQUEST
    assert not endpoint.asked


async def test_nothing_is_asked_of_an_endpoint_that_does_not_answer(endpoint: Endpoint) -> None:
    endpoint.facts = structs.replace(
        endpoint.facts, condition=Condition(state="endpoint_gone", detail="Its process does not run.")
    )
    status, answer = await endpoint.refused()
    assert (status, answer.error, answer.unknown) == (HTTPStatus.SERVICE_UNAVAILABLE, "not_current", False)
    assert answer.why == "nothing was said: the endpoint does not answer: Its process does not run."
    assert not endpoint.asked


async def test_an_answer_that_is_lost_leaves_it_open_and_the_same_act_is_asked_again(endpoint: Endpoint) -> None:
    endpoint.answers = [(0, {}), (200, {"reference": "eucom/1/7"})]
    status, answer = await endpoint.refused()
    assert (status, answer.error, answer.unknown) == (HTTPStatus.SERVICE_UNAVAILABLE, "unanswered", True)
    assert (await endpoint.act())["reference"] == "eucom/1/7"
    assert [each["request"] for each in endpoint.asked] == ["request-1", "request-1"]


async def test_nobody_speaks_for_the_officer_of_an_older_page(endpoint: Endpoint) -> None:
    assert (await endpoint.act(by="watch-1"))["reference"] == "eucom/1/7"
    endpoint.asked.clear()
    status, answer = await endpoint.refused(by="watch-2")
    assert (status, answer.error) == (HTTPStatus.FORBIDDEN, "another_officer")
    assert answer.why == "nothing was said: watch-1 has logged in here meanwhile; reload the page"
    assert not endpoint.asked


async def test_an_alert_that_is_asked_again_has_the_same_times(endpoint: Endpoint) -> None:
    typed: dict[str, Any] = {
        "category": "critical_infrastructure",
        "precedence": "routine",
        "text": {"en": "Checking.", "ru": "Проверка."},
        "where": "none",
        "event_at": "now",
        "expires": "2h",
        "asked_at": str(endpoint.facts.now),
    }
    endpoint.answers = [(0, {}), (200, {"reference": "eucom/1/7"})]
    await endpoint.refused("alert", **typed)
    endpoint.facts = structs.replace(endpoint.facts, now=endpoint.facts.now + 3 * HOUR)
    await endpoint.act("alert", **typed)
    first, second = endpoint.asked
    assert first == second
    # a page's clock that is ahead of the console's counts as right
    ahead = typed | {"asked_at": str(endpoint.facts.now + HOUR), "request": "request-2"}
    await endpoint.act("alert", **ahead)
    assert endpoint.asked[-1]["event_at"] == written(endpoint.facts.now)


async def test_a_process_that_does_not_run_has_done_nothing(endpoint: Endpoint) -> None:
    endpoint.control.unlink()
    status, answer = await endpoint.refused()
    assert (status, answer.error, answer.unknown) == (HTTPStatus.SERVICE_UNAVAILABLE, "unanswered", False)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("changed_since_seen", HTTPStatus.CONFLICT),
        ("already_done", HTTPStatus.CONFLICT),
        ("conflict", HTTPStatus.CONFLICT),
        ("unknown_reference", HTTPStatus.NOT_FOUND),
        ("unknown_alarm", HTTPStatus.NOT_FOUND),
        ("link_stopped", HTTPStatus.SERVICE_UNAVAILABLE),
        ("busy", HTTPStatus.SERVICE_UNAVAILABLE),
        ("throttled", HTTPStatus.TOO_MANY_REQUESTS),
    ],
)
async def test_what_the_endpoint_refuses_is_said_with_what_others_did(
    code: str, status: HTTPStatus, endpoint: Endpoint
) -> None:
    acts = [{"act": "refused", "at": "2022-11-29T16:00:03.000Z", "party": "eucom", "officer": "watch-2"}]
    first = code in {"changed_since_seen", "already_done"}
    endpoint.answers = [(int(status), {"code": code, "detail": "no", **({"acts": acts} if first else {})})] * 2
    for t in (EN, RU):
        found, answer = await endpoint.refused(t=t)
        # a disk that failed may have kept the act
        assert (found, answer.error, answer.unknown) == (status, code, code == "link_stopped")
        assert bool(answer.happened) == first
    if first:
        assert [each.partition("UTC: ")[2] for each in answer.happened] == ["отклонено: eucom, watch-2"]
        assert answer.why == "ничего не сказано: кто-то успел раньше"


async def test_a_wrong_credential_names_nobody_and_makes_only_its_own_browser_wait(endpoint: Endpoint) -> None:
    for browser in ("b1", "b1"):
        asked = asyncio.create_task(endpoint.refused(browser=browser, credential=WRONG))
        while not asked.done():
            await asyncio.sleep(0.01)
            endpoint.now += PACE_MS // 10
        status, answer = asked.result()
        assert (status, answer.error, answer.field) == (HTTPStatus.FORBIDDEN, "not_authorised", "credential")
        assert "watch-2" not in answer.why
    again = asyncio.create_task(endpoint.act(browser="b1"))
    assert await endpoint.act(browser="b2", request="request-2")
    assert not again.done()
    endpoint.now += PACE_MS
    assert await again


async def test_so_many_may_wait_and_the_next_is_told_so(endpoint: Endpoint) -> None:
    await endpoint.refused(browser="b1", credential=WRONG)
    waiting = [asyncio.create_task(endpoint.act(browser="b1", request=f"request-{n}")) for n in range(QUEUED_MAX)]
    await asyncio.sleep(0)
    status, answer = await endpoint.refused(browser="b1")
    assert (status, answer.error) == (HTTPStatus.TOO_MANY_REQUESTS, "throttled")
    assert answer.why == "too many credentials from here wait for their check; try again in half a minute"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_browser_that_has_gone_says_nothing(endpoint: Endpoint) -> None:
    await endpoint.refused(browser="b1", credential=WRONG)
    endpoint.gone = True
    await endpoint.refused(browser="b1")
    assert len(endpoint.asked) == 1


# --- which acts a page offers -------------------------------------------------------------------------------------


async def test_a_page_offers_what_is_possible_now_and_to_an_officer_alone(tmp_path: Path) -> None:
    exchange: Exchange = begun(tmp_path)
    theirs, own = exchange.delivered("ndmc"), exchange.delivered("eucom", cancellation={"en": "Disregard it."})
    facts = await facts_of(exchange)

    def offered(facts: Facts, reference: str) -> set[str]:
        assert facts.history is not None
        found = acts_of(facts.history.ledger.entries[Reference.parse(reference)], facts, EN)
        parts = ("decisions", "reasons", "cancellation", "answers", "changes", "test")
        return {part for part in parts if getattr(found, part)}

    assert offered(facts, theirs) == {"decisions", "reasons", "answers"}
    assert offered(facts, own) == {"cancellation", "changes"}
    assert not offered(structs.replace(facts, officer=""), theirs)
    assert not offered(structs.replace(facts, snapshot=None), own)
    assert facts.snapshot is not None
    said = next(each.cancellation for each in facts.snapshot.alerts if each.reference == own)
    assert said == {"en": "Disregard it."}
    for kind in ACTS.values():
        assert kind.__doc__
