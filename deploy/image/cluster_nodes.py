"""Makes the files of a RabbitMQ cluster's nodes in the volumes of the compose stack: deploy/cluster/compose.yml.

Each node has a certificate of its own. The configuration and the definitions follow from the link files, by the same
commands that an operator uses (docs/brokers.md), and are written again when these have changed.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from pathlib import Path

from broker.names import HEALTH
from deploy.image.volumes import deconflict, end, give, say
from endpoints.clocks.clock import SystemClock
from endpoints.config.first_certificates import health_is_due

HOSTS = ("broker", "broker-2", "broker-3")
"""Where clients reach the nodes: the names of the services, and of the folders here where their volumes are."""
NODES = ("node-1", "node-2", "node-3")
"""Where the nodes reach each other."""
USER = 10_003
_SCRIPTS = Path("/app/deploy/image/node")
_COOKIE = ".erlang.cookie"
_COOKIE_BYTES = 32
_OF_MOSQUITTO = ("mosquitto.conf", "acl")


def provide() -> None:
    """Make what a node lacks; end if that needs the authority, and its volume is empty."""
    links = sorted(path.name for path in Path().glob("*.toml"))
    named = [word for node in NODES for word in ("--node", node)]
    made = {
        "rabbitmq.conf": deconflict("broker", ".", "--print", "rabbitmq.conf", *named),
        "definitions.json": deconflict("broker", ".", "--print", "rabbitmq", "--configure", *links),
        _COOKIE: _cookie(),
        **{path.name: path.read_text("utf-8") for path in _SCRIPTS.iterdir()},
    }
    at, _ = SystemClock().now()
    for host in HOSTS:
        own = Path(host)
        if not all((own / name).exists() for name in (_COOKIE, "tls/server.key", f"{HEALTH}/client.key")):
            _certify(host, "tls", HEALTH)
            say(f"{host}: this node has a new certificate")
        elif health_is_due(own, Path("authority"), at) and Path("authority", "ca.key").exists():
            _certify(host, HEALTH)
            say(f"{host}: the health check of this node has a new certificate")
        for name, text in made.items():
            if not (own / name).exists() or (own / name).read_text("utf-8") != text:
                (own / name).unlink(missing_ok=True)
                (own / name).write_text(text, "utf-8")
        for name in _OF_MOSQUITTO:
            (own / name).unlink(missing_ok=True)
        (own / _COOKIE).chmod(0o400)
        give(own, USER)


def _certify(host: str, *folders: str) -> None:
    """Make the certificates of a node and of the client that checks it; put these folders in place of what is there."""
    if not Path("authority", "ca.key").exists():
        end(
            f"{host}: files are missing in its volume, and the authority that could issue certificates is missing, "
            f"too: restore the volumes {host} and authority from a backup"
        )
    with tempfile.TemporaryDirectory() as making:
        deconflict("enrol", making, "--side", "broker", "--broker-host", host, "--authority", "authority")
        for name in folders:
            shutil.rmtree(Path(host, name), ignore_errors=True)
            shutil.copytree(Path(making, "broker", name), Path(host, name))


def _cookie() -> str:
    """Return the secret that the nodes share: that of the nodes that are there, or a new one."""
    for host in HOSTS:
        if (present := Path(host, _COOKIE)).exists():
            return present.read_text("ascii")
    return secrets.token_hex(_COOKIE_BYTES)
