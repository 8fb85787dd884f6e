"""Notifications reach everyone whom the settings name, at least once, and say what happened to them."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import stamina
import structlog
from msgspec import UNSET, structs

from endpoints import notify
from endpoints.notify import Notifier
from endpoints.sinks import CommandSink, DeliveryError, LogSink, Sink, WebhookSink
from endpoints.texts.i18n import translator
from endpoints.texts.notices import NoticeWords, notice
from protocol.core.alarms import Alarm, AlarmCode
from protocol.core.effects import Notify
from protocol.core.staleness import Staleness
from protocol.phrases import phrase
from protocol.wire.instants import parsed
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
NOON = parsed("2022-11-29T12:00:00.000Z")
PURSUIT = {
    "type": "alert",
    "status": "exercise",
    "category": "air_pursuit",
    "precedence": "flash",
    "event_at": "2022-11-22T08:00:00.000Z",
    "expires_at": "2022-11-22T10:00:00.000Z",
    "text": {"en": "Two fighters.\nFINE: nothing", "ru": "Два истребителя."},
    "released_by": ["duty-1", "duty-2"],
}
LAST_WEEK = structs.replace(
    MESSAGE, body=PURSUIT, sent_at="2022-11-22T08:00:00.000Z", received_at="2022-11-29T12:00:00.000Z"
)


def words(lang: str = "en", now: int = NOON) -> NoticeWords:
    return NoticeWords(translator(lang), lambda: now, {"eucom-ndmc": "Europe/Berlin"})


def told(effect: Notify, lang: str = "en", now: int = NOON) -> dict[str, Any]:
    return notice("eucom-ndmc", "eucom", effect, words(lang, now))


@pytest.fixture(autouse=True)
def without_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


class Hook:
    """An HTTP server that answers with the given codes, one after the other, then 204."""

    def __init__(self, codes: list[int]) -> None:
        self.got: list[tuple[dict[str, str], Any]] = []
        self.codes = codes
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


class Health:
    """Keeps what is reported of the sinks."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def failed(self, sink: str, why: str) -> None:
        self.told.append((sink, why))

    def reached(self, sink: str) -> None:
        self.told.append((sink, "works"))


async def delivered(*effects: Notify, sinks: list[Sink], health: Health | None = None) -> dict[str, bool]:
    """Deliver; return what was reported of each, by id."""
    done: dict[str, bool] = {}
    all_done = asyncio.Event()

    def report(_link: str, notice: str, reached: bool) -> None:
        done[notice] = reached
        if len(done) == len(effects):
            all_done.set()

    notifier = Notifier(sinks, report, words(), health or Health())
    for effect in effects:
        notifier.submit("eucom-ndmc", "eucom", effect)
    await asyncio.wait_for(all_done.wait(), 20)
    await notifier.close()
    return done


def test_a_notice_says_whose_it_is_and_names_messages_as_commands_do() -> None:
    assert told(MESSAGE) == {
        "text": 'ndmc/1/7: {"type":"alert","text":{"ru":"Ы"}}',
        "id": "message/ndmc/1/7",
        "link": "eucom-ndmc",
        "side": "eucom",
        "kind": "message",
        "reference": "ndmc/1/7",
        "body": {"type": "alert", "text": {"ru": "Ы"}},
        "sent_at": None,
        "received_at": None,
    }
    assert told(ALARM)["alarm"]["code"] == "broker_unreachable"


@pytest.mark.parametrize(
    ("lang", "begins"),
    [
        (
            "en",
            "EXPIRED BEFORE IT ARRIVED, 7 days ago; OLD, sent 22 Nov 2022, 09:00:00 Europe/Berlin: ndmc/1/7: alert",
        ),
        (
            "ru",
            "СРОК ИСТЁК ДО ПОЛУЧЕНИЯ, 7 дней назад; СТАРОЕ, отправлено 22 нояб. 2022\u202fг., 09:00:00 Europe/Berlin: ",
        ),
    ],
)
def test_the_notice_of_last_weeks_alert_says_so_first(lang: str, begins: str) -> None:
    """SPEC M8.4"""
    found = told(LAST_WEEK, lang)
    assert next(iter(found)) == "text"
    assert found["text"].startswith(begins)
    assert found["stale"] == {"expired_at": PURSUIT["expires_at"], "old_since": LAST_WEEK.sent_at}
    assert (found["sent_at"], found["received_at"]) == (LAST_WEEK.sent_at, LAST_WEEK.received_at)
    assert "\n" not in found["text"]


