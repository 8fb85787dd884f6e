import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from broker.pki import Authority
from endpoints.config.broker_settings import Address
from endpoints.errors import UserError
from endpoints.mqtt import session
from endpoints.mqtt.connection import IN_FLIGHT_MAX
from endpoints.mqtt.endpoint_transport import PACKET_TOO_LARGE, QUOTA_EXCEEDED
from endpoints.mqtt.events import (
    Accepted,
    Arrived,
    Connected,
    Joined,
    Lost,
    PresenceChanged,
    PresenceHeard,
    PublishDenied,
    SignOfLife,
    TakenOver,
    TransportEvent,
)
from endpoints.mqtt.topics import Topic
from tests.support.broker_site import BrokerSite, free_port, now
from tests.support.proxy import TcpProxy
from tests.support.transport_bench import LINK, PATIENT, QUICK, Endpoint, Watcher

pytestmark = pytest.mark.integration


@pytest.fixture
async def proxy(running: BrokerSite) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(running.port) as proxy:
        yield proxy


def acknowledges(endpoint: Endpoint) -> None:
    def react(event: TransportEvent) -> None:
        if isinstance(event, Arrived) and event.delivery is not None:
            endpoint.transport.acknowledge(event.delivery)

    endpoint.react = react


async def test_a_frame_reaches_the_peer_and_the_watch(running: BrokerSite) -> None:
    """SPEC Q1.1, W6"""
    async with (
        Endpoint(running.settings("ndmc")) as ndmc,
        Watcher(running.settings("watch")) as watch,
        Endpoint(running.settings("eucom")) as eucom,
    ):
        connected = await eucom.next(Connected)
        await ndmc.next(Connected)
        seen = await watch.next(Connected)
        shown = ssl.PEM_cert_to_DER_cert((running.folder / "broker" / "tls" / "server.crt").read_text())
        assert connected == Connected(
            session_present=False,
            packet_max_bytes=131_072,
            broker_certificate=shown,
            node=f"127.0.0.1:{running.port}",
            session_kept_s=session.SESSION_EXPIRY_S,
        )
        assert isinstance(seen, Connected)
        assert seen.broker_certificate == shown
        assert eucom.transport.trouble is None

        assert eucom.publish(b"frame")
        assert await eucom.next(Accepted) == Accepted(b"frame")
        arrived = await ndmc.next(Arrived)
        assert (arrived.topic, arrived.payload) == (Topic(LINK, "eucom", "message"), b"frame")
        assert await watch.next(Arrived) == Arrived(Topic(LINK, "eucom", "message"), b"frame", None)

        assert ndmc.publish(b"receipt", "receipt")
        assert (await eucom.next(Arrived)).topic == Topic(LINK, "ndmc", "receipt")


