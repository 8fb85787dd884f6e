"""The far broker of a bridge publishes whatever it likes at the broker that connects to it: nothing false gets in."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoints.mqtt.topics import Topic
from tests.support.bridged_station import BridgedStation
from tests.support.station import LINK
from tests.vectors.streams import STREAM
from tests.vectors.terms import message_frame

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]
CONNACK = bytes.fromhex("2003000000")
PINGRESP = bytes.fromhex("d000")


class FalseBroker:
    """Speaks just enough MQTT 5 to be the far end of a bridge, with ndmc's own certificate."""

    def __init__(self, tls: Path, port: int) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tls / "ca.crt"))
        self._context.load_cert_chain(tls / "server.crt", tls / "server.key")
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", port))
        self.subscribed = threading.Event()
        self.bridges: list[ssl.SSLSocket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._context.wrap_socket(self._listener.accept()[0], server_side=True)
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, bridge: ssl.SSLSocket) -> None:
        while (packet := _packet(bridge)) is not None:
            kind, body = packet
            if kind >> 4 == 1:
                bridge.sendall(CONNACK)
                self.bridges.append(bridge)
            elif kind >> 4 == 8:  # SUBSCRIBE: grants QoS 1
                bridge.sendall(bytes([0x90, 4]) + body[:2] + b"\0\1")
                self.subscribed.set()
            elif kind >> 4 == 3 and kind & 2:  # PUBLISH at QoS 1, which nobody gets
                size = int.from_bytes(body[:2], "big")
                bridge.sendall(bytes([0x40, 2]) + body[2 + size : 4 + size])
            elif kind >> 4 == 12:
                bridge.sendall(PINGRESP)

    def publish(self, topic: str, payload: bytes, packet_id: int = 0) -> None:
        """Publish at QoS 1, or at QoS 0 without a packet id."""
        body = len(topic).to_bytes(2, "big") + topic.encode()
        body += (packet_id.to_bytes(2, "big") if packet_id else b"") + b"\0" + payload
        size, length = len(body), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        self.bridges[-1].sendall(bytes([0x32 if packet_id else 0x30]) + length + bytes([size]) + body)

    def close(self) -> None:
        self._listener.close()
        for bridge in self.bridges:
            bridge.close()


def _packet(stream: ssl.SSLSocket) -> tuple[int, bytes] | None:
    try:
        kind, size, shift = _exactly(stream, 1)[0], 0, 0
        while True:
            digit = _exactly(stream, 1)[0]
            size |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return kind, _exactly(stream, size)
    except OSError:
        return None


def _exactly(stream: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        found = stream.recv(size - len(data))
        if not found:
            raise OSError("closed")
        data += found
    return data


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedStation]:
    with BridgedStation.of(tmp_path_factory) as station:
        yield station


def test_nothing_false_gets_in_over_a_bridge(station: BridgedStation) -> None:
    """SPEC F3.5, Q2.2, Q2.5"""
    false = FalseBroker(station.second.folder / "tls", station.second.port)
    try:
        station.broker.start()
        station.launch("eucom")
        station.connected("eucom")
        assert false.subscribed.wait(20)
        sent = station.alert()
        # a frame of ndmc's that another link's keys have signed; a receipt; a sign of life; in eucom's own name
        forged = message_frame("ndmc", STREAM[:1])
        topics = [Topic(LINK, party, channel) for party in ("ndmc", "eucom") for channel in ("message", "receipt")]
        for packet_id, topic in enumerate(topics, 1):
            false.publish(str(topic), forged, packet_id)
            false.publish(str(topic), forged)
        for topic_name in (f"deconfliction/v1/{LINK}/ndmc/other", "deconfliction/v1/other/ndmc/message", "$SYS/x", "x"):
            false.publish(topic_name, forged, 9)
        station.alarm("eucom", "bad_frames/ndmc")
        false.publish(str(Topic(LINK, "ndmc", "presence")), b"present")
        # presence is believed, as the hint that it is
        station.until(lambda: station.status("eucom")["peer"] == "present")
        end = time.monotonic() + 35
        while time.monotonic() < end:
            # all the while, the line is not called fine, and the message counts as not received
            status = station.status("eucom")
            assert status["state"] != "fine"
            assert status["last_signed_at"] is None
            time.sleep(0.5)
        assert station.status("eucom")["outbox"]["in_flight"] == 1
        assert station.alert_state("eucom", sent) == "sent"
        assert station.applied("eucom") == []
        assert {reason["code"] for reason in station.status("eucom")["reasons"]} >= {"unreceipted"}
    finally:
        false.close()
