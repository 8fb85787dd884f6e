"""Why there is no connection to the broker is said in words, by both transports and for every way to fail."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from msgspec import structs

from broker.pki import Authority
from endpoints.config.broker_settings import Address, BrokerSettings
from endpoints.mqtt import places, session
from endpoints.mqtt.events import Connected, Lost
from protocol.phrases import Phrase
from tests.support.broker_site import BrokerSite, free_port, now
from tests.support.transport_bench import QUICK, Bench, Endpoint, Watcher

pytestmark = pytest.mark.integration
YEARS = 5 * 366 * 86_400_000
Make = Callable[[BrokerSettings], Bench]
SIDES: dict[str, Make] = {
    "eucom": lambda settings: Endpoint(settings, QUICK),
    "watch": lambda settings: Watcher(settings, QUICK),
}


@pytest.fixture(params=sorted(SIDES))
def who(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def reason(who: str, settings: BrokerSettings) -> str:
    """Return the reason that the transport reports first."""
    async with SIDES[who](settings) as bench:
        lost = (await bench.next(Lost)).reason
        assert isinstance(lost, Phrase), f"cannot be translated: {lost}"
        assert "code" not in lost
        return lost


async def test_nothing_listens_and_the_name_does_not_resolve(site: BrokerSite, who: str) -> None:
    settings = site.settings(who, port=free_port())
    assert await reason(who, settings) == "connection refused: nothing listens there"
    for host in ("no-such-host.invalid", "broker..example.org"):
        assert await reason(who, structs.replace(settings, addresses=(Address(host, settings.addresses[0].port),))) in {
            f"the name of the server does not resolve: {host}",
            f"the name service does not answer: {host}",
        }


async def test_a_name_service_that_never_answers_names_what_was_looked_up(
    site: BrokerSite, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the resolver of a container network does for a name that it does not know."""
    answers = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: answers.wait(60) and [])
    monkeypatch.setattr(places, "CONNECT_WITHIN_S", 0.2)
    settings = structs.replace(site.settings(who), addresses=(Address("brokr"),))
    try:
        found = await reason(who, settings)
    finally:
        answers.set()
    assert found == "the name service does not answer within 0 s: brokr; is the name right?"


@pytest.mark.parametrize(("at", "why"), [(-YEARS, "has expired"), (YEARS, "is not valid yet")])
async def test_the_brokers_certificate_is_out_of_its_time(site: BrokerSite, who: str, at: int, why: str) -> None:
    settings = site.settings(who)
    site.authority.issue_server(site.folder / "broker" / "tls", now() + at)
    site.broker.start()
    assert why in await reason(who, settings)


async def test_the_brokers_certificate_is_of_another_authority(running: BrokerSite, who: str) -> None:
    settings = running.settings(who)
    foreign = Authority.make(running.folder / "foreign", now())
    (running.folder / "other").mkdir()
    foreign.issue_client(who, running.folder / "other", now())
    of_another = structs.replace(settings, authority=running.folder / "other" / "ca.crt")
    assert await reason(who, of_another) == "the server's certificate is from an unknown authority"


async def test_the_brokers_certificate_is_for_another_name(site: BrokerSite, who: str) -> None:
    settings = site.settings(who)
    site.authority.issue_server(site.folder / "broker" / "tls", now(), names=["broker.example.org"])
    site.broker.start()
    assert await reason(who, settings) == "the server's certificate is for another address"
    named = structs.replace(settings, addresses=(Address("localhost", site.port),))
    assert await reason(who, named) == "the server's certificate is for another name"


async def test_our_certificate_has_expired(running: BrokerSite, who: str) -> None:
    settings = running.settings(who)
    running.authority.issue_client(who, running.folder / who, now() - YEARS)
    found = await reason(who, settings)
    assert "our certificate has expired" in found or "may refuse our certificate" in found


async def test_our_certificate_is_of_an_authority_that_the_broker_does_not_know(running: BrokerSite, who: str) -> None:
    settings = running.settings(who)
    right = running.folder / "right.crt"
    shutil.copy(settings.authority, right)
    Authority.make(running.folder / "foreign", now()).issue_client(who, running.folder / who, now())
    found = await reason(who, structs.replace(settings, authority=right))
    assert "authority of our certificate" in found or "may refuse our certificate" in found


async def test_the_broker_stops(running: BrokerSite, who: str) -> None:
    async with SIDES[who](running.settings(who)) as bench:
        await bench.next(Connected)
        running.broker.stop()
        first = (await bench.next(Lost)).reason
        assert first in {"the broker ended the connection: it shuts down", "the broker closed the connection"}
        # then the next attempts have another reason, which is reported once
        assert (await bench.next(Lost, 2)).reason == "connection refused: nothing listens there"
        running.broker.start()
        await bench.next(Connected, 2)


@contextmanager
def answering(site: BrokerSite, *answers: bytes) -> Iterator[int]:
    """Serve one broker that answers each packet with the next of `answers`; yield its port."""
    import ssl
    import threading

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls = site.folder / "broker" / "tls"
    context.load_cert_chain(tls / "server.crt", tls / "server.key")
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(20)

    def serve() -> None:
        try:
            plain, _ = listening.accept()
            with plain, context.wrap_socket(plain, server_side=True) as secured:
                secured.settimeout(20)
                for answer in answers:
                    secured.recv(65_536)
                    secured.sendall(answer)
                while secured.recv(65_536):
                    pass
        except OSError:
            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.close()
        thread.join(20)


ACCEPTED = b"\x20\x03\x00\x00\x00"


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (
            [b"\x20\x03\x00\x87\x00"],
            "the broker refused the connection: we are not authorised: its access list lacks us",
        ),
        ([b"\x20\x03\x00\x8a\x00"], "the broker refused the connection: we are banned"),
        ([b"\x20\x03\x00\x88\x00"], "the broker refused the connection: it is not available"),
        ([ACCEPTED, b""], "the broker does not answer within"),
        ([ACCEPTED, b"\xe0\x02\x8b\x00"], "the broker ended the connection: it shuts down"),
        ([ACCEPTED, b"\xe0\x02\x82\x00"], "the broker ended the connection: it says that we violate the protocol"),
        ([ACCEPTED, b"\xe0\x02\x98\x00"], "the broker ended the connection: its operator ended the connection"),
    ],
    ids=["not authorised", "banned", "unavailable", "silent", "shuts down", "protocol", "administrative"],
)
async def test_the_broker_says_why(
    site: BrokerSite, who: str, answers: list[bytes], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ANSWER_WITHIN_S", 1.0)
    with answering(site, *answers) as port:
        assert (await reason(who, site.settings(who, port=port))).startswith(why)


async def test_a_refused_subscription_names_the_topic(site: BrokerSite, who: str) -> None:
    topics = 3 if who == "eucom" else 6
    suback = b"\x90" + bytes([3 + topics]) + b"\x00\x01\x00" + b"\x87" * topics
    with answering(site, ACCEPTED, suback) as port:
        found = await reason(who, site.settings(who, port=port))
    assert found.startswith("the broker refused the subscription to ")
    assert found.endswith(": we are not authorised: its access list lacks us")


async def test_a_reason_is_reported_once_although_attempts_go_on(site: BrokerSite, who: str) -> None:
    async with SIDES[who](site.settings(who)) as bench:
        await bench.next(Lost)
        await asyncio.sleep(0)
        site.broker.start()
        await bench.next(Connected)
        reasons = [lost.reason for lost in bench.of(Lost)]
        assert len(reasons) == len(set(reasons))
