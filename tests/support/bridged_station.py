"""Runs the whole link over two bridged brokers, as real processes; the bridge passes a proxy that can cut it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from broker.bridges import Bridges, Remote
from broker.configuration import files
from broker.local import LocalBroker
from endpoints.clocks.clock import SystemClock
from endpoints.config.provision import BROKERS, BrokerPlan
from tests.support.broker_site import free_port
from tests.support.proxy import TcpProxy
from tests.support.station import LINK, SIDES, Station


class ProxyThread:
    """A proxy on an event loop of its own."""

    def __init__(self, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._proxy = TcpProxy(port)
        self.port = self._proxy.port
        asyncio.run_coroutine_threadsafe(self._proxy.__aenter__(), self._loop).result()

    def cut(self) -> None:
        """Reset the connection, and refuse new ones."""
        self._call(self._proxy.refuse)
        self._call(self._proxy.cut)

    def mend(self) -> None:
        self._call(self._proxy.admit)
        self._call(self._proxy.resume)

    def stall(self) -> None:
        """Forward nothing, while the connection stays open."""
        self._call(lambda: self._proxy.stall("up", "down"))

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.__aexit__(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, what: Callable[[], None]) -> None:
        async def call() -> None:
            what()

        asyncio.run_coroutine_threadsafe(call(), self._loop).result()


class BridgedStation(Station):
    """eucom at a broker of its own, `broker`; ndmc and the watch at `second`; `bridge` lies between them."""

    def __init__(self, folder: Path, **arguments: Any) -> None:
        port = free_port()
        super().__init__(folder, second_broker=BrokerPlan(port=port), **arguments)
        self.bridge = ProxyThread(port)
        own = folder / "d" / BROKERS / SIDES[0] / "broker"
        made = files(
            {LINK: SIDES},
            watch="watch",
            address="127.0.0.1",
            port=self.broker_port,
            bridges=Bridges(SIDES[0], {SIDES[1]: Remote("127.0.0.1", self.bridge.port)}),
        )
        (own / "mosquitto.conf").write_text(made["mosquitto.conf"])
        self._second_log = (folder / "second.log").open("ab")
        self.second = LocalBroker(folder / "d" / BROKERS / SIDES[1] / "broker", SystemClock().real_ms, self._second_log)

    def start(self, *names: str, **environment: str) -> None:
        """Start both brokers and the processes `names`; return when all are connected."""
        self.second.start()
        super().start(*names, **environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.second.thaw()
        self.second.stop()
        self.bridge.close()
        self._second_log.close()
