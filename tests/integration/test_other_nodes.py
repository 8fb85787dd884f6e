"""Both transports go on at another node of the broker, which counts as there once it has accepted the subscriptions."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec import structs

from endpoints.config.broker_settings import Address, BrokerSettings
from endpoints.doctor import broker_probe
from endpoints.mqtt import session
from endpoints.mqtt.closings import REPEATED
from endpoints.mqtt.events import Accepted, Connected, Lost, PublishDenied, TakenOver
from endpoints.mqtt.intervals import Intervals
from tests.support.broker_site import BrokerSite, free_port, now
from tests.support.transport_bench import Bench, Endpoint, Watcher

pytestmark = pytest.mark.integration
NO_PAUSES = Intervals(keepalive_s=60, back_off_min_s=600, back_off_max_s=600, stable_s=0)
"""An attempt after a pause would come too late for any test here."""
SHORT_PAUSES = Intervals(keepalive_s=60, back_off_min_s=0.02, back_off_max_s=0.1)
BENCHES: dict[str, Callable[[BrokerSettings], Bench]] = {
    "eucom": lambda settings: Endpoint(settings, NO_PAUSES),
    "watch": lambda settings: Watcher(settings, NO_PAUSES),
}
ACCEPTED = b"\x20\x03\x00\x00\x00"
SUBSCRIBE, PINGREQ, PINGRESP = 0x82, 0xC0, b"\xd0\0"
PUBLISH = 0x32
"""The first byte of a PUBLISH at QoS 1."""

EAGER = Intervals(keepalive_s=1, back_off_min_s=600, back_off_max_s=600, stable_s=0, presence_s=0.2)
EAGER_BENCHES: dict[str, Callable[[BrokerSettings], Bench]] = {
    "eucom": lambda settings: Endpoint(settings, EAGER),
    "watch": lambda settings: Watcher(settings, EAGER),
}
LEFT_BECAUSE = {
    "eucom": "the broker has answered no publish for 2 s",
    "watch": "nobody is heard at this node; another may hear them",
}

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def node(site: BrokerSite, serve: Serve) -> AsyncIterator[int]:
    """Serve each TLS connection at the port that is yielded, with the broker's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls = site.folder / "broker" / "tls"
    context.load_cert_chain(tls / "server.crt", tls / "server.key")
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)  # type: ignore[arg-type]
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Do TLS and read, as a node does that has lost its cluster."""
    while await reader.read(65_536):
        pass
    writer.close()


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the connection and each subscription, and answer the keepalive: a node that is cut off from the others."""
    await reader.read(65_536)
    writer.write(ACCEPTED)
    with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError):
        while kind := (await reader.readexactly(1))[0]:
            size = await remaining(reader)
            body = await reader.readexactly(size)
            if kind == SUBSCRIBE:
                # of each topic, its length, itself, and the options with the QoS
                granted, place = bytearray(), 3
                while place < size:
                    place += 2 + int.from_bytes(body[place : place + 2], "big")
                    granted.append(body[place] & 3)
                    place += 1
                writer.write(bytes((0x90, 3 + len(granted))) + body[:2] + b"\0" + granted)
            elif kind == PINGREQ:
                writer.write(PINGRESP)
    writer.close()


async def remaining(reader: asyncio.StreamReader) -> int:
    """Read the length of the rest of a packet."""
    size = shift = 0
    while True:
        (byte,) = await reader.readexactly(1)
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return size
        shift += 7


def at(settings: BrokerSettings, *ports: int) -> BrokerSettings:
    return structs.replace(settings, addresses=tuple(Address("127.0.0.1", port) for port in ports))


