"""The stack of deploy/cluster/compose.yml, and what can happen to its nodes."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from protocol.wire.instants import parsed
from tests.stack.compose import OURS, SIDES, Compose, eventually
from tests.support.engine import docker

OVERLAY = "deploy/cluster/compose.yml"
HOSTS = ("broker", "broker-2", "broker-3")
"""The services of the nodes, and their names for clients."""
NODES = {host: f"node-{number}" for number, host in enumerate(HOSTS, 1)}
"""The nodes' names for each other."""
EVERY_S = 1.0
TAIL_S = 5.0
READY_WITHIN_S = 180

_RAISE = """
import os, sys, time
from pathlib import Path
from endpoints.control.client import ControlClient
from endpoints.keys.credentials import read_credential
client = ControlClient(Path("eucom/run/control.sock"), "eucom-ndmc")
body = {"officer": "watch-1", "credential": read_credential(Path("eucom/keys/officers/watch-1.credential")),
        "category": "air_pursuit", "precedence": "routine", "expires_in_s": 86400,
        "text": {"ru": "Проверка связи.", "en": "Checking."}}
while not os.path.exists("/tmp/enough"):
    print(client.act("alert", body), flush=True)
    time.sleep(float(sys.argv[1]))
os.remove("/tmp/enough")
"""
_APPLIED = """
import json
from pathlib import Path
for path in sorted(Path("ndmc/journal/eucom-ndmc").iterdir()):
    for line in path.read_bytes().rstrip(b"\\0").splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        # beside the segments lies a file with the number of the process
        for each in record["effects"] if isinstance(record, dict) else ():
            if each["effect"] == "Apply" and each["sender"] == "eucom":
                print(record["at"], each["message"]["seq"])
"""
_SWITCH = """
import fcntl, socket, struct, sys
UP, ADDRESS, GET, SET = 1, 0x8915, 0x8913, 0x8914
state, *addresses = sys.argv[1:]
asking = socket.socket()
for _, name in socket.if_nameindex():
    try:
        found = socket.inet_ntoa(fcntl.ioctl(asking, ADDRESS, struct.pack("256s", name.encode()))[20:24])
    except OSError:
        continue
    if found in addresses:
        flags = struct.unpack("16sH", fcntl.ioctl(asking, GET, struct.pack("16sH14x", name.encode(), 0))[:18])[1]
        flags = flags | UP if state == "up" else flags & ~UP
        fcntl.ioctl(asking, SET, struct.pack("16sH14x", name.encode(), flags))
        print(name, state)
"""


