"""The compose stack with a RabbitMQ cluster: what its containers may do, what is open, and what its nodes refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from broker.pki import Authority
from tests.cluster.rabbit_stack import HOSTS, NODES, RabbitStack
from tests.stack.broker_attacks import ATTACKS, TOPIC, Attack, foreign, successes, tried
from tests.stack.compose import OURS, SIDES
from tests.support import foreign_pki
from tests.support.broker_site import now

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
MQTT, HEALTH, PORT_MAPPER, DISTRIBUTION = 8883, 9464, 4369, 25672
CONNECT = """
import socket, sys
hosts, ports = (word.split(",") for word in sys.argv[1:])
for host in hosts:
    try:
        address = socket.gethostbyname(host)
    except OSError:
        continue
    for port in map(int, ports):
        probe = socket.socket()
        probe.settimeout(3)
        print(host, port, probe.connect_ex((address, port)) == 0)
"""


def test_all_is_healthy_and_nothing_is_published(cluster: RabbitStack) -> None:
    containers = cluster.compose.containers()
    assert set(containers) == {"provision", "khepri", *HOSTS, *OURS}
    for service, container in containers.items():
        assert not container["HostConfig"]["PortBindings"], service
        networks = {
            name.removeprefix(f"{cluster.compose.project}_") for name in container["NetworkSettings"]["Networks"]
        }
        wanted = {"provision": {"none"}, "khepri": {"nodes"}}.get(
            service, {"link", "nodes"} if service in HOSTS else {"link"}
        )
        assert networks == wanted, service
    assert {containers[each]["State"]["ExitCode"] for each in ("provision", "khepri")} == {0}
    settings = [cluster.compose.shell(side, f"cat {side}/endpoint.toml") for side in SIDES]
    for text in (*settings, cluster.compose.shell("watch", "cat watch/watch.toml")):
        assert all(f'"{host}:{MQTT}"' in text for host in HOSTS)


@pytest.mark.parametrize("host", [*HOSTS, "khepri"])
def test_every_node_is_confined(cluster: RabbitStack, host: str) -> None:
    container = cluster.container(host)
    confined = container["HostConfig"]
    assert confined["ReadonlyRootfs"]
    assert confined["CapDrop"] == ["ALL"]
    assert not confined["CapAdd"]
    assert confined["SecurityOpt"] == ["no-new-privileges:true"]
    assert confined["PidsLimit"] == 512
    assert confined["Memory"] == 512 * 1024**2
    assert confined["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "20m", "max-file": "5"}}
    assert container["Config"]["User"] == "10003:10003"
    assert container["Config"]["StopTimeout"] == 30
    if host in HOSTS:
        status = cluster.compose.shell(host, "cat /proc/1/status")
        assert "CapEff:\t0000000000000000" in status
        # the memory of its container, not the machine's
        assert cluster.ctl(host, "eval", "vm_memory_monitor:get_total_memory().").strip() == str(512 * 1024**2)


def test_clients_reach_the_nodes_at_one_port(cluster: RabbitStack) -> None:
    ports = (MQTT, 1883, 5672, 15672, PORT_MAPPER, DISTRIBUTION)
    hosts = (*HOSTS, *NODES.values())
    words = (",".join(hosts), ",".join(map(str, ports)))
    lines = cluster.compose("exec", "-T", "eucom", "python3", "-c", CONNECT, *words).splitlines()
    assert {line.rpartition(" ")[0] for line in lines if line.endswith("True")} == {f"{host} {MQTT}" for host in HOSTS}


def test_each_node_sees_its_own_keys_and_no_key_that_signs(cluster: RabbitStack) -> None:
    keys = {}
    for host in HOSTS:
        files = cluster.compose.shell(host, "find /etc/deconflict /var/lib/rabbitmq -name '*.key' -o -name '*.pem'")
        keys[host] = {Path(line).name for line in files.splitlines()}
        assert cluster.compose.shell(host, "stat -c %a /etc/deconflict/.erlang.cookie").strip() == "400"
    assert all(names == {"server.key", "client.key"} for names in keys.values())
    digests = {cluster.compose.shell(host, "sha256sum /etc/deconflict/tls/server.key").split()[0] for host in HOSTS}
    assert len(digests) == len(HOSTS)


def test_a_second_start_changes_nothing(cluster: RabbitStack) -> None:
    before = {service: container["Id"] for service, container in cluster.compose.containers().items()}
    cluster.compose.up()
    assert {service: container["Id"] for service, container in cluster.compose.containers().items()} == before


@pytest.mark.parametrize("side", OURS)
def test_doctor_finds_no_fault_in_any_node(cluster: RabbitStack, side: str) -> None:
    config = f"{side}/{'watch' if side == 'watch' else 'endpoint'}.toml"
    # while the service is stopped, it opens a session at each node, and reads what the node grants
    cluster.compose("stop", side)
    try:
        told = cluster.compose(
            *("--progress", "quiet", "run", "--rm", "-T", "--no-deps", "--entrypoint", "sh", side, "-c"),
            f"deconflict doctor {config} --json || true",
            within_s=180,
        )
    finally:
        cluster.compose("start", side)
    assert not [each for each in json.loads(told)["findings"] if each["check"] in {"broker", "certificates"}]


def test_the_nodes_refuse_what_the_access_list_refuses(
    cluster: RabbitStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    compose = cluster.compose
    before = compose.refused_frames("watch"), compose.refused_frames("eucom")
    outcomes = tried(compose, ATTACKS, foreign(tmp_path_factory.mktemp("foreign")), "broker-2")
    assert not successes(outcomes, "rabbitmq")
    assert len(outcomes) == len(ATTACKS)
    assert (compose.refused_frames("watch"), compose.refused_frames("eucom")) == before
    assert not compose.alarms("eucom") & {"bad_frames", "identity_in_use"}


def test_rabbitmq_does_not_restrict_the_authority_of_a_side(
    cluster: RabbitStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hence the nodes trust the broker's authority alone, and `--print rabbitmq.conf` refuses another."""
    folder = tmp_path_factory.mktemp("own")
    own = Authority.make(folder / "eucom", now(), "eucom")
    key = foreign_pki.key()
    made = foreign_pki.certificate(own, foreign_pki.name("ndmc"), key.public_key(), names=foreign_pki.dns("ndmc"))
    foreign_pki.write_pair(folder, made, key)
    as_ndmc = Attack({"certificate": "/foreign", "id": "ndmc", "publish": f"{TOPIC}/ndmc/presence"})
    assert tried(cluster.compose, {"ndmc": as_ndmc}, folder, "broker-3") == {"ndmc": "closed"}

    provision = ("--progress", "quiet", "run", "--rm", "-T", "--no-deps", "provision")
    trusted = (folder / "eucom" / "ca.crt").read_text("ascii")
    cluster.compose(
        *provision, "sh", "-euc", f"cp -p broker-3/tls/ca.crt broker-3/tls/kept; echo '{trusted}' >>broker-3/tls/ca.crt"
    )
    cluster.compose("restart", "broker-3")
    cluster.ready()
    found = tried(cluster.compose, {"ndmc": as_ndmc}, folder, "broker-3")["ndmc"]
    cluster.compose(*provision, "mv", "broker-3/tls/kept", "broker-3/tls/ca.crt")
    cluster.compose("restart", "broker-3")
    cluster.ready()
    assert found == "published 0"
