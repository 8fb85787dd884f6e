"""The compose stack with a broker at each headquarters: it starts from a clean clone, and a later start repairs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.stack.compose import OURS, SIDES, Compose, clone, eventually, project
from tests.support.engine import EngineError, require_engine

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
OVERLAY = "deploy/bridged/compose.yml"
BROKERS = ("broker", "broker-ndmc")
NETWORKS = {
    "broker": {"link", "between"},
    "broker-ndmc": {"ndmc", "between"},
    "eucom": {"link"},
    "ndmc": {"link", "ndmc"},
    "watch": {"link", "ndmc"},
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """Yield a new stack; remove it afterwards, with its volumes."""
    require_engine()
    folder = clone(tmp_path_factory.mktemp("bridged") / "link")
    files = ("--file", str(folder / "docker-compose.yml"), "--file", str(folder / OVERLAY))
    with project(folder, ("docker", "compose"), *files) as (compose, _):
        try:
            compose.up()
        except EngineError:
            sys.stderr.write(compose("logs", "--tail", "50"))
            raise
        yield compose


def test_alerts_cross_between_the_brokers(stack: Compose) -> None:
    eventually(lambda: stack.connected(*OURS), "all are connected")
    for side in SIDES:
        stack.exchange(side)


def test_nothing_is_published_and_the_networks_are_apart(stack: Compose) -> None:
    containers = stack.containers()
    assert set(containers) == {"provision", *NETWORKS}
    for service, networks in NETWORKS.items():
        container = containers[service]
        assert not container["HostConfig"]["PortBindings"], service
        assert container["HostConfig"]["CapDrop"] == ["ALL"], service
        found = container["NetworkSettings"]["Networks"]
        assert {name.removeprefix(f"{stack.project}_") for name in found} == networks, service


def test_each_side_has_the_authority_of_its_own_broker(stack: Compose) -> None:
    digests = {each: stack.shell(each, "sha256sum tls/ca.crt").split()[0] for each in BROKERS}
    assert len(set(digests.values())) == 2
    for service, broker in (("eucom", "broker"), ("ndmc", "broker-ndmc"), ("watch", "broker-ndmc")):
        assert stack.shell(service, f"sha256sum {service}/tls/ca.crt").split()[0] == digests[broker]


def test_a_second_start_changes_nothing(stack: Compose) -> None:
    before = {service: container["Id"] for service, container in stack.containers().items()}
    stack.up()
    assert {service: container["Id"] for service, container in stack.containers().items()} == before


def test_the_next_start_renews_what_the_health_checks_need(stack: Compose) -> None:
    for broker, side in zip(BROKERS, SIDES, strict=True):
        health = f"brokers/{side}/broker/health"
        stack("run", "--rm", "-T", "--no-deps", "provision", "rm", "-r", health)
        stack.up()
        assert f"{side}/broker: its health check gets a new certificate" in stack("logs", "provision")
        stack("restart", broker)
        eventually(lambda broker=broker: stack.health(broker) == "healthy", f"{broker} is healthy")  # type: ignore[misc]
    eventually(lambda: stack.connected(*OURS), "all are connected")
    stack.exchange()
