import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints.clocks.clock import SystemClock
from load.driver import Load
from load.yardsticks import mqtt_packets
from load.yardsticks.client import RECEIVER, OnMessages, Place
from load.yardsticks.skeleton import SkeletonReceiver, SkeletonSender

PAYLOADS = st.lists(st.binary(max_size=300), max_size=6)


@given(PAYLOADS, st.data())
def test_packets_are_found_however_the_stream_is_cut(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(
        mqtt_packets.publish(mqtt_packets.text("a/b"), number, each) for number, each in enumerate(payloads, 1)
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    packets, found = mqtt_packets.Packets(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        for kind, body in packets.feed(stream[begin:end]):
            assert kind == mqtt_packets.PUBLISH
            found.append(mqtt_packets.published(body))

    assert found == [(number.to_bytes(2, "big"), each) for number, each in enumerate(payloads, 1)]


class Wire:
    """Connects both sides of the skeleton without a broker."""

    def __init__(self) -> None:
        self.hears: dict[str, OnMessages] = {}
        self.frames: list[bytes] = []

    def connect(self) -> Callable[..., object]:
        async def connect(place: Place, peer: str, on_messages: OnMessages) -> "WireClient":
            self.hears[place.identity] = on_messages
            return WireClient(self, peer)

        return connect


class WireClient:
    def __init__(self, wire: Wire, peer: str) -> None:
        self._wire = wire
        self._peer = peer

    def publish(self, payload: bytes) -> None:
        self._wire.frames.append(payload)
        asyncio.get_running_loop().call_soon(self._wire.hears[self._peer], [payload])

    async def close(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("flush", [True, False])
async def test_the_skeleton_receipts_every_message_once(tmp_path: Path, flush: bool) -> None:
    wire = Wire()
    sender, receiver = SkeletonSender(SystemClock().precise_ns, tmp_path), SkeletonReceiver(tmp_path)
    for side, identity in ((receiver, RECEIVER), (sender, "yardstick-a")):
        place = Place(port=0, authority=tmp_path, tls=tmp_path, identity=identity)
        await side.open(wire.connect(), place)  # type: ignore[arg-type]
    load = Load(window=64, seconds=10, count_max=500, patience_s=5)
    times = await sender.prepare(load, 1_213, lambda _: None, flush=flush).run()

    assert len(times.intended_ns) == 500
    assert times.unfinished == 0
    # many messages share a frame and a receipt
    assert len(wire.frames) < 100


async def test_a_frame_of_somebody_else_is_ignored(tmp_path: Path) -> None:
    wire = Wire()
    receiver = SkeletonReceiver(tmp_path)
    place = Place(port=0, authority=tmp_path, tls=tmp_path, identity=RECEIVER)
    await receiver.open(wire.connect(), place)  # type: ignore[arg-type]
    wire.hears[RECEIVER]([bytes(200)])
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert not wire.frames
