"""Runs the whole link over two bridged brokers, as real processes; the bridge passes a proxy that can cut it."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from broker.bridges import Bridges, Remote
from broker.configuration import files
from broker.errors import BrokerError
from broker.local import START_WITHIN_S, LocalBroker, find
from broker.owner import hand_over
from broker.versions import check_version
from endpoints.clocks.clock import SystemClock
from endpoints.config.provision import BROKERS, BrokerPlan
from tests.support.broker_site import free_port
from tests.support.engine import docker, require_engine
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


class ContainedBroker(LocalBroker):
    """Mosquitto of the engine's image on this machine's network: that of Debian 12 must not make a bridge."""

    IMAGE = "eclipse-mosquitto:2"

    def __init__(self, folder: Path, clock_ms: Callable[[], int]) -> None:
        require_engine()
        super().__init__(folder, clock_ms)
        self.name = f"link-bridge-{secrets.token_hex(4)}"

    def start(self, check: Callable[[], None] = lambda: None) -> None:
        check()
        owner = hand_over(self.folder)
        user = f"{os.getuid()}:{os.getgid()}" if owner is None else f"{owner.user}:{owner.group}"
        docker(
            *("run", "-d", "--rm", "--name", self.name, "--network", "host", "--user", user),
            *("-v", f"{self.folder}:{self.folder}", "-w", str(self.folder), "--entrypoint", "mosquitto"),
            *(self.IMAGE, "-c", "mosquitto.conf"),
        )
        end = time.monotonic() + START_WITHIN_S
        while True:
            with socket.socket() as probe:
                if not probe.connect_ex((self.address, self.port)):
                    return
            assert time.monotonic() < end, docker("logs", self.name)
            time.sleep(0.05)

    def kill(self) -> None:
        subprocess.run(["docker", "kill", self.name], capture_output=True, check=False)
        subprocess.run(["docker", "wait", self.name], capture_output=True, check=False)

    def thaw(self) -> None:
        """Do nothing: these tests freeze no broker."""

    stop = kill


def dialling_broker(folder: Path) -> LocalBroker:
    """Return this machine's Mosquitto if it may make a bridge, else one in a container."""
    try:
        check_version(find(), folder)
    except BrokerError:
        return ContainedBroker(folder, SystemClock().real_ms)
    return LocalBroker(folder, SystemClock().real_ms)


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
        self.broker = dialling_broker(own)
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
