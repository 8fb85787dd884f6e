"""Whatever is handed outside has a limit in time and bytes, and one sink that fails holds up no other."""

from __future__ import annotations

import asyncio
import gzip
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import stamina
import structlog
import trustme
from msgspec import structs

from endpoints import bounded_http, notify, sinks
from endpoints.errors import UserError
from endpoints.sinks import CommandSink, DeadMan, DeliveryError, LogSink, Sink, WebhookSink
from protocol.core.alarms import AlarmCode
from tests.endpoints.test_notify import ALARM, MESSAGE, Health, delivered

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
NOTICE = {"id": "alarm/1", "text": "Ы"}
GROWTH_MAX_BYTES = 50 * 2**20
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture(autouse=True)
def soon_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing may take longer than the limit, which is short here."""
    monkeypatch.setattr(bounded_http, "WITHIN_S", 0.5)
    monkeypatch.setattr(sinks, "COMMAND_WITHIN_S", 0.5)
    with stamina.set_testing(True, attempts=2):
        yield


@asynccontextmanager
async def server(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve every connection with `serve`; yield the URL."""

    serving: set[asyncio.Task[None]] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(connection(reader, writer)))

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        port = listening.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/hook?token=secret"
    finally:
        listening.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line), 0)
    await reader.readexactly(length)


async def one_byte_at_a_time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    for byte in b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del writer
    await reader.read()


async def unread(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)


def endless(head: bytes, more: bytes) -> Serve:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head)
        while True:
            writer.write(more)
            await writer.drain()

    return flood


BOMB = gzip.compress(bytes(100 * 2**20), 1)


async def bomb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB)
    await writer.drain()


async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.transport.abort()


def answers(data: bytes) -> Serve:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(data)
        await writer.drain()

    return answer


def memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        (one_byte_at_a_time, "no answer within"),
        (silent, "no answer within"),
        (endless(b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 1_000 + b"\r\n"), "longer than 16384 bytes"),
        (endless(b"HTTP/1.1 200 OK\r\nx: ", b"y" * 65_536), "longer than 16384 bytes"),
        (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000), "longer than 16384 bytes"),
        (endless(b"", b"\0" * 65_536), "longer than|does not speak HTTP"),
        (answers(b"HTTP/1.1 302 Found\r\nLocation: /hook\r\n\r\n"), "it answers 302"),
        (
            answers(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            "101|not speak HTTP",
        ),
        (answers(b"220 mail.example ESMTP\r\n\r\n"), "does not speak HTTP"),
        (answers(b""), "closed without an answer"),
        (breaks_off, "connection"),
        (answers(b"HTTP/1.1 500 Oh\r\n\r\n"), "it answers 500"),
    ],
)
async def test_a_hostile_receiver_fails_soon_and_costs_no_memory(serve: Serve, why: str) -> None:
    async with server(serve) as url:
        before = memory_bytes()
        for send in (partial(WebhookSink(url).deliver, NOTICE), DeadMan(url).ping):
            async with asyncio.timeout(5):
                with pytest.raises(DeliveryError, match=why) as failed:
                    await send()
            assert "secret" not in str(failed.value)
            assert "127.0.0.1" not in str(failed.value)
        assert memory_bytes() - before < GROWTH_MAX_BYTES


@pytest.mark.parametrize(
    "serve",
    [endless(b"HTTP/1.1 200 OK\r\n\r\n", b"y" * 65_536), bomb, answers(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)],
)
async def test_the_body_of_an_answer_is_left_unread(serve: Serve) -> None:
    async with server(serve) as url:
        before = memory_bytes()
        async with asyncio.timeout(5):
            await WebhookSink(url).deliver(NOTICE)
            await DeadMan(url).ping()
        assert memory_bytes() - before < GROWTH_MAX_BYTES + 2 * 2**20


async def test_a_receiver_that_reads_nothing_of_a_large_notice_fails_soon() -> None:
    async with server(unread) as url:
        with pytest.raises(DeliveryError, match="no answer within"):
            await WebhookSink(url).deliver(NOTICE | {"body": "x" * 30_000_000})


async def test_a_name_that_does_not_resolve_and_a_port_where_nobody_listens_are_told_apart() -> None:
    for url, why in (
        ("http://no-such-host.invalid/hook?token=secret", "does not resolve|name service"),
        ("http://broker..example.org/", "does not resolve"),
        ("http://127.0.0.1:1/hook?token=secret", "connection refused"),
    ):
        with pytest.raises(DeliveryError, match=why) as failed:
            await WebhookSink(url).deliver(NOTICE)
        assert "secret" not in str(failed.value)


