"""Injects faults into the processes and their network, at times and in an order drawn from one seed."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from broker.errors import BrokerError
from tests.soak.installation import Endpoint, Installation
from tests.soak.traffic import Traffic
from tests.support.proxy import Direction

GAP_MEAN_S = 1.1
"""Mean time between the beginnings of two faults; faults overlap."""
KILLS = ("endpoint killed", "broker killed", "broker wiped")
KILLED_AGAIN_SHARE = 0.2
"""The share of killed endpoints that may be killed again while they start."""
SERVES_WITHIN_S = 60.0
_CLEAN_WITHIN_S = 30.0

Doing = Callable[[random.Random], Awaitable[None]]
"""A fault with its own random generator, so that its draws do not depend on concurrent faults."""


class Trouble:
    """Injects faults. `counts` has their number by kind and target, `broken` the violated guarantees."""

    def __init__(self, installation: Installation, traffic: Traffic, rng: random.Random) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.broken: list[str] = []
        self._installation = installation
        self._traffic = traffic
        self._rng = rng
        # targets of current faults: a process, or the network of one
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def kills(self) -> int:
        return sum(count for (what, _), count in self.counts.items() if what in KILLS)

    async def run(self, seconds: float) -> None:
        """Begin faults for `seconds`, then wait until the last one has ended."""
        clock = asyncio.get_running_loop()
        end_s = clock.time() + seconds
        while clock.time() < end_s:
            await asyncio.sleep(self._rng.expovariate(1 / GAP_MEAN_S))
            self._begin()
        await asyncio.gather(*self._tasks)

    def _begin(self) -> None:
        side = self._rng.choice([*self._installation.endpoints])
        endpoint = self._installation.endpoints[side]
        kinds: list[tuple[int, str, Doing]] = [
            (38, side, partial(self._kill, endpoint)),
            (6, side, partial(self._freeze, endpoint)),
            (3, side, partial(self._stop, endpoint)),
            (9, "broker", self._kill_broker),
            (8, "broker", self._save_broker),
            (3, "broker", self._stop_broker),
            (4, "broker", self._wipe_broker),
            (3, "broker", self._freeze_broker),
            (6, f"{side}'s network", partial(self._cut, endpoint)),
            (3, f"{side}'s network", partial(self._half_open, endpoint)),
            (7, f"{side}'s network", partial(self._stall, endpoint)),
            (5, f"{side}'s network", partial(self._partition, endpoint)),
        ]
        _, target, doing = self._rng.choices(kinds, [weight for weight, _, _ in kinds])[0]
        rng = random.Random(self._rng.getrandbits(64))
        if target in self._busy:
            return
        self._busy.add(target)
        task = asyncio.create_task(self._do(target, doing, rng))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, target: str, doing: Doing, rng: random.Random) -> None:
        try:
            await doing(rng)
        finally:
            self._busy.discard(target)

    # --- processes ----------------------------------------------------------------------------------------------

    async def _kill(self, endpoint: Endpoint, rng: random.Random) -> None:
        self._count("endpoint killed", endpoint.side)
        if not self._check(endpoint):
            return
        endpoint.kill()
        await _pause(rng, 0.0, 1.0)
        endpoint.start()
        if rng.random() < KILLED_AGAIN_SHARE:
            # the next fault may hit it while it starts
            await _pause(rng, 0.1, 1.0)
            return
        await self._serves(endpoint)
        await self._traffic.repeat_last(endpoint.side)
        await _pause(rng, 0.0, 5.0)

    async def _stop(self, endpoint: Endpoint, rng: random.Random) -> None:
        self._count("endpoint stopped", endpoint.side)
        if not self._check(endpoint):
            return
        endpoint.terminate()
        clock = asyncio.get_running_loop()
        end_s = clock.time() + _CLEAN_WITHIN_S
        while (code := endpoint.ended()) is None:
            if clock.time() > end_s:
                self.broken.append(f"{endpoint.side}: does not stop within {_CLEAN_WITHIN_S:.0f} s")
                endpoint.kill()
                code = 0
                break
            await asyncio.sleep(0.05)
        # SIGTERM may arrive before the process handles signals; then it is killed by it
        if code not in {0, -signal.SIGTERM}:
            self.broken.append(f"{endpoint.side}: a stop ended with {code}: {endpoint.last_errors()}")
        endpoint.start()
        await self._serves(endpoint)
        await _pause(rng, 0.0, 5.0)

    async def _freeze(self, endpoint: Endpoint, rng: random.Random) -> None:
        endpoint.freeze()
        await _pause(rng, 0.5, 5.0)
        if rng.random() < 0.3:
            # killed while frozen
            self._count("endpoint killed", endpoint.side)
            endpoint.kill()
            endpoint.start()
            await self._serves(endpoint)
        else:
            self._count("endpoint frozen", endpoint.side)
            endpoint.thaw()

    async def _serves(self, endpoint: Endpoint) -> None:
        """Wait until the control socket is served; give up if the process has ended, which the next fault reports."""
        clock = asyncio.get_running_loop()
        end_s = clock.time() + SERVES_WITHIN_S
        while not endpoint.serves and endpoint.code is None:
            if clock.time() > end_s:
                self.broken.append(f"{endpoint.side}: does not serve {SERVES_WITHIN_S:.0f} s after its start")
                return
            await asyncio.sleep(0.1)

    async def _kill_broker(self, rng: random.Random) -> None:
        self._count("broker killed", "broker")
        self._installation.broker.kill()
        await _pause(rng, 0.0, 2.0)
        self._start_broker()

    async def _save_broker(self, rng: random.Random) -> None:
        """Have the broker save its state: if killed later, it redelivers messages that were settled long before."""
        self._count("broker saved", "broker")
        self._installation.broker.save()
        await _pause(rng, 0.0, 1.0)

    async def _stop_broker(self, rng: random.Random) -> None:
        self._count("broker stopped", "broker")
        self._installation.broker.stop()
        await _pause(rng, 0.0, 2.0)
        self._start_broker()

    async def _wipe_broker(self, rng: random.Random) -> None:
        self._count("broker wiped", "broker")
        # save first, or there would be nothing to wipe
        self._installation.broker.save()
        await _pause(rng, 0.2, 0.5)
        self._installation.broker.kill()
        self._installation.broker.wipe()
        await _pause(rng, 0.0, 2.0)
        self._start_broker()

    async def _freeze_broker(self, rng: random.Random) -> None:
        self._count("broker frozen", "broker")
        self._installation.broker.freeze()
        await _pause(rng, 0.5, 5.0)
        self._installation.broker.thaw()

    def _start_broker(self) -> None:
        try:
            self._installation.broker.start()
        except BrokerError as error:
            self.broken.append(f"broker: {error}")

    def _check(self, endpoint: Endpoint) -> bool:
        """Return whether an endpoint is running; if it has ended by itself, report that and start it again."""
        code = endpoint.ended()
        if code is None:
            return True
        self.broken.append(f"{endpoint.side}: ended by itself with {code}: {endpoint.last_errors()}")
        endpoint.start()
        return False

    # --- the network ----------------------------------------------------------------------------------------------

    async def _cut(self, endpoint: Endpoint, rng: random.Random) -> None:
        self._count("connection cut", endpoint.side)
        endpoint.proxy.cut()
        await _pause(rng, 0.0, 1.0)

    async def _half_open(self, endpoint: Endpoint, rng: random.Random) -> None:
        self._count("half open", endpoint.side)
        endpoint.proxy.half_open()
        # the connection stays half open until its keepalive or a restart ends it
        await _pause(rng, 1.0, 8.0)

    async def _stall(self, endpoint: Endpoint, rng: random.Random) -> None:
        directions: tuple[Direction, ...] = rng.choice((("up",), ("down",), ("up", "down")))
        self._count("stalled one way" if len(directions) == 1 else "stalled both ways", endpoint.side)
        endpoint.proxy.stall(*directions)
        await _pause(rng, 0.5, 8.0)
        endpoint.proxy.resume()

    async def _partition(self, endpoint: Endpoint, rng: random.Random) -> None:
        self._count("partition", endpoint.side)
        endpoint.proxy.refuse()
        endpoint.proxy.cut()
        await _pause(rng, 1.0, 6.0)
        endpoint.proxy.admit()

    def _count(self, what: str, target: str) -> None:
        self.counts[what, target] += 1


async def _pause(rng: random.Random, least_s: float, most_s: float) -> None:
    await asyncio.sleep(rng.uniform(least_s, most_s))
