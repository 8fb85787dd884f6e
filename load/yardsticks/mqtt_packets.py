"""The few MQTT 5 packets that the smallest client needs: CONNECT, SUBSCRIBE, PUBLISH at QoS 1 and PUBACK.

For the yardsticks alone. The endpoint uses paho-mqtt.
"""

from __future__ import annotations

from collections.abc import Iterator

CONNACK, PUBLISH, PUBACK, SUBACK = 0x20, 0x30, 0x40, 0x90
_CONNECT, _SUBSCRIBE = 0x10, 0x82
_PUBLISH_QOS1 = 0x32
_VERSION = 5
_KEEPALIVE_S = 60
_NO_PROPERTIES = b"\0"
_CLEAN_START = 0x02
_CONTINUES = 0x80
_LENGTH_MAX_BYTES = 4


def connect(client_id: str) -> bytes:
    """Return a CONNECT with a clean session."""
    return _packet(
        _CONNECT, _text("MQTT") + bytes((5, _CLEAN_START)) + _KEEPALIVE_S.to_bytes(2, "big") + b"\0" + _text(client_id)
    )


def subscribe(topic: str) -> bytes:
    """Return a SUBSCRIBE to one topic at QoS 1."""
    return _packet(_SUBSCRIBE, (1).to_bytes(2, "big") + _NO_PROPERTIES + _text(topic) + b"\x01")


def publish(topic: str, packet_id: int, payload: bytes) -> bytes:
    """Return a PUBLISH at QoS 1."""
    return _packet(_PUBLISH_QOS1, _text(topic) + packet_id.to_bytes(2, "big") + _NO_PROPERTIES + payload)


def puback(packet_id: bytes) -> bytes:
    """Return a PUBACK for the two bytes of a packet id."""
    return b"\x40\x02" + packet_id


def published(body: memoryview) -> tuple[bytes, bytes]:
    """Return the packet id and the payload in the body of a PUBLISH at QoS 1 without properties."""
    after_topic = 2 + int.from_bytes(body[:2], "big")
    properties = body[after_topic + 2]
    return bytes(body[after_topic : after_topic + 2]), bytes(body[after_topic + 3 + properties :])


class Packets:
    """Splits a stream of bytes into packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, memoryview]]:
        """Yield the kind and the body of each packet that is complete now."""
        self._buffer += data
        whole = memoryview(bytes(self._buffer))
        place = 0
        while (end := _end(whole, place)) is not None:
            body, end_of_packet = end
            yield whole[place] & 0xF0, whole[body:end_of_packet]
            place = end_of_packet
        del self._buffer[:place]


def _end(data: memoryview, place: int) -> tuple[int, int] | None:
    """Return where the body of the packet at `place` begins and ends; None if it is not complete."""
    length, shift, at = 0, 0, place + 1
    while at < len(data) and at <= place + _LENGTH_MAX_BYTES:
        length |= (data[at] & ~_CONTINUES) << shift
        shift += 7
        at += 1
        if not data[at - 1] & _CONTINUES:
            return (at, at + length) if at + length <= len(data) else None
    return None


def _packet(first: int, body: bytes) -> bytes:
    length, encoded = len(body), bytearray()
    while True:
        length, digit = divmod(length, _CONTINUES)
        encoded.append(digit | _CONTINUES if length else digit)
        if not length:
            return bytes((first,)) + bytes(encoded) + body


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()
