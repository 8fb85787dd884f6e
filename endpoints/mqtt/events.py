"""Events that a transport reports: frozen values, the same for the endpoint's transport and the watch's."""

from __future__ import annotations

from msgspec import Struct

from endpoints.mqtt.topics import Topic


class Connected(Struct, frozen=True, kw_only=True):
    """The broker accepted the session and every subscription."""

    # the broker had kept our session: what it held for us follows (None: aiomqtt does not report it)
    session_present: bool | None = None
    # CONNACK's Maximum Packet Size, if the broker named one and the client library reports it
    packet_max_bytes: int | None = None
    # the certificate that the broker has shown (DER)
    broker_certificate: bytes | None = None
    # the node, as the settings name it, with its IP address if that is another
    node: str = ""
    # how long the broker keeps the session without us (None: aiomqtt does not report it)
    session_kept_s: int | None = None


class Joined(Struct, frozen=True):
    """The connection carries a link again that had been left: the broker accepted its subscriptions."""

    link: str


class Lost(Struct, frozen=True):
    """The connection was lost, or an attempt failed for a reason that was not reported yet; attempts continue."""

    # a phrase, unless the system or the broker worded it
    reason: str


class StillLost(Struct, frozen=True):
    """Another attempt failed, for a reason that was reported before."""

    reason: str


class Delivery(Struct, frozen=True, eq=False):
    """One delivery that waits for its acknowledgement. Pass it to `EndpointTransport.acknowledge`."""

    # the number of the connection that it came over: packet ids mean nothing to the next one
    connection: int
    packet_id: int


class Arrived(Struct, frozen=True):
    """A frame of the peer arrived; accepted or refused, acknowledge it once its record is on disk (SPEC M6.3, Q1.2)."""

    topic: Topic
    payload: bytes
    # None if no acknowledgement is due (the watch's transport)
    delivery: Delivery | None


class PresenceChanged(Struct, frozen=True):
    """A party's presence changed, by its own message, its will or its silence: a hint, never evidence (SPEC W3)."""

    link: str
    party: str
    present: bool


class PresenceHeard(Struct, frozen=True):
    """A party's own message says that it is present, at `real_s` by the machine's monotonic clock: once a beat."""

    link: str
    party: str
    real_s: float


class SignOfLife(Struct, frozen=True):
    """A receipt of a party arrived at QoS 0, at `real_s` by the machine's monotonic clock; unverified (SPEC Q2.5)."""

    topic: Topic
    payload: bytes
    real_s: float


class Accepted(Struct, frozen=True):
    """The broker acknowledged the publish with this token. It does not mean that the peer has it."""

    token: object


class PublishDenied(Struct, frozen=True):
    """The publish with this token was refused, by the broker or by the transport itself."""

    token: object
    # MQTT 5 reason code
    code: int
    reason: str


class Displaced(Struct, frozen=True):
    """Another client has connected with our certificate, for the first time in a while: no alarm yet."""


class TakenOver(Struct, frozen=True):
    """Another client keeps connecting with our certificate: `times` in the last minutes (SPEC Q3.3)."""

    times: int


TransportEvent = (
    Connected
    | Joined
    | Lost
    | StillLost
    | Arrived
    | PresenceChanged
    | PresenceHeard
    | SignOfLife
    | Accepted
    | PublishDenied
    | Displaced
    | TakenOver
)
