"""Simulates an attacker with a party's certificate and signing keys, while its endpoint is stopped."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

import aiomqtt
from msgspec import UNSET
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from endpoints.config.settings import load_endpoint
from endpoints.keys.signer import Signer
from endpoints.mqtt.topics import Topic, TopicChannel
from protocol.wire import canonical
from protocol.wire.digests import message_digest, policy_digest
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.instants import written
from protocol.wire.messages import Claim, Message, MessagePayload, ReceiptPayload
from tests.support.station import LINK, Station

Frames = Sequence[tuple[TopicChannel, bytes]]


class Impostor:
    """Continues the stream of `side` after message `last`, whose hash is `head`."""

    def __init__(self, station: Station, side: str = "eucom", last: int = 0, head: str = "") -> None:
        self._station = station
        self._side = side
        self._settings = load_endpoint(station.config(side))
        self._signer = Signer.load(self._settings.keys)
        terms = station.files[0].terms
        self._address: dict[str, Any] = {
            "link": LINK,
            "epoch": terms.epoch,
            "sender": side,
            "recipient": self._settings.links[0].content.peer_of(side),
            "policy": policy_digest(terms),
        }
        self.last = last
        self.head = head

    def message(self, body: dict[str, Any], *, ahead_s: int = 0) -> Message:
        """Return the next message of the stream."""
        message = Message(self.last + 1, self.head, written(self._station.now + ahead_s * 1_000), body)
        self.last, self.head = message.seq, message_digest(message)
        return message

    def run(self, *messages: Message, floor: int = 0) -> bytes:
        payload = MessagePayload(**self._address, floor=floor, messages=messages, receipt=UNSET)
        return self._signer.seal(PAYLOAD_TYPES["message"], canonical.encode(payload))

    def receipt(self, claim: Claim) -> bytes:
        payload = ReceiptPayload(**self._address, upto=claim.upto, head=claim.head, at=claim.at)
        return self._signer.seal(PAYLOAD_TYPES["receipt"], canonical.encode(payload))

    def say(self, frames: Frames = (), qos: int = 1) -> None:
        """Connect with the party's certificate, publish the frames and disconnect."""
        asyncio.run(self._say(frames, qos))

    async def _say(self, frames: Frames, qos: int) -> None:
        broker = self._settings.broker
        context = ssl.create_default_context(cafile=str(broker.authority))
        context.load_cert_chain(broker.certificate, broker.key)
        # like the endpoint's own connection: otherwise, the session would end with this one
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 86_400
        async with aiomqtt.Client(
            broker.addresses[0].host,
            broker.addresses[0].port,
            identifier=self._side,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
            tls_context=context,
        ) as client:
            for channel, frame in frames:
                await client.publish(str(Topic(LINK, self._side, channel)), frame, qos=qos)
