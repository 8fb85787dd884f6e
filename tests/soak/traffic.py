"""The stream: officers of both sides raise alerts and acknowledge the other side's, over the control sockets.

Every wish has one request id and is repeated until it is answered, whoever dies meanwhile; some are repeated although
they were answered: the reference must be the same one.
"""

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Mapping

import httpx
from msgspec import Struct

from tests.soak.installation import LINK, Endpoint

OUTSTANDING_MAX = 1_500
"""Alerts of one side that are not acknowledged: the stream waits then. The core would keep 10,000 open."""
AT_ONCE = 12
"""Requests to one side at the same time."""
TIMEOUT_S = 15.0
"""A request that is repeated after so long is still among the 1,024 that the core remembers."""
PAUSE_S = 0.5
REMEMBERED = 64
REPEATED_EVERY = 50
"""One answered request in so many is asked once more."""
BROKEN_MAX = 50
_LATER = {"stopping", "busy", "outbox_full"}
_NOT_HERE_YET = "unknown_reference"


class Wish(Struct):
    """One alert on its way."""

    number: int
    side: str
    text: str
    reference: str = ""
    acknowledgement: str = ""

    @property
    def request(self) -> str:
        return f"soak.{self.side}.{self.number}"


class Traffic:
    """Both directions of the stream. `broken` holds what was promised and not kept."""

    def __init__(self, endpoints: dict[str, Endpoint], rng: random.Random, alerts_per_s: float) -> None:
        self.broken: list[str] = []
        self.answered: dict[str, list[Wish]] = {side: [] for side in endpoints}
        self.acknowledged = 0
        self.repeated = 0
        self.retried = 0
        self._rngs = {side: random.Random(rng.getrandbits(64)) for side in endpoints}
        self._endpoints = endpoints
        self._each_s = len(endpoints) / alerts_per_s
        self._numbers = itertools.count(1)
        self._begun = dict.fromkeys(endpoints, 0)
        self._done = dict.fromkeys(endpoints, 0)
        self._wanted: dict[str, asyncio.Queue[Wish]] = {side: asyncio.Queue(OUTSTANDING_MAX) for side in endpoints}
        # alerts of the peer that this side has to acknowledge; bounded by OUTSTANDING_MAX
        self._arriving: dict[str, deque[Wish]] = {side: deque(maxlen=2 * OUTSTANDING_MAX) for side in endpoints}
        self._recent: dict[str, deque[Wish]] = {side: deque(maxlen=REMEMBERED) for side in endpoints}
        self._clients = {side: _client(endpoint) for side, endpoint in endpoints.items()}
        self._going = True

    @property
    def outstanding(self) -> int:
        return sum(self._begun.values()) - sum(self._done.values())

    async def run(self) -> None:
        """Run until everything that was wished for is done after `finish`."""
        async with asyncio.TaskGroup() as group:
            for side in self._endpoints:
                group.create_task(self._wish(side))
                group.create_task(self._acknowledge(side))
                for _ in range(AT_ONCE):
                    group.create_task(self._raise(side))
        for client in self._clients.values():
            await client.aclose()

    def finish(self) -> None:
        """Wish for nothing new."""
        self._going = False

    async def repeat_last(self, side: str, count: int = 5) -> None:
        """Ask once more for what was answered last, as a client does that doubts the answer."""
        recent = [*self._recent[side]][-count:]
        for wish in recent:
            await self._ask_alert(wish)

    @property
    def _over(self) -> bool:
        return not self._going and self.outstanding == 0

    async def _wish(self, side: str) -> None:
        clock, rng = asyncio.get_running_loop(), self._rngs[side]
        due_s = clock.time()
        while self._going:
            if self._begun[side] - self._done[side] < OUTSTANDING_MAX:
                self._begun[side] += 1
                number = next(self._numbers)
                words = " ".join(rng.choice(_WORDS) for _ in range(rng.randint(1, 30)))
                await self._wanted[side].put(Wish(number, side, f"{number}: {words}"))
            due_s += self._each_s
            # what could not be wished for in time is not made up for: the stream is one of officers
            due_s = max(due_s, clock.time() - 5)
            await asyncio.sleep(max(0.0, due_s - clock.time()))

    async def _raise(self, side: str) -> None:
        while not self._over:
            try:
                async with asyncio.timeout(1):
                    wish = await self._wanted[side].get()
            except TimeoutError:
                continue
            reference = await self._insist(wish)
            if not wish.reference:
                wish.reference = reference
                self.answered[side].append(wish)
                self._recent[side].append(wish)
                self._arriving[self._peer(side)].append(wish)
            if wish.number % REPEATED_EVERY == 0:
                await self._ask_alert(wish)

    async def _insist(self, wish: Wish) -> str:
        while True:
            if reference := await self._ask_alert(wish):
                return reference
            await asyncio.sleep(PAUSE_S)

    async def _acknowledge(self, side: str) -> None:
        """The oldest first: as they arrive."""
        arriving = self._arriving[side]
        while not self._over:
            if not arriving or not await self._ask_acknowledgement(side, arriving[0]):
                await asyncio.sleep(PAUSE_S)
                continue
            arriving.popleft()
            # where the oldest has arrived, more may have
            batch = [arriving.popleft() for _ in range(min(AT_ONCE, len(arriving)))]
            done = await asyncio.gather(*(self._ask_acknowledgement(side, wish) for wish in batch))
            left = [wish for wish, well in zip(batch, done, strict=True) if not well]
            arriving.extendleft(reversed(left))

    async def _ask_alert(self, wish: Wish) -> str:
        ask = {
            "category": "airspace_transit",
            "precedence": "routine",
            "text": {"en": wish.text, "ru": "Учение."},
            "expires_in_s": 86_400,
        }
        reference = await self._ask(wish.side, "alert", wish.request, ask)
        if reference and wish.reference:
            self.repeated += 1
            if reference != wish.reference:
                self._break(f"{wish.request}: answered {wish.reference}, repeated: {reference}")
        return reference

    async def _ask_acknowledgement(self, side: str, wish: Wish) -> bool:
        ask = {"of": wish.reference, "decision": "understood"}
        reference = await self._ask(side, "acknowledge", f"{wish.request}.ack", ask)
        if not reference:
            return False
        wish.acknowledgement = reference
        self._done[wish.side] += 1
        self.acknowledged += 1
        return True

    async def _ask(self, side: str, action: str, request: str, ask: Mapping[str, object]) -> str:
        """Return the reference, or an empty string if it has to be asked again."""
        endpoint = self._endpoints[side]
        proof = {"request": request, "officer": endpoint.officer, "credential": endpoint.credential}
        try:
            response = await self._clients[side].post(f"/v1/links/{LINK}/{action}", json={**proof, **ask})
            answer = response.json()
        except (httpx.HTTPError, ValueError):
            self.retried += 1
            return ""
        if response.is_success:
            return str(answer["reference"])
        code = answer.get("code", "")
        if code not in _LATER and not (code == _NOT_HERE_YET and action == "acknowledge"):
            self._break(f"{side}: {request}: {response.status_code} {answer}")
        return ""

    def _break(self, what: str) -> None:
        if len(self.broken) < BROKEN_MAX:
            self.broken.append(what)

    def _peer(self, side: str) -> str:
        return next(each for each in self._endpoints if each != side)


def _client(endpoint: Endpoint) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=str(endpoint.control), limits=httpx.Limits(max_connections=3 * AT_ONCE))
    return httpx.AsyncClient(transport=transport, base_url="http://control", timeout=TIMEOUT_S)


_WORDS = ("борт", "курс", "высота", "эшелон", "сектор", "граница", "учение", "north", "track", "level")