async def test_topics_that_exceed_one_packet_are_subscribed_to_in_several(
    running: BrokerSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a thousand links are larger than what the broker takes."""
    monkeypatch.setattr(session, "SUBSCRIBED_AT_ONCE", 2)
    async with (
        # the last subscriber hears the next beat
        Endpoint(running.settings("eucom"), QUICK) as eucom,
        Endpoint(running.settings("ndmc")) as ndmc,
        Watcher(running.settings("watch")) as watch,
    ):
        await eucom.next(Connected)
        await ndmc.next(Connected)
        await watch.next(Connected)
        assert eucom.publish(b"frame")
        assert eucom.publish(b"receipt", "receipt")
        for end in (ndmc, watch):
            await end.next(Arrived, 2)
            assert end.payloads == [b"frame", b"receipt"]
            await end.next(PresenceHeard)


async def test_acknowledgements_leave_in_order_of_arrival(running: BrokerSite) -> None:
    """SPEC Q1.2"""
    async with Endpoint(running.settings("eucom")) as eucom, Endpoint(running.settings("ndmc")) as ndmc:
        await eucom.next(Connected)
        await ndmc.next(Connected)
        for index in range(3):
            eucom.publish(b"%d" % index)
        await ndmc.next(Arrived, 3)
        first, second, third = (arrived.delivery for arrived in ndmc.of(Arrived))
        assert first is not None
        assert second is not None
        assert third is not None
        # the last is acknowledged first, the first never: no PUBACK may be sent
        ndmc.transport.acknowledge(third)
        ndmc.transport.acknowledge(second)
    async with Endpoint(running.settings("ndmc")) as ndmc:
        assert (await ndmc.next(Connected)).session_present
        await ndmc.next(Arrived, 3)
        assert ndmc.payloads == [b"0", b"1", b"2"]
        # a delivery of the earlier connection does not count for this one
        ndmc.transport.acknowledge(first)
    async with Endpoint(running.settings("ndmc")) as ndmc:
        await ndmc.next(Arrived, 3)
        ndmc.acknowledge_all()
    # a new connection displaces the one before it, even if the broker has not read all its PUBACKs
    async with asyncio.timeout(60):
        while running.log().count("Client ndmc disconnected") < 3:  # noqa: ASYNC110 - a log gives no signal
            await asyncio.sleep(0.02)
    async with Endpoint(running.settings("eucom")) as eucom, Endpoint(running.settings("ndmc")) as ndmc:
        await eucom.next(Connected)
        eucom.publish(b"new")
        await ndmc.next(Arrived)
        assert ndmc.payloads == [b"new"]


async def test_unacknowledged_frames_are_redelivered_after_a_crash(running: BrokerSite, proxy: TcpProxy) -> None:
    """SPEC Q1.1, Q1.2"""
    async with (
        Endpoint(running.settings("eucom")) as eucom,
        Endpoint(running.settings("ndmc", port=proxy.port)) as ndmc,
    ):
        await eucom.next(Connected)
        await ndmc.next(Connected)
        for index in range(20):
            eucom.publish(b"%d" % index)
        await ndmc.next(Arrived, 20)
        for arrived in ndmc.of(Arrived)[:5]:
            assert arrived.delivery is not None
            ndmc.transport.acknowledge(arrived.delivery)
        # the acknowledgements are sent before anything that is published after them
        ndmc.publish(b"behind the acknowledgements")
        await eucom.next(Arrived)
        proxy.cut()
        await ndmc.next(Connected, 2)
        await ndmc.next(Arrived, 35)
        assert ndmc.payloads[20:] == [b"%d" % index for index in range(5, 20)]


async def test_a_broker_killed_after_saving_delivers_its_queue(running: BrokerSite) -> None:
    ndmc_settings = running.settings("ndmc")
    async with Endpoint(ndmc_settings) as ndmc:
        await ndmc.next(Connected)
    async with Endpoint(running.settings("eucom")) as eucom:
        await eucom.next(Connected)
        for index in range(100):
            eucom.publish(b"%d" % index)
        await eucom.next(Accepted, 100)
        await saved(running)
        running.broker.kill()
        await eucom.next(Lost)
        running.broker.start()
        await eucom.next(Connected, 2)
    async with Endpoint(ndmc_settings) as ndmc:
        assert (await ndmc.next(Connected)).session_present
        await ndmc.next(Arrived, 100)
        assert ndmc.payloads == [b"%d" % index for index in range(100)]
        # acknowledge all of them late, at once
        ndmc.acknowledge_all()
    async with Endpoint(running.settings("eucom")) as eucom, Endpoint(ndmc_settings) as ndmc:
        await eucom.next(Connected)
        eucom.publish(b"the next")
        await ndmc.next(Arrived)
        assert ndmc.payloads == [b"the next"]


async def test_an_acknowledgement_that_waits_for_the_next_turn_leaves_with_its_frame(
    running: BrokerSite, proxy: TcpProxy
) -> None:
    async with (
        Endpoint(running.settings("eucom")) as eucom,
        Endpoint(running.settings("ndmc", port=proxy.port)) as ndmc,
    ):
        await eucom.next(Connected)
        await ndmc.next(Connected)
        eucom.publish(b"0")
        await ndmc.next(Arrived)
        ndmc.acknowledge_all()
        ndmc.transport.flush(again=True)
        ndmc.publish(b"answer", "receipt")
        ndmc.transport.flush()
        await ndmc.next(Accepted)
        # the broker has read both by now, and delivers nothing again
        proxy.cut()
        await ndmc.next(Connected, 2)
        eucom.publish(b"1")
        await ndmc.next(Arrived, 2)
        assert ndmc.payloads == [b"0", b"1"]


async def saved(site: BrokerSite) -> None:
    """Have the broker save its state, and wait until the file is complete: it is renamed into place."""
    file = site.folder / "broker" / "data" / "mosquitto.db"
    before = file.stat().st_ino if file.exists() else None
    site.broker.save()
    async with asyncio.timeout(60):
        while not file.exists() or file.stat().st_ino == before:  # noqa: ASYNC110 - another process's file
            await asyncio.sleep(0.02)


async def test_a_broker_whose_files_are_wiped_has_no_sessions(running: BrokerSite) -> None:
    async with Endpoint(running.settings("eucom")) as eucom, Endpoint(running.settings("ndmc")) as ndmc:
        acknowledges(ndmc)
        await eucom.next(Connected)
        await ndmc.next(Connected)
        running.broker.kill()
        await eucom.next(Lost)
        await ndmc.next(Lost)
        # not connected: the core resends
        assert not eucom.publish(b"lost")
        assert eucom.transport.trouble is not None
        running.broker.wipe()
        running.broker.start()
        assert not (await eucom.next(Connected, 2)).session_present
        assert not (await ndmc.next(Connected, 2)).session_present
        eucom.publish(b"after")
        await ndmc.next(Arrived)
        assert ndmc.payloads == [b"after"]
        # an outage is reported once, however many attempts fail
        assert len(eucom.of(Lost)) == 1


async def test_a_frozen_broker_is_detected_and_reconnected(running: BrokerSite) -> None:
    async with Endpoint(running.settings("eucom"), QUICK) as eucom, Watcher(running.settings("watch"), QUICK) as watch:
        await eucom.next(Connected)
        await watch.next(Connected)
        began = time.monotonic()
        running.broker.freeze()
        lost = await eucom.next(Lost)
        assert time.monotonic() - began < 5
        assert "no sign of life" in lost.reason
        await watch.next(Lost)
        running.broker.thaw()
        await eucom.next(Connected, 2)
        await watch.next(Connected, 2)


async def test_a_half_open_connection_is_detected(running: BrokerSite, proxy: TcpProxy) -> None:
    async with Endpoint(running.settings("eucom", port=proxy.port), QUICK) as eucom:
        await eucom.next(Connected)
        proxy.half_open()
        assert "no sign of life" in (await eucom.next(Lost)).reason
        await eucom.next(Connected, 2)


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_connection_stalled_in_one_direction_is_detected(
    running: BrokerSite, proxy: TcpProxy, direction: str
) -> None:
    async with Endpoint(running.settings("eucom", port=proxy.port), QUICK) as eucom:
        await eucom.next(Connected)
        proxy.stall("up" if direction == "up" else "down")
        await eucom.next(Lost)
        proxy.resume()
        await eucom.next(Connected, 2)


async def test_a_silent_broker_in_the_handshake_blocks_neither_the_loop_nor_the_stop(running: BrokerSite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings = running.settings("eucom", port=mute.getsockname()[1])
        async with Endpoint(settings):
            longest = 0.0
            for _ in range(20):
                began = time.monotonic()
                await asyncio.sleep(0.01)
                longest = max(longest, time.monotonic() - began)
            assert longest < 1
            began = time.monotonic()
        assert time.monotonic() - began < 1


async def test_a_missing_broker_is_reported_once_with_the_reason(site: BrokerSite) -> None:
    async with Endpoint(site.settings("eucom")) as eucom:
        assert await eucom.next(Lost) == Lost("connection refused: nothing listens there")
        site.broker.start()
        await eucom.next(Connected)
        assert len(eucom.of(Lost)) == 1


@pytest.mark.parametrize("host", ["broker..example.org", f"{'a' * 64}.example.org", "brok\0er", "", "no-host.invalid"])
async def test_no_name_of_a_host_ends_a_transport(site: BrokerSite, host: str) -> None:
    """Name look-up, TLS and paho raise a different error for each; the settings refuse all but the last."""
    names = {name: structs.replace(site.settings(name), addresses=(Address(host),)) for name in ("eucom", "watch")}
    async with Endpoint(names["eucom"], QUICK) as eucom, Watcher(names["watch"], QUICK) as watch:
        reasons = {(await each.next(Lost)).reason for each in (eucom, watch)}
        # both are still trying
        assert not eucom.task.done()
        assert not watch.task.done()
    assert len(reasons) == 1
    assert "\n" not in reasons.pop()


async def test_a_broker_of_another_authority_is_refused(running: BrokerSite) -> None:
    foreign = Authority.make(running.folder / "foreign", now())
    async with Endpoint(running.settings("eucom", authority=foreign)) as eucom:
        assert (await eucom.next(Lost)).reason == "the server's certificate is from an unknown authority"


async def test_unusable_credential_files_raise_a_user_error(site: BrokerSite) -> None:
    settings = site.settings("eucom")
    settings.key.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        Endpoint(settings)
    settings.key.unlink()
    settings.key.write_bytes(site.settings("ndmc").key.read_bytes())
    settings.key.chmod(0o600)
    with pytest.raises(UserError, match="not a certificate and its unencrypted private key"):
        Endpoint(settings)
    settings.authority.write_bytes(b"\x00\xff")
    with pytest.raises(UserError, match=r"ca\.crt: not a certificate in PEM form"):
        Endpoint(settings)


async def test_publishing_under_the_peers_name_is_refused_and_reaches_nobody(running: BrokerSite) -> None:
    """SPEC Q2.3"""
    async with (
        Endpoint(running.settings("eucom")) as eucom,
        Endpoint(running.settings("ndmc")) as ndmc,
        Watcher(running.settings("watch")) as watch,
    ):
        await eucom.next(Connected)
        await ndmc.next(Connected)
        await watch.next(Connected)
        eucom.transport.publish(Topic(LINK, "ndmc", "message"), b"forged", "forged")
        refused = await eucom.next(PublishDenied)
        assert (refused.token, refused.code) == ("forged", 135)
        assert eucom.publish(b"own")
        await ndmc.next(Arrived)
        await watch.next(Arrived)
        assert ndmc.payloads == watch.payloads == [b"own"]


async def test_the_largest_packet_is_delivered_and_a_larger_one_is_refused(running: BrokerSite) -> None:
    """SPEC F6.1, F6.3"""
    async with Endpoint(running.settings("eucom")) as eucom, Endpoint(running.settings("ndmc")) as ndmc:
        await eucom.next(Connected)
        await ndmc.next(Connected)
        # 4 bytes of fixed header at this size, 2 for the topic's length, 2 for the packet id, 1 for no properties
        largest = 131_072 - len(str(Topic(LINK, "eucom", "message"))) - 10
        assert eucom.publish(bytes(largest))
        assert len((await ndmc.next(Arrived)).payload) == largest
        assert not eucom.publish(bytes(largest + 1))
        refused = await eucom.next(PublishDenied)
        assert refused.code == PACKET_TOO_LARGE
        assert "131072" in refused.reason
        assert eucom.publish(b"still there")
        await ndmc.next(Arrived, 2)
        assert not eucom.of(Lost)


async def test_publishes_beyond_the_maximum_in_flight_are_refused(running: BrokerSite) -> None:
    async with Endpoint(running.settings("eucom")) as eucom, Endpoint(running.settings("ndmc")) as ndmc:
        acknowledges(ndmc)
        await eucom.next(Connected)
        await ndmc.next(Connected)
        frames = [b"%d" % index for index in range(IN_FLIGHT_MAX + 1)]
        assert [eucom.publish(frame) for frame in frames] == [True] * IN_FLIGHT_MAX + [False]
        assert (await eucom.next(PublishDenied)).code == QUOTA_EXCEEDED
        await eucom.next(Accepted, IN_FLIGHT_MAX)
        await ndmc.next(Arrived, IN_FLIGHT_MAX)
        assert ndmc.payloads == frames[:-1]


async def test_two_holders_of_one_identity_are_reported(running: BrokerSite) -> None:
    """SPEC Q3.3"""
    settings = running.settings("eucom")
    async with Endpoint(settings) as one:
        await one.next(Connected)
        async with Endpoint(settings) as other:
            await other.until(lambda: bool(one.of(TakenOver) or other.of(TakenOver)), 30)
            assert max(event.times for event in one.of(TakenOver) + other.of(TakenOver)) >= 3


async def test_repeated_kills_of_the_broker_are_not_a_takeover(running: BrokerSite) -> None:
    async with Endpoint(running.settings("eucom")) as eucom:
        for times in range(1, 6):
            await eucom.next(Connected, times)
            await saved(running)
            running.broker.kill()
            running.broker.start()
        await eucom.next(Connected, 6)
        assert not eucom.of(TakenOver)


async def test_absence_is_reported_at_a_clean_stop_and_by_the_will_after_a_crash(
    running: BrokerSite, proxy: TcpProxy
) -> None:
    """SPEC Q2.2"""
    present = PresenceChanged(LINK, "ndmc", present=True)
    gone = PresenceChanged(LINK, "ndmc", present=False)
    async with Endpoint(running.settings("eucom")) as eucom, Watcher(running.settings("watch")) as watch:
        await eucom.next(Connected)
        await watch.next(Connected)
        async with Endpoint(running.settings("ndmc")) as ndmc:
            await eucom.next(PresenceChanged)
            # ndmc reports the presence of eucom, which answers its own; no periodic beat falls within this test
            await ndmc.next(PresenceChanged)
        await eucom.next(PresenceChanged, 2)
        async with Endpoint(running.settings("ndmc", port=proxy.port), QUICK):
            await eucom.next(PresenceChanged, 3)
            proxy.refuse()
            proxy.cut()
            await eucom.next(PresenceChanged, 4)
        await watch.next(PresenceChanged, 5)
        assert eucom.of(PresenceChanged) == [present, gone, present, gone]
        assert [event for event in watch.of(PresenceChanged) if event.party == "ndmc"] == [present, gone, present, gone]


async def test_a_short_interruption_is_not_an_absence(running: BrokerSite, proxy: TcpProxy) -> None:
    async with Endpoint(running.settings("eucom")) as eucom:
        await eucom.next(Connected)
        timing = PATIENT
        async with Endpoint(running.settings("ndmc", port=proxy.port), timing) as ndmc:
            await eucom.next(PresenceChanged)
            proxy.cut()
            await ndmc.next(Connected, 2)
            ndmc.publish(b"back")
            await eucom.next(Arrived)
            assert len(eucom.of(PresenceChanged)) == 1


async def test_signs_of_life_reach_the_peer_and_the_watch_with_each_beat(running: BrokerSite) -> None:
    """SPEC Q2.5"""
    async with (
        Endpoint(running.settings("ndmc")) as ndmc,
        Watcher(running.settings("watch")) as watch,
    ):
        await ndmc.next(Connected)
        await watch.next(Connected)
        async with Endpoint(running.settings("eucom"), QUICK, signs=lambda link: f"of {link}".encode()):
            for taker in (ndmc, watch):
                sign = await taker.next(SignOfLife, 2)
                assert (sign.topic, sign.payload) == (Topic(LINK, "eucom", "receipt"), f"of {LINK}".encode())
        assert not ndmc.of(Arrived)
        assert not watch.of(Arrived)


async def test_a_silent_peer_counts_as_gone(running: BrokerSite) -> None:
    async with Endpoint(running.settings("eucom"), QUICK) as eucom:
        assert await eucom.next(PresenceChanged) == PresenceChanged(LINK, "ndmc", present=False)


async def test_leaving_a_link_does_not_stall_the_others(site: BrokerSite) -> None:
    """SPEC Q3.2"""
    two = BrokerSite(site.folder / "two", {"a": ("eucom", "ndmc"), "b": ("eucom", "ndmc")})
    try:
        two.broker.start()
        links = [("a", "ndmc"), ("b", "ndmc")]
        async with (
            Endpoint(two.settings("eucom"), links=links) as eucom,
            Endpoint(two.settings("ndmc"), links=[("a", "eucom"), ("b", "eucom")]) as ndmc,
        ):
            await eucom.next(Connected)
            await ndmc.next(Connected)
            # more than may be in flight, all waiting for the first one to be acknowledged
            for index in range(200):
                ndmc.publish(b"%d" % index, link="a" if index % 2 else "b")
            await eucom.next(Arrived, 128)

            def react(event: TransportEvent) -> None:
                if isinstance(event, Arrived) and event.topic.link == "b" and event.delivery is not None:
                    eucom.transport.acknowledge(event.delivery)

            eucom.react = react
            eucom.transport.leave("a")
            for arrived in eucom.of(Arrived):
                react(arrived)
            wanted = [b"%d" % index for index in range(0, 200, 2)]
            await eucom.until(
                lambda: [event.payload for event in eucom.of(Arrived) if event.topic.link == "b"] == wanted
            )
            await ndmc.until(lambda: PresenceChanged("a", "eucom", present=False) in ndmc.events)
            assert not eucom.publish(b"of a link that was left", link="a")

            # over the same connection, starting again without knowledge of the peer
            eucom.transport.rejoin("a")
            assert await eucom.next(Joined) == Joined("a")
            await ndmc.next(PresenceChanged, 4)
            assert ndmc.of(PresenceChanged)[-1] == PresenceChanged("a", "eucom", present=True)
            await eucom.until(lambda: eucom.of(PresenceChanged)[-1] == PresenceChanged("a", "ndmc", present=True))
            ndmc.publish(b"again", link="a")
            await eucom.until(lambda: eucom.payloads[-1] == b"again")
            assert eucom.publish(b"again", link="a")
            await ndmc.next(Arrived)
            assert len(eucom.of(Connected)) == 1
        # a new connection does not subscribe to a link that was left, unless it was rejoined in the meantime
        async with Endpoint(two.settings("eucom"), links=links) as eucom:
            eucom.transport.leave("a")
            while eucom.transport._connection is None:  # noqa: ASYNC110 - no event reports it
                await asyncio.sleep(0)
            eucom.transport.rejoin("a")
            assert not eucom.of(Connected)
            await eucom.next(Connected)
            assert await eucom.next(Joined) == Joined("a")
    finally:
        two.close()


async def test_the_broker_forgets_a_link_removed_from_the_settings(site: BrokerSite) -> None:
    two = BrokerSite(site.folder / "two", {"a": ("eucom", "ndmc"), "b": ("eucom", "ndmc")})
    try:
        two.broker.start()
        async with Endpoint(two.settings("eucom"), links=[("a", "ndmc"), ("b", "ndmc")]) as eucom:
            await eucom.next(Connected)
        async with (
            Endpoint(two.settings("ndmc"), links=[("a", "eucom"), ("b", "eucom")]) as ndmc,
            Endpoint(two.settings("eucom"), links=[("b", "ndmc")]) as eucom,
        ):
            await ndmc.next(Connected)
            await eucom.next(Connected)
            ndmc.publish(b"old", link="a")
            ndmc.publish(b"new", link="b")
            await eucom.next(Arrived)
            assert eucom.payloads == [b"new"]
    finally:
        two.close()


async def test_run_raises_errors_of_the_service(running: BrokerSite) -> None:
    class BugError(Exception):
        pass

    def react(event: TransportEvent) -> None:
        if isinstance(event, Connected):
            raise BugError

    eucom = Endpoint(running.settings("eucom"))
    eucom.react = react
    async with asyncio.timeout(60):
        with pytest.raises(BugError):
            await eucom.transport.run()
    watch = Watcher(running.settings("watch"))
    watch.react = react
    async with asyncio.timeout(60):
        with pytest.raises(BugError):
            await watch.transport.run()


async def test_the_watch_reports_why_it_is_not_connected(site: BrokerSite) -> None:
    settings = site.settings("watch", port=free_port())
    async with Watcher(settings) as watch:
        assert "refused" in (await watch.next(Lost)).reason
        assert watch.transport.trouble is not None
