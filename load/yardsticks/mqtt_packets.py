"""The few MQTT 5 packets that the smallest client needs: CONNECT, SUBSCRIBE, PUBLISH at QoS 1 and PUBACK.

For the yardsticks alone. The endpoint uses paho-mqtt.
"""

from __future__ import annotations

CONNACK, PUBLISH, PUBACK, SUBACK = 0x20, 0x30, 0x40, 0x90
_CONNECT, _SUBSCRIBE = 0x10, 0x82
_PUBLISH_QOS1 = 0x32
_VERSION = 5
_KEEPALIVE_S = 60
_NO_PROPERTIES = b"\0"
_CLEAN_START = 0x02
_CONTINUES = 0x80


def connect(client_id: str) -> bytes:
    """Return a CONNECT with a clean session."""
    return _packet(
        _CONNECT,
        text("MQTT")
        + bytes((_VERSION, _CLEAN_START))
        + _KEEPALIVE_S.to_bytes(2, "big")
        + _NO_PROPERTIES
        + text(client_id),
    )


def subscribe(topic: str) -> bytes:
    """Return a SUBSCRIBE to one topic at QoS 1."""
    return _packet(_SUBSCRIBE, (1).to_bytes(2, "big") + _NO_PROPERTIES + text(topic) + b"\x01")


def publish(topic: bytes, packet_id: int, payload: bytes) -> bytes:
    """Return a PUBLISH at QoS 1; `topic` is encoded by `text`."""
    return _packet(_PUBLISH_QOS1, b"".join((topic, packet_id.to_bytes(2, "big"), _NO_PROPERTIES, payload)))


def puback(packet_id: bytes) -> bytes:
    """Return a PUBACK for the two bytes of a packet id."""
    return b"\x40\x02" + packet_id


def published(body: bytes) -> tuple[bytes, bytes]:
    """Return the packet id and the payload in the body of a PUBLISH at QoS 1 without properties."""
    at = 2 + int.from_bytes(body[:2], "big")
    return body[at : at + 2], body[at + 3 + body[at + 2] :]


class Packets:
    """Splits a stream of bytes into packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the kind and the body of each packet that is complete now."""
        if self._rest:
            data = self._rest + data
        found, place, size = [], 0, len(data)
        while place + 1 < size:
            length, shift, at = 0, 0, place + 1
            # the length has seven bits in each byte, and another byte after those with the eighth bit
            while at < size and data[at] & _CONTINUES:
                length |= (data[at] & ~_CONTINUES) << shift
                shift, at = shift + 7, at + 1
            if at == size:
                break
            body = at + 1
            end = body + (length | data[at] << shift)
            if end > size:
                break
            found.append((data[place] & 0xF0, data[body:end]))
            place = end
        self._rest = data[place:]
        return found


def text(content: str) -> bytes:
    """Return a text with its length before it."""
    return len(content).to_bytes(2, "big") + content.encode()


def _packet(first: int, body: bytes) -> bytes:
    length, encoded = len(body), bytearray((first,))
    while length >= _CONTINUES:
        encoded.append(length & ~_CONTINUES & 0xFF | _CONTINUES)
        length >>= 7
    encoded.append(length)
    return bytes(encoded) + body
