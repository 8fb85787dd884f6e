import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import trustme
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from broker import foreground, local
from broker.errors import BrokerError
from broker.local import LocalBroker
from endpoints.clocks.clock import SystemClock
from endpoints.mqtt.events import Arrived, Connected, Lost
from endpoints.mqtt.tls import client_context
from endpoints.mqtt.topics import Topic
from tests.support.broker_site import BrokerSite
from tests.support.transport_bench import LINK, Endpoint, Watcher

pytestmark = pytest.mark.integration

OWN = str(Topic(LINK, "eucom", "message"))
PEERS = str(Topic(LINK, "ndmc", "message"))
# CONNECT: MQTT 5, clean start, keepalive 60, no properties, client id `eucom`
CONNECT = b"\x10\x12\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x05eucom"
CONNACK = 0x20


def answer(port: int, context: ssl.SSLContext | None) -> bytes:
    """Return the broker's answer to a CONNECT; empty if it closes the connection or TLS fails."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        try:
            if context is None:
                plain.sendall(CONNECT)
                return plain.recv(64)
            with context.wrap_socket(plain, server_hostname="localhost") as tls:
                tls.sendall(CONNECT)
                return tls.recv(64)
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
            return b""


def trusting(site: BrokerSite) -> ssl.SSLContext:
    """Return a client's TLS context that trusts the broker but has no certificate of its own."""
    return ssl.create_default_context(cafile=str(site.folder / "authority" / "ca.crt"))


@asynccontextmanager
async def hostile(site: BrokerSite, identity: str = "eucom") -> AsyncIterator[aiomqtt.Client]:
    """Connect a hostile client that has a valid certificate."""
    client = aiomqtt.Client(
        "localhost",
        site.port,
        identifier=identity,
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=client_context(site.settings(identity)),
    )
    async with client:
        yield client


async def provoke(client: aiomqtt.Client, **publish: Any) -> None:
    """Publish what the broker must not accept; return when it closes the connection (`publish` itself would hang)."""
    sending = asyncio.create_task(client.publish(OWN, **publish))
    try:
        async with asyncio.timeout(60):
            async for _ in client.messages:
                pass
    except aiomqtt.MqttError:
        return
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


@asynccontextmanager
async def witnesses(site: BrokerSite) -> AsyncIterator[tuple[Endpoint, Watcher]]:
    async with Endpoint(site.settings("ndmc")) as ndmc, Watcher(site.settings("watch")) as watch:
        await ndmc.next(Connected)
        await watch.next(Connected)
        yield ndmc, watch


async def saw_only_the_honest_frame(site: BrokerSite, ndmc: Endpoint, watch: Watcher) -> None:
    """Publish a frame as the real endpoint, and fail unless both witnesses received this frame and nothing else."""
    async with Endpoint(site.settings("eucom")) as eucom:
        await eucom.next(Connected)
        eucom.publish(b"honest")
        await ndmc.next(Arrived)
        await watch.next(Arrived)
    assert ndmc.payloads == watch.payloads == [b"honest"]
    assert not ndmc.of(Lost)


def test_an_enrolled_certificate_is_admitted(running: BrokerSite) -> None:
    reply = answer(running.port, client_context(running.settings("eucom")))
    assert (reply[0], reply[3]) == (CONNACK, 0)


def test_a_client_without_a_certificate_is_refused(running: BrokerSite) -> None:
    """SPEC Q3.1"""
    assert answer(running.port, trusting(running)) == b""


def test_a_certificate_of_another_authority_is_refused(running: BrokerSite) -> None:
    """SPEC Q3.1"""
    foreign = trustme.CA()
    context = trusting(running)
    foreign.issue_cert(common_name="eucom").configure_cert(context)
    assert answer(running.port, context) == b""


def test_the_brokers_own_certificate_is_refused_for_clients(running: BrokerSite) -> None:
    context = trusting(running)
    tls = running.folder / "broker" / "tls"
    context.load_cert_chain(tls / "server.crt", tls / "server.key")
    assert answer(running.port, context) == b""


def test_a_plaintext_connection_is_refused(running: BrokerSite) -> None:
    assert answer(running.port, None) == b""


def test_tls_1_2_is_refused(running: BrokerSite) -> None:
    """SPEC Q3.1"""
    context = client_context(running.settings("eucom"))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", running.port), timeout=10) as plain,
        pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


