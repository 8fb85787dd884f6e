"""Sets up a broker for one test: its folder, its authority, a free port and the certificates of its clients."""

import socket
import time
from pathlib import Path

from broker import configuration
from broker.local import LocalBroker
from broker.pki import Authority
from endpoints.clocks.clock import SystemClock
from endpoints.config.broker_settings import Address, BrokerSettings

LINKS = {"eucom-ndmc": ("eucom", "ndmc")}


def now() -> int:
    return time.time_ns() // 1_000_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class BrokerSite:
    """A broker with all its files in `folder`; it is not started."""

    def __init__(self, folder: Path, links: configuration.Links = LINKS) -> None:
        self.folder = folder
        self.port = free_port()
        files = folder / "broker"
        (files / "tls").mkdir(parents=True)
        self.authority = Authority.make(folder / "authority", now())
        self.authority.issue_server(files / "tls", now())
        configuration.write(files, links, port=self.port)
        self._log = (folder / "mosquitto.log").open("ab")
        self.broker = LocalBroker(files, SystemClock().real_ms, self._log)

    def settings(self, identity: str, *, port: int | None = None, authority: Authority | None = None) -> BrokerSettings:
        """Return the settings with which `identity` connects; the first call issues its certificate."""
        folder = self.folder / identity
        if not folder.exists():
            folder.mkdir()
            (authority or self.authority).issue_client(identity, folder, now())
        return BrokerSettings(
            identity=identity,
            addresses=(Address("127.0.0.1", port or self.port),),
            authority=folder / "ca.crt",
            certificate=folder / "client.crt",
            key=folder / "client.key",
        )

    def log(self) -> str:
        return (self.folder / "mosquitto.log").read_text("utf-8")

    def close(self) -> None:
        self.broker.thaw()
        self.broker.stop()
        self._log.close()
