"""What a transport tells: past-tense nouns, each a frozen value.

The same for the endpoint's transport and for the watch's.
"""

from __future__ import annotations

from msgspec import Struct

from endpoints.mqtt.topics import Topic


class Connected(Struct, frozen=True, kw_only=True):
    """The broker has accepted the session and every subscription."""

    # it knew us: what it held for us follows (None: aiomqtt does not say)
    session_present: bool | None = None
    # CONNACK's Maximum Packet Size, if it has one and we are told
    packet_max_bytes: int | None = None


class Joined(Struct, frozen=True):
    """The connection carries this link again, which had been left: its subscriptions are accepted."""

    link: str


class Lost(Struct, frozen=True):
    """The connection is gone, or could not be made the first time. Told once; attempts go on."""

    reason: str


class Delivery(Struct, frozen=True, eq=False):
    """One delivery of the broker that waits for its acknowledgement. Give it back to `Transport.acknowledge`."""

    # which connection it came over: the next one knows nothing of it
    connection: int
    packet_id: int


class Arrived(Struct, frozen=True):
    """A frame of the peer arrived: to be acknowledged once its record is on disk, refused or not (SPEC M6.3, Q1.2)."""

    topic: Topic
    payload: bytes
    # None where no acknowledgement is owed (the watch's transport)
    delivery: Delivery | None


class PresenceChanged(Struct, frozen=True):
    """A party's presence changed, by its own word, by its will, or by its silence: a hint, never evidence (SPEC W3)."""

    link: str
    party: str
    present: bool


class Accepted(Struct, frozen=True):
    """The broker acknowledged the publish with this token: it says nothing about the peer."""

    token: object


class PublishDenied(Struct, frozen=True):
    """The publish with this token was refused: by the broker, or by us because it could not be sent."""

    token: object
    # MQTT 5 reason code
    code: int
    reason: str


class TakenOver(Struct, frozen=True):
    """Somebody else keeps connecting with our certificate; `times` in the last minutes (SPEC Q3.3)."""

    times: int


TransportEvent = Connected | Joined | Lost | Arrived | PresenceChanged | Accepted | PublishDenied | TakenOver