async def test_a_certificate_without_an_acl_entry_can_do_nothing(running: BrokerSite) -> None:
    async with witnesses(running) as (ndmc, watch), hostile(running, "stranger") as stranger:
        await stranger.subscribe(f"deconfliction/v1/{LINK}/#", qos=1)
        await stranger.publish(OWN, b"strange", qos=1)
        await saw_only_the_honest_frame(running, ndmc, watch)
        assert len(stranger.messages) == 0


async def test_a_frame_at_qos_0_is_left_to_its_resend(running: BrokerSite) -> None:
    """SPEC Q1.3: an endpoint can acknowledge nothing, so it does not take it; the watch does."""
    async with witnesses(running) as (ndmc, watch):
        async with hostile(running) as client:
            await client.publish(OWN, b"once", qos=0)
            await client.publish(OWN, b"again", qos=1)
        await ndmc.next(Arrived)
        await watch.next(Arrived, times=2)
    assert ndmc.payloads == [b"again"]
    assert watch.payloads == [b"once", b"again"]


async def test_publishing_under_the_peers_name_is_acknowledged_and_reaches_nobody(running: BrokerSite) -> None:
    async with witnesses(running) as (ndmc, watch):
        async with hostile(running) as client:
            await client.publish(PEERS, b"forged", qos=1)
            await client.publish(PEERS, b"forged", qos=0)
            await client.publish("deconfliction/v1/other/eucom/message", b"elsewhere", qos=1)
        await saw_only_the_honest_frame(running, ndmc, watch)


@pytest.mark.parametrize(
    "topic", ["#", "$SYS/#", f"deconfliction/v1/{LINK}/#", f"deconfliction/v1/{LINK}/+/receipt", OWN]
)
async def test_a_subscription_beyond_the_acl_is_granted_but_delivers_nothing(running: BrokerSite, topic: str) -> None:
    """SPEC Q2.3"""
    async with hostile(running) as reader, Endpoint(running.settings("ndmc")) as ndmc:
        await ndmc.next(Connected)
        await reader.subscribe(topic, qos=1)
        # no client receives its own frames
        await reader.publish(OWN, b"own", qos=1)
        await ndmc.next(Arrived)
        # then receive a frame that may be read: any earlier frame would have arrived before it
        await reader.subscribe(str(Topic(LINK, "ndmc", "message")), qos=1)
        ndmc.publish(b"readable")
        async with asyncio.timeout(60):
            message = await anext(aiter(reader.messages))
        assert message.payload == b"readable"


async def test_the_watch_cannot_publish(running: BrokerSite) -> None:
    """SPEC Q2.3"""
    async with Endpoint(running.settings("ndmc")) as ndmc, hostile(running, "watch") as client:
        await ndmc.next(Connected)
        await client.publish(OWN, b"forged", qos=1)
        async with Endpoint(running.settings("eucom")) as eucom:
            await eucom.next(Connected)
            eucom.publish(b"honest")
            await ndmc.next(Arrived)
        assert ndmc.payloads == [b"honest"]


async def test_a_will_under_the_peers_name_is_not_published(running: BrokerSite) -> None:
    async with witnesses(running) as (ndmc, watch):
        client = aiomqtt.Client(
            "localhost",
            running.port,
            identifier="eucom",
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=client_context(running.settings("eucom")),
            will=aiomqtt.Will(PEERS, b"forged", qos=1),
        )
        async with client:
            # a protocol error ends the connection, after which the broker would publish the will
            await provoke(client, payload=b"x", qos=2)
        await saw_only_the_honest_frame(running, ndmc, watch)


@pytest.mark.parametrize(("qos", "retain"), [(2, False), (1, True), (0, True)])
async def test_qos_2_and_retained_messages_end_the_connection(running: BrokerSite, qos: int, retain: bool) -> None:
    """SPEC Q1.1"""
    async with witnesses(running) as (ndmc, watch):
        async with hostile(running) as client:
            await provoke(client, payload=b"unwanted", qos=qos, retain=retain)
        await saw_only_the_honest_frame(running, ndmc, watch)


@pytest.mark.parametrize("size", [131_072, 200_000, 5_000_000])
async def test_an_oversized_packet_ends_the_connection(running: BrokerSite, size: int) -> None:
    async with witnesses(running) as (ndmc, watch):
        async with hostile(running) as client:
            await provoke(client, payload=bytes(size), qos=1)
        await saw_only_the_honest_frame(running, ndmc, watch)


async def test_a_topic_alias_ends_the_connection(running: BrokerSite) -> None:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.TopicAlias = 1
    async with witnesses(running) as (ndmc, watch):
        async with hostile(running) as client:
            await provoke(client, payload=b"unwanted", qos=1, properties=properties)
        await saw_only_the_honest_frame(running, ndmc, watch)


