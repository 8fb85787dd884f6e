import asyncio
import time

from endpoints.mqtt.beats import Beats
from endpoints.mqtt.presence import Presence

BEAT_S = 0.2


def failed(error: Exception) -> None:
    raise error


async def test_brief_connections_do_not_keep_a_sign_back() -> None:
    served: list[str] = []
    timers = Beats(["one"], BEAT_S, served.append, Presence([], BEAT_S, lambda _: None), time.monotonic)
    async with asyncio.timeout(60):
        while len(served) < 3:
            timers.start(failed)
            await asyncio.sleep(BEAT_S / 4)
            timers.stop()


async def test_each_link_is_served_in_its_turn() -> None:
    served: list[str] = []
    enough = asyncio.Event()

    def serve(link: str) -> None:
        served.append(link)
        if len(served) == 1_000:
            enough.set()

    presence = Presence([], BEAT_S, lambda _: None)
    timers = Beats([f"link-{number}" for number in range(250)], BEAT_S, serve, presence, time.monotonic)
    timers.start(failed)
    async with asyncio.timeout(60):
        await enough.wait()
    timers.stop()
    assert len(set(served)) == 250
    assert {served.count(link) for link in served} <= {3, 4, 5}
