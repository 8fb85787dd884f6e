"""Generates the soak's stream of alerts and acknowledgements on both sides, over the control sockets.

Each request has an id and is repeated until it is answered, whichever process is killed meanwhile. Some requests are
repeated after they were answered; the reference must be the same.
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
"""Maximum number of one side's unacknowledged alerts, at which the stream pauses. The core keeps up to 10,000 open."""
AT_ONCE = 12
"""Number of concurrent requests to one side."""
TIMEOUT_S = 15.0
"""Timeout of a request. One repeated after this time is still among the 1,024 requests that the core remembers."""
PAUSE_S = 0.5
REMEMBERED = 64
REPEATED_EVERY = 50
"""One in this many answered requests is repeated."""
BROKEN_MAX = 50
_LATER = {"stopping", "busy", "outbox_full"}
_NOT_HERE_YET = "unknown_reference"


class AlertRequest(Struct):
    """An alert that an officer requests, with the references it gets."""

    number: int
    side: str
    text: str
    reference: str = ""
    acknowledgement: str = ""

    @property
    def request(self) -> str:
        return f"soak.{self.side}.{self.number}"


class Traffic:
    """The stream in both directions; `broken` lists violated guarantees."""

    def __init__(self, endpoints: dict[str, Endpoint], rng: random.Random, alerts_per_s: float) -> None:
        self.broken: list[str] = []
        self.answered: dict[str, list[AlertRequest]] = {side: [] for side in endpoints}
        self.acknowledged = 0
        self.repeated = 0
        self.retried = 0
        self._rngs = {side: random.Random(rng.getrandbits(64)) for side in endpoints}
        self._endpoints = endpoints
        self._each_s = len(endpoints) / alerts_per_s
        self._numbers = itertools.count(1)
        self._begun = dict.fromkeys(endpoints, 0)
        self._done = dict.fromkeys(endpoints, 0)
        self._pending: dict[str, asyncio.Queue[AlertRequest]] = {
            side: asyncio.Queue(OUTSTANDING_MAX) for side in endpoints
        }
        # alerts of the peer that this side has to acknowledge; bounded by OUTSTANDING_MAX
        self._arriving: dict[str, deque[AlertRequest]] = {side: deque(maxlen=2 * OUTSTANDING_MAX) for side in endpoints}
        self._recent: dict[str, deque[AlertRequest]] = {side: deque(maxlen=REMEMBERED) for side in endpoints}
        self._clients = {side: _client(endpoint) for side, endpoint in endpoints.items()}
        self._going = True

    @property
    def outstanding(self) -> int:
        return sum(self._begun.values()) - sum(self._done.values())

    async def run(self) -> None:
        """Run until `finish` is called and every requested alert is acknowledged."""
        async with asyncio.TaskGroup() as group:
            for side in self._endpoints:
                group.create_task(self._generate(side))
                group.create_task(self._acknowledge(side))
                for _ in range(AT_ONCE):
                    group.create_task(self._raise(side))
        for client in self._clients.values():
            await client.aclose()

    def finish(self) -> None:
        """Stop generating new alerts."""
        self._going = False

    async def repeat_last(self, side: str, count: int = 5) -> None:
        """Repeat the requests that were answered last, as a client does that did not get the answer."""
        recent = [*self._recent[side]][-count:]
        for alert in recent:
            await self._ask_alert(alert)

    @property
    def _over(self) -> bool:
        return not self._going and self.outstanding == 0

    async def _generate(self, side: str) -> None:
        clock, rng = asyncio.get_running_loop(), self._rngs[side]
        due_s = clock.time()
        while self._going:
            if self._begun[side] - self._done[side] < OUTSTANDING_MAX:
                self._begun[side] += 1
                number = next(self._numbers)
                words = " ".join(rng.choice(_WORDS) for _ in range(rng.randint(1, 30)))
                await self._pending[side].put(AlertRequest(number, side, f"{number}: {words}"))
            due_s += self._each_s
            # alerts missed during a long pause are not made up for: officers would not do so either
            due_s = max(due_s, clock.time() - 5)
            await asyncio.sleep(max(0.0, due_s - clock.time()))

    async def _raise(self, side: str) -> None:
        while not self._over:
            try:
                async with asyncio.timeout(1):
                    alert = await self._pending[side].get()
            except TimeoutError:
                continue
            reference = await self._ask_until_answered(alert)
            if not alert.reference:
                alert.reference = reference
                self.answered[side].append(alert)
                self._recent[side].append(alert)
                self._arriving[self._peer(side)].append(alert)
            if alert.number % REPEATED_EVERY == 0:
                await self._ask_alert(alert)

    async def _ask_until_answered(self, alert: AlertRequest) -> str:
        while True:
            if reference := await self._ask_alert(alert):
                return reference
            await asyncio.sleep(PAUSE_S)

    async def _acknowledge(self, side: str) -> None:
        """Acknowledge the alerts of the other side as they arrive, the oldest first."""
        arriving = self._arriving[side]
        while not self._over:
            if not arriving or not await self._ask_acknowledgement(side, arriving[0]):
                await asyncio.sleep(PAUSE_S)
                continue
            arriving.popleft()
            # if the oldest has arrived, others may have too
            batch = [arriving.popleft() for _ in range(min(AT_ONCE, len(arriving)))]
            done = await asyncio.gather(*(self._ask_acknowledgement(side, alert) for alert in batch))
            left = [alert for alert, acknowledged in zip(batch, done, strict=True) if not acknowledged]
            arriving.extendleft(reversed(left))

    async def _ask_alert(self, alert: AlertRequest) -> str:
        ask = {
            "category": "airspace_transit",
            "precedence": "routine",
            "text": {"en": alert.text, "ru": "Учение."},
            "expires_in_s": 86_400,
        }
        reference = await self._ask(alert.side, "alert", alert.request, ask)
        if reference and alert.reference:
            self.repeated += 1
            if reference != alert.reference:
                self._break(f"{alert.request}: answered {alert.reference}, repeated: {reference}")
        return reference

    async def _ask_acknowledgement(self, side: str, alert: AlertRequest) -> bool:
        ask = {"of": alert.reference, "decision": "understood"}
        reference = await self._ask(side, "acknowledge", f"{alert.request}.ack", ask)
        if not reference:
            return False
        alert.acknowledgement = reference
        self._done[alert.side] += 1
        self.acknowledged += 1
        return True

    async def _ask(self, side: str, action: str, request: str, ask: Mapping[str, object]) -> str:
        """Return the reference, or an empty string if the request has to be repeated."""
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