def test_a_notice_that_a_restored_journal_repeats_is_old_although_its_message_came_in_time() -> None:
    """SPEC M8.4"""
    heartbeat = {"type": "heartbeat", "status": "exercise", "language": "ru", "text": "Как слышите?"}
    heartbeat |= {"challenge": ["а", "б", "в"]}  # type: ignore[dict-item]
    repeated = structs.replace(LAST_WEEK, body=heartbeat, received_at="2022-11-22T08:00:01.000Z")
    assert told(repeated)["text"].startswith("OLD, sent 22 Nov 2022, 09:00:00 Europe/Berlin: ndmc/1/7: line test")
    assert "stale" not in told(repeated, now=parsed("2022-11-22T08:30:00.000Z"))


def test_a_notice_of_a_message_that_is_dated_ahead_says_so_first() -> None:
    """SPEC M8.4"""
    ahead = structs.replace(LAST_WEEK, sent_at="2022-11-29T15:00:00.000Z")
    assert told(ahead)["text"].startswith(
        "EXPIRED BEFORE IT ARRIVED, 7 days ago; DATED AHEAD, 29 Nov 2022, 16:00:00 Europe/Berlin: ndmc/1/7: alert"
    )


def test_the_notice_of_an_alarm_is_old_an_hour_after_it_was_detected_or_cleared() -> None:
    """SPEC M8.4, W4"""
    assert ALARM.alarm is not UNSET
    lost = f"{translator('en').term('alarm', 'broker_unreachable')} (broker)"
    hours = 3_600_000
    detected = parsed(ALARM.alarm.detected_at)
    assert told(ALARM, now=detected + hours)["text"] == lost
    assert told(ALARM, now=detected + hours + 1)["text"] == f"OLD, of 29 Nov 2022, 16:00:30 UTC: {lost}"
    over = structs.replace(
        ALARM, alarm=structs.replace(ALARM.alarm, cleared_at="2022-11-29T18:00:00.000Z", detail="a\nb\x1b[8m")
    )
    assert told(over, now=detected + 2 * hours)["text"] == f"OVER: {lost}: a\\nb\\x1b[8m"


@pytest.mark.parametrize(("lang", "begins"), [("en", "EXPIRED 7 days ago: "), ("ru", "СРОК ИСТЁК 7 дней назад: ")])
def test_the_notice_of_an_alarm_about_an_expired_alert_says_so_first(lang: str, begins: str) -> None:
    """SPEC M8.4, W4"""
    assert ALARM.alarm is not UNSET
    about = structs.replace(ALARM.alarm, stale=Staleness(expired_at="2022-11-22T16:00:00.000Z"))
    found = told(structs.replace(ALARM, alarm=about), lang, parsed("2022-11-29T16:00:31.000Z"))
    assert found["text"].startswith(begins)
    assert found["alarm"]["stale"] == {"expired_at": "2022-11-22T16:00:00.000Z"}


async def test_every_sink_gets_the_text_of_the_moment(hook: Hook, tmp_path: Path) -> None:
    """SPEC M8.4"""
    sinks: list[Sink] = [
        CommandSink(["/bin/sh", "-c", f"cat > {tmp_path}/got"]),
        WebhookSink(hook.url),
        LogSink(),
    ]
    with structlog.testing.capture_logs() as lines:
        assert await delivered(LAST_WEEK, sinks=sinks) == {LAST_WEEK.id: True}
    (command,) = map(json.loads, (tmp_path / "got").read_text().splitlines())
    for got in (command, hook.got[0][1], lines[0]):
        assert got["text"].startswith("EXPIRED BEFORE IT ARRIVED, 7 days ago; OLD, sent ")


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
    ("argv", "why"), [(["/no/such/program"], "cannot be started"), (["/bin/sh", "-c", "exit 7"], "exit status is 7")]
)
async def test_a_command_that_fails_is_given_up_after_its_last_try(argv: list[str], why: str) -> None:
    with structlog.testing.capture_logs() as lines:
        assert await delivered(ALARM, sinks=[CommandSink(argv)]) == {ALARM.id: False}

    last = [line for line in lines if line["event"] == "notification not delivered"]
    assert [(line["id"], line["sink"]) for line in last] == [(ALARM.id, "command")]
    assert why in last[0]["why"]


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
        sinks: list[Sink] = [CommandSink(["/bin/false"]), WebhookSink(hook.url), LogSink()]
        assert await delivered(ALARM, MESSAGE, sinks=sinks) == {ALARM.id: False, MESSAGE.id: False}

    assert sorted(body["id"] for _, body in hook.got) == sorted([ALARM.id, MESSAGE.id])
    assert len([line for line in lines if line["event"] == "notification"]) == 2


