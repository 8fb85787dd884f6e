"""Runs a RabbitMQ cluster in containers, with the configuration and definitions that the product prints."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from pathlib import Path

from broker import configuration
from broker.cluster import NODES, node_configuration
from broker.definitions import definitions
from broker.pki import Authority
from tests.support.broker_site import LINKS, free_port, now

IMAGE = "rabbitmq:4"
START = (
    'rm -f "$HOME/.erlang.cookie"; cp /etc/deconflict/cookie "$HOME/.erlang.cookie"; chmod 400 "$HOME/.erlang.cookie"; '
    "exec rabbitmq-server"
)
READY_WITHIN_S = 120
PLUGINS = "[rabbitmq_mqtt,rabbitmq_auth_mechanism_ssl]."


def docker(*words: str, within_s: float = 60) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=within_s, check=False)
    if done.returncode:
        raise AssertionError(f"docker {' '.join(words)}: {done.stderr.strip()[-2_000:]}")
    return done.stdout.strip()


class RabbitCluster:
    """Three nodes on a network of their own, each with a port of this machine."""

    def __init__(self, folder: Path, authority: Authority, links: configuration.Links = LINKS) -> None:
        self.folder = folder
        self.name = f"link-cluster-{secrets.token_hex(4)}"
        self.ports = {node: free_port() for node in NODES}
        self.authority = authority
        every = "0.0.0.0"
        made = {
            "rabbitmq.conf": node_configuration(address=every, port=configuration.PORT),
            "definitions.json": json.dumps(definitions(links, "watch")),
            "cookie": secrets.token_hex(16),
            "enabled_plugins": PLUGINS,
        }
        for node in NODES:
            own = folder / node
            (own / "tls").mkdir(parents=True)
            self.authority.issue_server(own / "tls", now(), (node, "127.0.0.1"))
            for name, text in made.items():
                (own / name).write_text(text)
            for path in (own, own / "tls", *own.iterdir(), *(own / "tls").iterdir()):
                # the image's user is not ours; the folder lies in a private one
                path.chmod(0o755 if path.is_dir() else 0o644)

    def start(self) -> None:
        docker("network", "create", self.name)
        for node in NODES:
            own = self.folder / node
            docker(
                *("run", "-d", "--name", f"{self.name}-{node}", "--hostname", node, "--network", self.name),
                *("--network-alias", node, "-p", f"127.0.0.1:{self.ports[node]}:{configuration.PORT}"),
                *("-e", f"RABBITMQ_NODENAME=rabbit@{node}", "-v", f"{own}:/etc/deconflict:ro"),
                *("-e", "RABBITMQ_CONFIG_FILE=/etc/deconflict/rabbitmq.conf", "--memory", "512m"),
                *("-e", "RABBITMQ_ENABLED_PLUGINS_FILE=/etc/deconflict/enabled_plugins"),
                *("--entrypoint", "sh", IMAGE, "-c", START),
            )

    def until_ready(self) -> None:
        """Wait until all nodes are members that run."""
        end = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                told = json.loads(self.ctl("r1", "cluster_status", "--formatter", "json"))
                if len(told["running_nodes"]) == len(NODES):
                    return
                found = str(told["running_nodes"])
            except AssertionError as error:
                found = str(error)[-500:]
            assert time.monotonic() < end, found
            time.sleep(0.5)

    def ctl(self, node: str, *words: str) -> str:
        return docker("exec", f"{self.name}-{node}", "rabbitmqctl", *words)

    def kill(self, node: str) -> None:
        docker("kill", f"{self.name}-{node}")

    def revive(self, node: str) -> None:
        docker("start", f"{self.name}-{node}")

    def stop(self, node: str) -> None:
        docker("stop", f"{self.name}-{node}")

    @property
    def addresses(self) -> str:
        """The addresses as `DECONFLICT_BROKER_ADDRESSES` has them."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports.values())

    def remove(self) -> None:
        for node in NODES:
            subprocess.run(["docker", "rm", "-fv", f"{self.name}-{node}"], capture_output=True, check=False)
        subprocess.run(["docker", "network", "rm", self.name], capture_output=True, check=False)