@pytest.mark.parametrize("who", sorted(BENCHES))
async def test_neither_an_open_port_nor_tls_proves_a_node(
    running: BrokerSite, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ANSWER_WITHIN_S", 2.0)
    closed = free_port()
    async with node(running, silent) as mute:
        settings = at(running.settings(who), closed, mute, running.port)
        async with BENCHES[who](settings) as bench:
            connected = await bench.next(Connected)

            assert connected.node == f"127.0.0.1:{running.port}"
            reasons = [str(lost.reason) for lost in bench.of(Lost)]
            assert reasons[0] == f"127.0.0.1:{closed}: connection refused: nothing listens there"
            assert reasons[1].startswith(f"127.0.0.1:{mute}: the broker does not answer within ")
            assert len(reasons) == 2


@pytest.mark.parametrize("who", sorted(EAGER_BENCHES))
async def test_a_node_that_is_cut_off_from_the_others_is_left(running: BrokerSite, who: str) -> None:
    """It keeps the connection, but takes and delivers nothing (SPEC Q1.4)."""
    async with (
        node(running, deaf) as cut_off,
        EAGER_BENCHES[who](at(running.settings(who), cut_off, running.port)) as bench,
    ):
        assert (await bench.next(Connected)).node == f"127.0.0.1:{cut_off}"
        assert (await bench.next(Connected, 2)).node == f"127.0.0.1:{running.port}"

        assert bench.of(Lost)[0].reason == f"127.0.0.1:{cut_off}: {LEFT_BECAUSE[who]}"


async def test_doctor_says_that_a_node_does_not_answer(site: BrokerSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ANSWER_WITHIN_S", 0.5)
    async with node(site, silent) as port:
        settings = at(site.settings("eucom"), port)
        reached = await asyncio.to_thread(broker_probe.session, settings, settings.addresses[0], [], [])

    assert reached.problem.startswith("no MQTT session: the broker does not answer within ")
    assert reached.remedy == "read the log of this node; one that has lost its cluster does not answer"
    assert reached.session_kept_s is None


@pytest.mark.parametrize("who", sorted(BENCHES))
async def test_the_client_of_a_killed_node_goes_to_another_at_once_and_stays_there(
    running: BrokerSite, who: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = BrokerSite(tmp_path_factory.mktemp("other"))
    other.authority = running.authority
    running.authority.issue_server(other.folder / "broker" / "tls", now())
    other.broker.start()
    try:
        async with BENCHES[who](at(running.settings(who), running.port, other.port)) as bench:
            await bench.next(Connected)
            running.broker.kill()

            assert (await bench.next(Connected, 2)).node == f"127.0.0.1:{other.port}"

            # it does not come back while this one lasts
            running.broker.start()
            other.broker.stop()
            assert (await bench.next(Connected, 3)).node == f"127.0.0.1:{running.port}"
            assert not bench.of(TakenOver)
    finally:
        other.close()


async def test_a_broker_that_closes_at_a_publish_is_told_from_a_lost_network(site: BrokerSite) -> None:
    """RabbitMQ before 4.3 answers so where a permission is missing."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(ACCEPTED)
        await reader.read(65_536)
        writer.write(b"\x90\x06\x00\x01\x00\x01\x01\x00")
        while data := await reader.read(65_536):
            if PUBLISH in data[:1] or data.find(bytes([PUBLISH])) >= 0:
                break
        writer.close()

    async with node(site, refuse) as port:
        eucom = Endpoint(at(site.settings("eucom"), port), SHORT_PAUSES)

        def resend(event: object) -> None:
            if isinstance(event, Connected):
                eucom.publish(b"one")
                eucom.publish(b"two")

        eucom.react = resend
        async with eucom:
            denied = await eucom.next(PublishDenied)
            again = len(eucom.of(Connected))
            # it goes on like this: that is not a second holder of our identity
            await eucom.next(Connected, REPEATED + 2)

        assert denied.token == b"one"
        assert denied.reason == "the broker closes the connection when we publish: its permissions may lack us"
        assert again == REPEATED
        assert not eucom.of(TakenOver)
        assert not eucom.of(Accepted)


async def test_a_shorter_session_than_was_asked_for_is_read(site: BrokerSite) -> None:
    async def brief(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(b"\x20\x08\x00\x00\x05\x11" + (86_400).to_bytes(4, "big"))
        await reader.read(65_536)
        writer.write(b"\x90\x06\x00\x01\x00\x01\x01\x00")
        await silent(reader, writer)

    async with node(site, brief) as port, Endpoint(at(site.settings("eucom"), port), SHORT_PAUSES) as eucom:
        kept_s = (await eucom.next(Connected)).session_kept_s

    assert kept_s == 86_400
    assert session.too_brief(86_400) == (
        "the broker keeps an absent client's session for 24 hours; at least 168 are required"
    )
    assert session.too_brief(session.SESSION_AT_LEAST_S) is None
