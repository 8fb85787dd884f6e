"""The MQTT session: what both transports request of the broker, and how a connection opens and ends (SPEC Q1.1)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from protocol.phrases import Phrase, phrase

SESSION_EXPIRY_S = 30 * 86_400
"""How long the broker keeps a session without its client."""
SESSION_AT_LEAST_S = 7 * 86_400
"""SPEC Q1.1 requires a week."""
RECEIVE_MAX = 128
"""Unacknowledged deliveries at most: 8 MiB of frames of the largest size; a batch is rarely larger."""
SHORT_LIVED_S = 60
"""For how long a broker may keep a sign of life for an absent client."""
PACKET_MAX_BYTES = 131_072
"""The largest packet that the broker may send: the same limit that the broker applies itself (SPEC F6.1)."""
SUBSCRIBED_AT_ONCE = 512
"""Topics of one SUBSCRIBE packet: 48 kB of the longest names. A broker may take no larger packet than a frame's."""
ANSWER_WITHIN_S = 10.0
"""From CONNECT to the broker's CONNACK and SUBACK."""


class Will(Struct, frozen=True):
    """What the broker publishes for us at QoS 0 if the connection breaks and stays down for `delay_s`."""

    topic: str
    payload: bytes
    delay_s: int


class Opened(Struct, frozen=True):
    """What the broker granted in CONNACK."""

    session_present: bool
    packet_max_bytes: int | None
    # DER
    broker_certificate: bytes | None
    # for how long the broker keeps the session without its client
    session_kept_s: int = SESSION_EXPIRY_S


class ConnectionClosed(Struct, frozen=True):
    """Why a connection ended or could not be opened."""

    reason: str
    # the reason code of the broker's DISCONNECT or refusing CONNACK, if it sent one
    code: int | None = None
    # the broker closed TLS properly without a DISCONNECT, as Mosquitto 2.0 does when a session is taken over
    orderly: bool = False
    # the other end closed the connection without giving a reason: properly, or by an end of file or a reset
    closed: bool = False
    # the token of the first publish that the broker had not answered
    unanswered: object | None = None


def connect_properties() -> Properties:
    """Return the properties of a CONNECT packet."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_EXPIRY_S
    properties.ReceiveMaximum = RECEIVE_MAX
    properties.MaximumPacketSize = PACKET_MAX_BYTES
    return properties


def short_lived() -> Properties:
    """Return the properties of a PUBLISH packet that the broker discards if it cannot deliver it soon."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = SHORT_LIVED_S
    return properties


def ends_session() -> Properties:
    """Return the properties of a DISCONNECT packet with which the broker forgets the session."""
    properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 0
    return properties


def too_brief(kept_s: int) -> Phrase | None:
    """Return that the broker keeps sessions for less than SPEC Q1.1 requires, None if it keeps them long enough."""
    if kept_s >= SESSION_AT_LEAST_S:
        return None
    return phrase(
        "the broker keeps an absent client's session for {hours} hours; at least {least} are required",
        hours=kept_s // 3_600,
        least=SESSION_AT_LEAST_S // 3_600,
    )


def without_retained(subscriptions: Iterable[tuple[str, int]]) -> list[tuple[str, SubscribeOptions]]:
    """Return topics and their QoS as paho subscribes to them: no retained message is delivered."""
    return [
        (topic, SubscribeOptions(qos=qos, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND))
        for topic, qos in subscriptions
    ]