class RabbitStack:
    """Three nodes, both endpoints and the watch in containers."""

    def __init__(self, compose: Compose) -> None:
        self.compose = compose

    def ready(self) -> None:
        """Wait until every node serves clients, all nodes are one cluster, and all clients are connected."""
        eventually(lambda: self._together("broker"), "the nodes are one cluster", READY_WITHIN_S)
        eventually(
            lambda: all(self.compose.health(host) == "healthy" for host in HOSTS), "nodes are healthy", READY_WITHIN_S
        )
        self.connected()

    def connected(self) -> None:
        """Wait until all clients are connected."""
        eventually(lambda: self.compose.connected(*OURS), "all are connected", READY_WITHIN_S)

    def _together(self, host: str) -> bool:
        try:
            told = json.loads(self.ctl(host, "cluster_status", "--formatter", "json"))
        except AssertionError:
            return False
        return len(told["running_nodes"]) == len(HOSTS) and not told["partitions"]

    def ctl(self, host: str, *words: str) -> str:
        """Run rabbitmqctl on a node."""
        return self.compose("exec", "-T", host, "rabbitmqctl", "--quiet", "--node", f"rabbit@{NODES[host]}", *words)

    def container(self, service: str) -> dict[str, Any]:
        return self.compose.containers()[service]

    def kill(self, host: str) -> None:
        docker("kill", self.container(host)["Id"])

    def start(self, host: str) -> None:
        docker("start", self.container(host)["Id"])

    @contextmanager
    def frozen(self, host: str) -> Iterator[None]:
        """Freeze all processes of a node."""
        docker("pause", self.container(host)["Id"])
        try:
            yield
        finally:
            docker("unpause", self.container(host)["Id"])

    @contextmanager
    def cut(self, host: str, *networks: str) -> Iterator[None]:
        """Cut a node off from networks, as if its cables were drawn: nobody is told."""
        self._switch(host, "down", networks)
        try:
            yield
        finally:
            self._switch(host, "up", networks)

    def _switch(self, host: str, state: str, networks: tuple[str, ...]) -> None:
        container = self.container(host)
        known = container["NetworkSettings"]["Networks"]
        addresses = [known[f"{self.compose.project}_{network}"]["IPAddress"] for network in networks]
        image = self.container("provision")["Image"]
        told = docker(
            *("run", "--rm", "--network", f"container:{container['Id']}", "--cap-add", "NET_ADMIN", "--user", "0:0"),
            *("--entrypoint", "python3", image, "-c", _SWITCH, state, *addresses),
        )
        assert len(told.splitlines()) == len(networks), told

    def where(self, party: str) -> str:
        """Return the node that a client has connected to last, from its log."""
        lines = self.compose("logs", "--no-log-prefix", party).splitlines()
        connected = [line for line in lines if '"event":"connected to the broker"' in line]
        # the engine begins each line with an escape sequence
        node: str = json.loads(connected[-1][connected[-1].index("{") :])["node"]
        return node.partition(":")[0]

    @contextmanager
    def alerts(self, what: str) -> Iterator[None]:
        """Raise an alert every second; at the end, require that ndmc has each once, and print the longest gap."""
        before = len(self.applied())
        with self.compose.begin("eucom", "python3", "-c", _RAISE, str(EVERY_S)) as raising:
            assert raising.stdout is not None
            raised = [raising.stdout.readline().strip()]
            reader = threading.Thread(target=_read, args=(raising, raised))
            reader.start()
            try:
                yield
                # some more, after all is as before
                time.sleep(TAIL_S)
            finally:
                self.compose.shell("eucom", "touch /tmp/enough")
                reader.join()
        assert raising.returncode == 0
        wanted = [int(reference.rpartition("/")[2]) for reference in raised]
        eventually(lambda: {seq for _, seq in self.applied()} >= set(wanted), "ndmc has every alert", READY_WITHIN_S)
        applied = self.applied()
        assert len(applied) == len({seq for _, seq in applied}), "an alert was applied twice"
        times = [parsed(at) for at, _ in applied[before:]]
        gap_s = max(later - earlier for earlier, later in pairwise(times)) / 1_000
        print(f"\n{what}: {len(raised)} alerts, 0 lost, 0 doubled, longest gap {gap_s:.1f} s", flush=True)
        for party in OURS:
            assert "identity_in_use" not in self.compose.alarms(party)
        eventually(self._settled, "the outboxes are empty", READY_WITHIN_S)

    def _settled(self) -> bool:
        return all(self.compose.status(side)["outbox"] == {"waiting": 0, "in_flight": 0} for side in SIDES)

    def applied(self) -> list[tuple[str, int]]:
        """Return the instant and the number of each message of eucom that ndmc has applied, in order."""
        lines = self.compose("exec", "-T", "ndmc", "python3", "-c", _APPLIED).splitlines()
        return [(at, int(seq)) for at, _, seq in (line.partition(" ") for line in lines)]

    def reconciled(self) -> str:
        """Return what `reconcile` says of the journals, with the watch's."""
        return self.compose(
            *("--progress", "quiet", "--profile", "audit", "run", "--rm", "-T", "audit", "reconcile"),
            *("eucom/eucom-ndmc", "ndmc/eucom-ndmc", "--watch", "watch/eucom-ndmc", "--link-file", "/link/link.toml"),
            within_s=300,
        )


def _read(raising: subprocess.Popen[str], into: list[str]) -> None:
    assert raising.stdout is not None
    into.extend(line.strip() for line in raising.stdout)
