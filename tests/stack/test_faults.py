"""What happens to containers: kills, lost sessions, a cut network, stops. Nothing is lost, and all come back alone."""

import secrets
import time

import pytest

from tests.stack.compose import BUILD_AND_START_WITHIN_S, OURS, SIDES, Compose, eventually, reference_of
from tests.support.engine import docker

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def crash(stack: Compose, *services: str) -> None:
    """Kill the processes of services, as the kernel would, and wait until the engine has started them again."""
    before = {service: stack.containers()[service] for service in services}
    pids = [str(each["State"]["Pid"]) for each in before.values()]
    helper = before[services[0]]["Image"]
    docker(
        *("run", "--rm", "--pid", "host", "--user", "0:0", "--entrypoint", "sh", helper, "-c"),
        f"kill -9 {' '.join(pids)}",
    )

    def restarted() -> bool:
        now = stack.containers()
        return all(
            now[service]["State"]["Running"] and now[service]["RestartCount"] > container["RestartCount"]
            for service, container in before.items()
        )

    eventually(restarted, f"the engine has started {', '.join(services)} again")
    for service in services:
        if service != "broker":
            eventually(lambda service=service: answers(stack, service), f"{service} answers")  # type: ignore[misc]


def answers(stack: Compose, service: str) -> bool:
    """Return whether a process answers."""
    return bool(stack.status(service)["state"] != "unknown")


def test_an_alert_is_delivered_and_acknowledged(stack: Compose) -> None:
    with stack.alert("--wait", "acknowledged", "--timeout", "60s") as alert:
        stack.acknowledge(reference_of(alert))
        rest, _ = alert.communicate(timeout=60)
    assert alert.returncode == 0
    assert '"steps":["journaled","broker","received","acknowledged"]' in rest.splitlines()[-1]


def test_the_load_test_runs_over_the_stack_and_leaves_its_report(stack: Compose) -> None:
    run = ("--progress", "quiet", "--profile", "load", "run", "--rm")
    # the folder lies where the engine runs, which may be another machine
    report = f"/report/test-{secrets.token_hex(4)}"
    options = ["--rate", "2", "--duration", "2s", "--warmup", "0s", "--repeats", "1", "--report", report, "--json"]
    try:
        printed = stack(*run, "load", *options, within_s=BUILD_AND_START_WITHIN_S)
        written = stack(*run, "--entrypoint", "ls", "load", report).split()
    finally:
        stack(*run, "--entrypoint", "rm", "load", "-rf", report)

    assert '"lost":0' in printed
    assert {"summary.json", "report.html", "series.csv", "link.hgrm", "spectrum.png"} <= set(written)


@pytest.mark.parametrize("service", ["broker", *OURS])
def test_each_container_is_killed_in_turn(stack: Compose, service: str) -> None:
    with stack.alert("--wait", "received", "--timeout", "90s") as alert:
        reference = reference_of(alert)
        crash(stack, service)
        alert.communicate(timeout=120)
    stack.acknowledge(reference)
    eventually(lambda: stack.connected(*OURS), "all are connected")
    stack.exchange()
    stack.exchange(side="ndmc")


@pytest.mark.parametrize("side", SIDES)
def test_broker_and_endpoint_are_killed_at_once(stack: Compose, side: str) -> None:
    crash(stack, "broker", side)
    eventually(lambda: stack.connected(*OURS), "all are connected")
    stack.exchange(side=side)


def test_lost_sessions_of_the_broker_lose_nothing(stack: Compose) -> None:
    stack("stop", "broker")
    eventually(lambda: not stack.connected("eucom"), "eucom notices that the broker is gone")
    with stack.alert("--wait", "received", "--timeout", "90s") as alert:
        reference = reference_of(alert)
        image = stack.containers()["provision"]["Image"]
        data = f"{stack.volume('broker-data')}:/data"
        docker("run", "--rm", "--user", "0:0", "--volume", data, "--entrypoint", "sh", image, "-c", "rm -rf /data/*")
        stack("start", "broker")
        alert.communicate(timeout=120)
    assert alert.returncode == 0
    stack.acknowledge(reference)


def test_the_brokers_volume_is_made_anew(stack: Compose) -> None:
    stack("rm", "--stop", "--force", "broker", "provision")
    docker("volume", "rm", stack.volume("broker"), stack.volume("broker-data"))
    with stack.alert("--wait", "received", "--timeout", "90s") as alert:
        reference = reference_of(alert)
        eventually(lambda: not stack.connected("eucom"), "eucom notices that the broker is gone")
        eventually(lambda: {stack.health(service) for service in OURS} == {"healthy"}, "all are healthy without it")
        # endpoints without their broker do not make it give up
        stack.up()
        alert.communicate(timeout=120)
    assert alert.returncode == 0
    stack.acknowledge(reference)
    assert "provision: broker: its volume was empty; its files were made anew" in stack("logs", "provision")


def test_the_watch_raises_and_clears(stack: Compose) -> None:
    """SPEC W3"""
    stack("stop", "ndmc")
    eventually(lambda: "peer_disconnected" in stack.alarms("watch"), "the watch reports ndmc", within_s=180)
    stack("start", "ndmc")
    eventually(lambda: "peer_disconnected" not in stack.alarms("watch"), "the watch reports ndmc back")


def test_a_cut_network_is_noticed_and_mended(stack: Compose) -> None:
    network = f"{stack.project}_link"
    container = stack.containers()["eucom"]["Id"]
    docker("network", "disconnect", network, container)
    with stack.alert("--wait", "received", "--timeout", "180s") as alert:
        reference = reference_of(alert)
        eventually(lambda: not stack.connected("eucom"), "eucom notices the cut")
        # it waits for the broker, as it must
        eventually(lambda: stack.health("eucom") == "healthy", "eucom is healthy")
        docker("network", "connect", "--alias", "eucom", network, container)
        alert.communicate(timeout=180)
    assert alert.returncode == 0
    stack.acknowledge(reference)


@pytest.mark.parametrize("service", [*OURS, "broker"])
def test_a_stop_is_in_order_and_in_time(stack: Compose, service: str) -> None:
    began = time.monotonic()
    stack("stop", service)
    assert time.monotonic() - began < 30
    state = stack.containers()[service]["State"]
    # 137 would be a kill after the time that a container has
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)
    if service in OURS:
        assert '"event":"stopped"' in stack("logs", "--no-log-prefix", "--tail", "1", service)
    stack("start", service)
    eventually(lambda: stack.connected(*OURS), "all are connected")
    stack.exchange()