async def test_an_https_receiver_under_an_authority_of_ones_own(tmp_path: Path) -> None:
    ours, foreign = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(tmp_path / "ours.pem")
    foreign.cert_pem.write_to_path(tmp_path / "foreign.pem")
    (tmp_path / "none.pem").write_text("no certificate")
    right, wrong = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
    )
    ours.issue_cert("127.0.0.1").configure_cert(right)
    ours.issue_cert("pager.example").configure_cert(wrong)
    async with server(answers(OK), right) as url:
        await WebhookSink(url, tmp_path / "ours.pem").deliver(NOTICE)
        await DeadMan(url, tmp_path / "ours.pem").ping()
        for authority in (tmp_path / "foreign.pem", None):
            with pytest.raises(DeliveryError, match="from an unknown authority"):
                await WebhookSink(url, authority).deliver(NOTICE)
        with pytest.raises(DeliveryError, match=r"none\.pem: not a certificate"):
            await WebhookSink(url, tmp_path / "none.pem").deliver(NOTICE)
        with pytest.raises(UserError, match=r"gone\.pem"):
            bounded_http.trusted(tmp_path / "gone.pem")
    async with server(answers(OK), wrong) as url:
        with pytest.raises(DeliveryError, match="for another address"):
            await WebhookSink(url, tmp_path / "ours.pem").deliver(NOTICE)
    async with server(silent) as url:
        with pytest.raises(DeliveryError, match="no answer within"):
            await WebhookSink(url.replace("http:", "https:"), tmp_path / "ours.pem").deliver(NOTICE)
    async with server(answers(b"nonsense")) as url:
        with pytest.raises(DeliveryError):
            await WebhookSink(url.replace("http:", "https:"), tmp_path / "ours.pem").deliver(NOTICE)


# --- commands -----------------------------------------------------------------------------------------------------


async def test_a_command_may_leave_its_input_unread() -> None:
    await CommandSink(["/bin/true"]).deliver(NOTICE | {"body": "x" * 1_000_000})


async def test_a_command_that_never_ends_is_killed_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {pid}.new; mv {pid}.new {pid}; trap '' TERM; sleep 60; sleep 60"
    with pytest.raises(DeliveryError, match="still runs"):
        await CommandSink(["/bin/sh", "-c", script]).deliver(NOTICE)
    await gone(int(pid.read_text()))


async def test_a_child_that_outlives_the_command_holds_nothing_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    async with asyncio.timeout(5):
        await CommandSink(["/bin/sh", "-c", f"sleep 60 & echo $! > {pid}"]).deliver(NOTICE)
    await gone(int(pid.read_text()))


async def gone(pid: int) -> None:
    """Wait until a process has ended; one that nobody has waited for may remain as a zombie."""
    async with asyncio.timeout(5):
        while running(pid):  # noqa: ASYNC110 - the kernel signals nothing for another's child
            await asyncio.sleep(0.01)


def running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_nothing_of_a_command_is_kept(tmp_path: Path) -> None:
    before = descriptors()
    with structlog.testing.capture_logs():
        for argv in (["/bin/true"], ["/bin/false"], [str(tmp_path / "none")], ["/bin/sleep", "60"]):
            await delivered(ALARM, sinks=[CommandSink(argv)])
    assert descriptors() <= before + 2


# --- several sinks ------------------------------------------------------------------------------------------------


async def test_a_sink_that_hangs_holds_up_neither_the_others_nor_later_notifications(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notify, "DELIVER_WITHIN_S", 1.0)
    many = [structs.replace(MESSAGE, id=f"message/{number}") for number in range(60)]
    async with server(silent) as url:
        with structlog.testing.capture_logs() as lines:
            hanging: list[Sink] = [WebhookSink(url), LogSink()]
            done = await asyncio.wait_for(delivered(*many, sinks=hanging), 10)
    assert set(done.values()) == {False}
    assert len([line for line in lines if line["event"] == "notification"]) == len(many)
    assert len([line for line in lines if line["event"] == "notification not delivered"]) == len(many)


async def test_a_sink_is_reported_when_it_fails_and_when_it_works_again() -> None:
    health = Health()
    code = [500, 500, 204]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 %d X\r\n\r\n" % (code.pop(0) if code else 204))
        await writer.drain()

    async with server(serve) as url:
        with structlog.testing.capture_logs():
            assert await delivered(ALARM, sinks=[WebhookSink(url)], health=health) == {ALARM.id: False}
            assert await delivered(ALARM, sinks=[WebhookSink(url)], health=health) == {ALARM.id: True}
    assert health.told == [("webhook", "it answers 500"), ("webhook", "works")]


async def test_the_alarm_about_a_sink_does_not_raise_itself_again() -> None:
    assert not isinstance(ALARM.alarm, type)
    about = structs.replace(
        ALARM,
        alarm=structs.replace(ALARM.alarm, code=AlarmCode.SINK_FAILING, subject="command"),  # type: ignore[type-var]
    )
    health = Health()
    with structlog.testing.capture_logs():
        assert await delivered(about, sinks=[CommandSink(["/bin/false"])], health=health) == {about.id: False}
    assert health.told == []


async def test_a_log_that_nobody_reads_fails() -> None:
    def refuse(_logger: object, _level: str, _event: object) -> str:
        raise structlog.DropEvent

    class Full:
        def warning(self, *_: object) -> bool:
            return False

    structlog.configure(processors=[lambda _logger, _level, event: str(event)], logger_factory=lambda *_: Full())
    try:
        with pytest.raises(DeliveryError, match="standard output"):
            await LogSink().deliver(NOTICE)
    finally:
        structlog.reset_defaults()


async def test_the_limits_are_kept_in_real_time() -> None:
    """Not only as exceptions: the loop itself is not held up by a flood."""
    async with server(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000)) as url:
        began = time.monotonic()
        with pytest.raises(DeliveryError):
            await WebhookSink(url).deliver(NOTICE)
        assert time.monotonic() - began < 5