async def test_the_client_id_is_replaced_by_the_certificates_name(running: BrokerSite) -> None:
    """SPEC Q3.1"""
    settings = running.settings("eucom")
    async with aiomqtt.Client(
        "localhost",
        running.port,
        identifier="ndmc",
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=client_context(settings),
    ):
        assert "as eucom (" in running.log()
        assert "as ndmc (" not in running.log()


# --- the child process --------------------------------------------------------------------------------------------


def test_a_stop_saves_the_sessions(running: BrokerSite) -> None:
    running.broker.start()  # has no effect while it runs
    pid = running.broker.pid
    assert pid is not None
    running.broker.stop()
    assert gone(pid)
    assert (running.folder / "broker" / "data" / "mosquitto.db").exists()
    with running.broker, pytest.raises(BrokerError, match="cannot be wiped while it runs"):
        running.broker.wipe()
    running.broker.wipe()
    assert not list((running.folder / "broker" / "data").iterdir())


def test_a_port_in_use_gives_a_one_line_error(running: BrokerSite) -> None:
    with pytest.raises(BrokerError, match=rf"127\.0\.0\.1:{running.port}: another program listens there already"):
        LocalBroker(running.folder / "broker", SystemClock().real_ms).start()


def test_a_broker_that_cannot_start_raises_an_error(site: BrokerSite) -> None:
    (site.folder / "broker" / "tls" / "server.key").unlink()
    with pytest.raises(BrokerError, match="before it was ready"):
        site.broker.start()
    assert not site.broker.alive


def test_a_missing_configuration_gives_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"mosquitto\.conf: cannot be read: No such file or directory"):
        LocalBroker(tmp_path, SystemClock().real_ms)
    (tmp_path / "mosquitto.conf").write_text("listener\n")
    with pytest.raises(BrokerError, match="no line `listener PORT ADDRESS`"):
        LocalBroker(tmp_path, SystemClock().real_ms)


def test_a_missing_mosquitto_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(BrokerError, match="apt-get install mosquitto"):
        local.find()


RUN = """
import sys
from pathlib import Path
from broker import foreground
from endpoints.clocks.clock import SystemClock
def note(event, **fields):
    print(event, *fields.values(), flush=True)
foreground.run(Path(sys.argv[1]), SystemClock().real_ms, note)
"""


def read_until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return line
    raise AssertionError(f"the output ended without {word!r}")


def supervised(site: BrokerSite) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(site.folder / "broker")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def gone(pid: int, within_s: float = 60) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":  # ended, but its new parent has not waited for it yet
            return True
        time.sleep(0.02)
    return False


def test_the_supervisor_restarts_a_killed_broker_and_leaves_none_behind(site: BrokerSite) -> None:
    with supervised(site) as process:
        first = int(read_until(process, "listening").rpartition(" ")[2])
        os.kill(first, signal.SIGKILL)
        assert "-9" in read_until(process, "ended")
        second = int(read_until(process, "listening").rpartition(" ")[2])
        assert second != first
        process.send_signal(signal.SIGINT)
        read_until(process, "stopping")
        assert process.wait(60) == 0
        assert gone(second)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_the_broker_ends_with_its_parent(site: BrokerSite, sign: signal.Signals) -> None:
    with supervised(site) as process:
        broker = int(read_until(process, "listening").rpartition(" ")[2])
        process.send_signal(sign)
        process.wait(60)
        assert gone(broker)


def test_a_signal_leaves_no_lock_of_subprocess_taken(site: BrokerSite, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []

    class Lock:
        """The lock that `Popen.poll` takes, with a signal that comes when it has just been taken."""

        def __init__(self, lock: Any) -> None:
            self.lock = lock

        def acquire(self, blocking: bool = True) -> bool:
            taken = bool(self.lock.acquire(blocking))
            if taken and notes == ["listening"]:
                signal.raise_signal(signal.SIGTERM)
            return taken

        def release(self) -> None:
            self.lock.release()

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._waitpid_lock = Lock(self._waitpid_lock)  # type: ignore[has-type]

    def note(event: str, /, **_: str | int) -> None:
        notes.append(event)

    monkeypatch.setattr("broker.local.subprocess.Popen", Popen)
    foreground.run(site.folder / "broker", SystemClock().real_ms, note)
    assert notes == ["listening", "stopping", "stopped"]
