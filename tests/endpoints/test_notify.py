"""Notifications reach everyone whom the settings name, at least once, and say what happened to them."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import stamina
import structlog

from endpoints import notify
from endpoints.notify import CommandSink, DeliveryError, LogSink, Notifier, WebhookSink
from protocol.core.alarms import Alarm, AlarmCode
from protocol.core.effects import Notify
from protocol.wire.messages import Reference

ALARM = Notify(
    id="alarm/broker_unreachable/broker/2022-11-29T16:00:00.000Z",
    kind="alarm",
    alarm=Alarm(
        code=AlarmCode.BROKER_UNREACHABLE,
        severity="critical",
        subject="broker",
        raised_at="2022-11-29T16:00:00.000Z",
        detected_at="2022-11-29T16:00:30.000Z",
    ),
)
MESSAGE = Notify(
    id="message/ndmc/1/7",
    kind="message",
    reference=Reference("ndmc", 1, 7),
    body={"type": "alert", "text": {"ru": "Ы"}},
)


@pytest.fixture(autouse=True)
def without_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


class Hook:
    """An HTTP server that answers with the given codes, one after the other, then 204."""

    def __init__(self, codes: list[int]) -> None:
        self.got: list[tuple[dict[str, str], Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.got.append((dict(self.headers), json.loads(body)))
                self.send_response(codes.pop(0) if codes else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?token=secret"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook([])
    yield hook
    hook.close()


async def delivered(*effects: Notify, sinks: list[notify.Sink]) -> dict[str, bool]:
    """Deliver; return what was reported of each, by id."""
    done: dict[str, bool] = {}
    all_done = asyncio.Event()

    def report(_link: str, notice: str, reached: bool) -> None:
        done[notice] = reached
        if len(done) == len(effects):
            all_done.set()

    notifier = Notifier(sinks, report)
    for effect in effects:
        notifier.submit("eucom-ndmc", "eucom", effect)
    await asyncio.wait_for(all_done.wait(), 20)
    await notifier.close()
    return done


def test_a_notice_says_whose_it_is_and_names_messages_as_commands_do() -> None:
    assert notify.notice("eucom-ndmc", "eucom", MESSAGE) == {
        "id": "message/ndmc/1/7",
        "link": "eucom-ndmc",
        "side": "eucom",
        "kind": "message",
        "reference": "ndmc/1/7",
        "body": {"type": "alert", "text": {"ru": "Ы"}},
    }
    assert notify.notice("eucom-ndmc", "eucom", ALARM)["alarm"]["code"] == "broker_unreachable"


async def test_a_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    with structlog.testing.capture_logs() as lines:
        assert await delivered(ALARM, sinks=[LogSink()]) == {ALARM.id: True}

    assert [(line["event"], line["id"]) for line in lines] == [("notification", ALARM.id)]
    assert capsys.readouterr().out == ""


async def test_a_command_gets_it_on_standard_input_and_none_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECONFLICT_WEBHOOK", "secret")
    script = (
        f'cat >> {tmp_path}/got; printf "%s" "$DECONFLICT_WEBHOOK" >> {tmp_path}/leak; test -f {tmp_path}/again || '
    )
    script += f"{{ touch {tmp_path}/again; exit 3; }}"

    with structlog.testing.capture_logs() as lines:
        assert await delivered(MESSAGE, sinks=[CommandSink(["/bin/sh", "-c", script])]) == {MESSAGE.id: True}

    got = [json.loads(line) for line in (tmp_path / "got").read_text().splitlines()]
    assert [each["id"] for each in got] == [MESSAGE.id, MESSAGE.id]
    assert got[0]["body"]["text"] == {"ru": "Ы"}
    assert (tmp_path / "leak").read_text() == ""
    assert "secret" not in str(lines)


@pytest.mark.parametrize(
    ("argv", "why"), [(["/no/such/program"], "cannot be started"), (["/bin/sh", "-c", "exit 7"], "exit status 7")]
)
async def test_a_command_that_fails_is_given_up_after_its_last_try(argv: list[str], why: str) -> None:
    with structlog.testing.capture_logs() as lines:
        assert await delivered(ALARM, sinks=[CommandSink(argv)]) == {ALARM.id: False}

    last = [line for line in lines if line["event"] == "notification not delivered"]
    assert [(line["id"], line["sink"]) for line in last] == [(ALARM.id, "command")]
    assert why in last[0]["why"]


async def test_a_command_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "COMMAND_TIMEOUT_S", 0.2)

    with pytest.raises(DeliveryError, match="still running"):
        await CommandSink(["/bin/sleep", "60"]).deliver({"id": "x"})


async def test_a_webhook_is_repeated_until_it_is_taken(hook: Hook) -> None:
    hook.close()
    busy = Hook([500, 429])
    with structlog.testing.capture_logs() as lines:
        assert await delivered(ALARM, sinks=[WebhookSink(busy.url)]) == {ALARM.id: True}

    assert [body["id"] for _, body in busy.got] == [ALARM.id] * 3
    assert busy.got[0][0]["idempotency-key"] == ALARM.id
    assert "secret" not in str(lines)
    busy.close()


async def test_a_webhook_that_nobody_serves_is_given_up_and_its_address_never_logged(hook: Hook) -> None:
    hook.close()
    with structlog.testing.capture_logs() as lines:
        assert await delivered(ALARM, sinks=[WebhookSink(hook.url)]) == {ALARM.id: False}

    assert "secret" not in str(lines)


async def test_everyone_is_told_although_one_of_them_fails(hook: Hook) -> None:
    with structlog.testing.capture_logs() as lines:
        sinks: list[notify.Sink] = [CommandSink(["/bin/false"]), WebhookSink(hook.url), LogSink()]
        assert await delivered(ALARM, MESSAGE, sinks=sinks) == {ALARM.id: False, MESSAGE.id: False}

    assert sorted(body["id"] for _, body in hook.got) == sorted([ALARM.id, MESSAGE.id])
    assert len([line for line in lines if line["event"] == "notification"]) == 2


async def test_nobody_to_tell_is_told_at_once() -> None:
    assert await delivered(ALARM, sinks=[]) == {ALARM.id: True}


async def test_more_than_anybody_takes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "WAITING_MAX", 2)
    done: list[tuple[str, bool]] = []
    notifier = Notifier(
        [CommandSink(["/bin/sleep", "60"])], lambda _link, notice, reached: done.append((notice, reached))
    )
    with structlog.testing.capture_logs():
        for _ in range(3):
            notifier.submit("eucom-ndmc", "eucom", ALARM)

    assert done == [(ALARM.id, False)]
    await notifier.close()
    assert done == [(ALARM.id, False)]