async def test_nobody_to_tell_is_told_at_once() -> None:
    assert await delivered(ALARM, sinks=[]) == {ALARM.id: True}


async def test_more_than_anybody_takes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "WAITING_MAX", 2)
    done: list[tuple[str, bool]] = []
    notifier = Notifier(
        [CommandSink(["/bin/sleep", "60"]), LogSink()],
        lambda _link, notice, reached: done.append((notice, reached)),
        words(),
        Health(),
    )
    with structlog.testing.capture_logs() as lines:
        for number in range(3):
            notifier.submit("eucom-ndmc", "eucom", structs.replace(ALARM, id=f"alarm/{number}"))
        async with asyncio.timeout(60):
            while not done:  # noqa: ASYNC110 - the notifier signals nothing else
                await asyncio.sleep(0.001)

    assert done == [("alarm/2", False)]
    await notifier.close()
    assert done == [("alarm/2", False)]
    # another sink is not affected
    assert len([line for line in lines if line["event"] == "notification"]) == 3


async def test_what_is_under_way_is_not_delivered_twice() -> None:
    """A link that starts again in a running process repeats what is not done."""
    done: list[str] = []
    notifier = Notifier([LogSink()], lambda _link, notice, _reached: done.append(notice), words(), Health())
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            notifier.submit("eucom-ndmc", "eucom", ALARM)
        notifier.submit("other-link", "eucom", ALARM)
        async with asyncio.timeout(60):
            while len(done) < 2:  # noqa: ASYNC110 - the notifier signals nothing else
                await asyncio.sleep(0.001)
        notifier.submit("eucom-ndmc", "eucom", ALARM)
        async with asyncio.timeout(60):
            while len(done) < 3:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.001)
    await notifier.close()
    assert [line["link"] for line in lines if line["event"] == "notification"] == [
        "eucom-ndmc",
        "other-link",
        "eucom-ndmc",
    ]


class Full(LogSink):
    """A log that takes nothing the first times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times
        self.tried = 0

    def write(self, notice: Mapping[str, Any]) -> None:
        self.tried += 1
        if self.left:
            self.left -= 1
            raise DeliveryError(phrase("no room"))
        super().write(notice)


@pytest.mark.parametrize(
    ("times", "reached", "told"),
    [
        (0, True, [("log", "works")]),
        # one may be a receiver that restarts
        (2, True, [("log", "works")]),
        (3, True, [("log", "no room"), ("log", "works")]),
        (9, False, [("log", "no room"), ("log", "no room")]),
    ],
)
async def test_a_log_that_is_full_is_tried_again_later_and_reported(
    times: int, reached: bool, told: list[tuple[str, str]]
) -> None:
    log, health = Full(times), Health()
    with structlog.testing.capture_logs() as lines:
        assert await delivered(ALARM, sinks=[log], health=health) == {ALARM.id: reached}
    assert health.told == told
    # at once, and three attempts behind it
    assert log.tried == min(times, 3) + 1
    ends = [line["event"] for line in lines if line["event"].startswith("notification")]
    assert ends == ["notification" if reached else "notification not delivered"]


async def test_it_is_delivered_behind_the_turn_that_asks_for_it() -> None:
    done: list[str] = []
    notifier = Notifier([LogSink()], lambda _link, notice, _reached: done.append(notice), words(), Health())
    with structlog.testing.capture_logs() as lines:
        notifier.submit("eucom-ndmc", "eucom", ALARM)
        assert (lines, done) == ([], [])
        await asyncio.sleep(0)
        assert (len(lines), done) == (1, [ALARM.id])
        notifier.submit("eucom-ndmc", "eucom", MESSAGE)
        await notifier.close()
        await asyncio.sleep(0)
        assert (len(lines), done) == (1, [ALARM.id])


async def test_a_bug_in_the_words_of_one_ends_it_alone() -> None:
    broken = structs.replace(MESSAGE, id="message/broken", received_at="not an instant")
    with structlog.testing.capture_logs() as lines:
        assert await delivered(broken, ALARM, sinks=[LogSink()]) == {broken.id: False, ALARM.id: True}
    bugs = [line["id"] for line in lines if line["event"] == "a bug of ours prevents a notification"]
    assert bugs == [broken.id]
