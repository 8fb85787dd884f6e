"""Makes the AsyncAPI document of the topics: who writes and reads what, at the broker."""

from __future__ import annotations

from typing import Any

from endpoints.mqtt.topics import _QOS, GONE, PRESENT, Topic, TopicChannel
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.messages import FRAME_MAX_BYTES
from tests.contracts import wire
from tests.contracts.typed import Schema, walked

_ABOUT: dict[TopicChannel, str] = {
    "message": "The sender's stream: signed frames with messages, perhaps with a receipt beside them (SPEC M1.1).",
    "receipt": "The sender's receipts: signed frames (SPEC R1.1); at QoS 0 they are signs of life (SPEC Q2.5).",
    "presence": "Whether the sender is connected: a hint, never evidence (SPEC Q2.2).",
}


def document() -> Schema:
    """Return the AsyncAPI document."""
    payloads = {"message": wire.message_payload(), "receipt": wire.receipt_payload()}
    schemas = {"Frame": _embedded("Frame", wire.frame()), "Body": _embedded("Body", wire.body())}
    for channel, schema in payloads.items():
        schemas[_payload_name(channel)] = _embedded(_payload_name(channel), schema)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "The topics of the deconfliction link",
            "version": "1",
            "description": (
                "MQTT 5 (SPEC Q). The broker is not trusted: it can delay, and that is all. What counts is the"
                " signature of each frame. A frame is acknowledged (PUBACK) after its record is on disk, and is sent"
                " again until the other side's signed receipt covers it: so it may come more than once."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "broker.example:8883",
                "protocol": "secure-mqtt",
                "protocolVersion": "5.0",
                "description": "TLS 1.3 with certificates on both sides (SPEC Q3.1)",
                "security": [{"$ref": "#/components/securitySchemes/certificate"}],
                "bindings": {"mqtt": {"cleanSession": False, "bindingVersion": "0.2.0"}},
            }
        },
        "channels": {channel: _channel(channel) for channel in _QOS},
        "operations": {
            f"{does}-{channel}": _operation(does, channel, qos) for channel, qos in _QOS.items() for does in _WHO
        },
        "components": {
            "securitySchemes": {
                "certificate": {
                    "type": "X509",
                    "description": "The first common name is the MQTT user name and the client id (SPEC Q3.1).",
                }
            },
            "messages": {channel: _message(channel) for channel in _QOS},
            "schemas": dict(sorted(schemas.items())),
        },
    }


_WHO = {
    "send": "An endpoint writes under its own name alone (SPEC Q2.3).",
    "receive": "An endpoint reads its peer's topics; the independent watch reads both, and writes nothing (SPEC W6).",
}


def _channel(channel: TopicChannel) -> dict[str, Any]:
    return {
        "address": str(Topic("{link}", "{sender}", channel)),
        "description": _ABOUT[channel],
        "parameters": {
            "link": {"description": "the id of the link", "examples": ["eucom-ndmc"]},
            "sender": {"description": "the party that writes, and signs", "examples": ["eucom", "ndmc"]},
        },
        "messages": {channel: {"$ref": f"#/components/messages/{channel}"}},
    }


def _operation(does: str, channel: TopicChannel, qos: int) -> dict[str, Any]:
    bindings: dict[str, Any] = {"qos": qos, "bindingVersion": "0.2.0"}
    return {
        "action": does,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": _WHO[does],
        "bindings": {"mqtt": bindings | ({"retain": False} if does == "send" else {})},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{channel}"}],
    }


def _message(channel: TopicChannel) -> dict[str, Any]:
    if channel == "presence":
        return {
            "contentType": "text/plain",
            "summary": "Anything but `present` counts as gone.",
            "payload": {"type": "string", "enum": [PRESENT.decode(), GONE.decode()]},
        }
    return {
        "contentType": "application/json",
        "summary": f"A frame of at most {FRAME_MAX_BYTES} bytes, whose payload is a {_payload_name(channel)}.",
        "payload": {
            "allOf": [
                {"$ref": "#/components/schemas/Frame"},
                {
                    "properties": {
                        "payloadType": {"const": PAYLOAD_TYPES[channel]},
                        "payload": {"description": f"base64 of a {_payload_name(channel)}, in canonical JSON"},
                    }
                },
            ]
        },
    }


def _payload_name(channel: str) -> str:
    return f"{channel.capitalize()}Payload"


def _embedded(name: str, schema: Schema) -> Schema:
    """Return a schema document as a part of another document, its definitions in place."""
    inner = f"#/components/schemas/{name}/definitions/"

    def moved(each: Schema) -> Schema:
        ref = each.get("$ref")
        return each | {"$ref": ref.replace("#/$defs/", inner)} if isinstance(ref, str) else each

    made = walked({key: value for key, value in schema.items() if key not in {"$schema", "$defs"}}, moved)
    defs = {key: walked(value, moved) for key, value in schema.get("$defs", {}).items()}
    embedded: Schema = made | ({"definitions": defs} if defs else {})
    return embedded
