"""Tries from inside the network what a broker must refuse; runs in the link's image, and prints the outcomes as JSON.

Standard input has the attacks, one JSON object a line: the folder of a certificate (empty for none), the TLS version,
the client id, the node, what is published or subscribed, and how. Each outcome is a word: how far the broker has let
it come.
"""

import json
import ssl
import sys
import threading
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

WITHIN_S = 10.0


def outcome(attack: dict[str, Any]) -> str:
    """Return `no connection`, `refused CODE`, `closed`, `published CODE`, or `subscribed`."""
    client = Client(CallbackAPIVersion.VERSION2, attack.get("id", "attacker"), protocol=MQTTProtocolVersion.MQTTv5)
    happened: list[str] = []
    done = threading.Event()

    def end(word: str) -> None:
        happened.append(word)
        done.set()

    def connected(_: Client, __: Any, ___: ConnectFlags, code: ReasonCode, ____: Properties | None) -> None:
        if code.is_failure:
            end(f"refused {code.value}")
        elif "publish" in attack:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if "alias" in attack:
                properties.TopicAlias = attack["alias"]
            client.publish(
                attack["publish"],
                b"x" * attack.get("size", 1),
                qos=attack.get("qos", 1),
                retain=attack.get("retain", False),
                properties=properties,
            )
        else:
            client.subscribe(attack["subscribe"], 1)

    def published(_: Client, __: Any, ___: int, code: ReasonCode, ____: Properties) -> None:
        end(f"published {code.value}")

    def arrived(_: Client, __: Any, message: MQTTMessage) -> None:
        end(f"read {message.topic}")

    def closed(_: Client, __: Any, ___: DisconnectFlags, ____: ReasonCode, _____: Properties | None) -> None:
        end("closed")

    client.on_connect, client.on_publish, client.on_message, client.on_disconnect = (
        connected,
        published,
        arrived,
        closed,
    )
    if "will" in attack:
        client.will_set(attack["will"], b"x", qos=1)
    if not attack.get("plain"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(attack["authority"])
        if attack.get("tls") == "1.2":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        if folder := attack.get("certificate"):
            context.load_cert_chain(Path(folder) / "client.crt", Path(folder) / "client.key")
        client.tls_set_context(context)
    try:
        client.connect(attack.get("host", "broker"), attack.get("port", 8883))
    except OSError:
        return "no connection"
    client.loop_start()
    in_time = done.wait(attack.get("within_s", WITHIN_S))
    client.on_disconnect = None
    client.disconnect()
    client.loop_stop()
    return happened[0] if in_time else "nothing"


if __name__ == "__main__":
    print(json.dumps({(attack := json.loads(line))["name"]: outcome(attack) for line in sys.stdin}))
