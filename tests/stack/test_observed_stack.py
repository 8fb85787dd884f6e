"""The profile `observability`: Prometheus scrapes all three processes, and has loaded the rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.stack.compose import OURS, Compose, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

GET = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1], timeout=10)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
"""


def get(stack: Compose, url: str, *, within: str = "eucom") -> tuple[int, str]:
    """Return the status and the body of a URL, asked for from inside the network."""
    status, _, body = stack("exec", "-T", within, "python3", "-c", GET, url).partition(" ")
    return int(status), body.removesuffix("\n")


def ready(stack: Compose, service: str) -> bool:
    return get(stack, f"http://{service}:9464/readyz") == (200, "ready\n")


@pytest.fixture
def observed(stack: Compose) -> Iterator[Compose]:
    """Yield the stack with Prometheus; end it afterwards."""
    profile = ("--profile", "observability")
    stack(*profile, "up", "--detach", "--build", "--wait", "--no-recreate", "prometheus", within_s=600)
    yield stack
    stack(*profile, "rm", "--stop", "--force", "prometheus", within_s=120)


def ask(stack: Compose, what: str) -> Any:
    status, body = get(stack, f"http://prometheus:9090/api/v1/{what}")
    assert status == 200, body
    return json.loads(body)["data"]


def test_every_process_is_alive_and_ready_and_says_when_it_is_not(stack: Compose) -> None:
    for service in OURS:
        eventually(partial(ready, stack, service), f"{service} is ready")
        assert get(stack, f"http://{service}:9464/healthz") == (200, "ok\n")
        status, metrics = get(stack, f"http://{service}:9464/metrics")
        assert status == 200
        assert "deconflict_link_info" in metrics
        assert get(stack, f"http://{service}:9464/v1/links")[0] == 404
    stack("stop", "broker", within_s=120)
    eventually(lambda: get(stack, "http://eucom:9464/readyz")[0] == 503, "eucom is not ready")
    assert "eucom-ndmc: not connected to the broker: " in get(stack, "http://eucom:9464/readyz")[1]
    assert get(stack, "http://eucom:9464/healthz") == (200, "ok\n")
    assert get(stack, "http://eucom:9464/startupz") == (200, "started\n")
    stack("start", "broker")


def test_prometheus_scrapes_all_and_has_loaded_the_rules(observed: Compose) -> None:
    def up() -> set[str]:
        return {each["metric"]["instance"] for each in ask(observed, "query?query=up==1")["result"]}

    eventually(lambda: up() == {f"{service}:9464" for service in OURS}, "all are scraped")
    rules = ask(observed, "rules")["groups"][0]["rules"]
    eventually(
        lambda: any(
            each["labels"]["alertname"] == "DeconflictionWatchdog" for each in ask(observed, "alerts")["alerts"]
        ),
        "the watchdog fires",
    )
    assert len(rules) > 5
    container = observed.containers()["prometheus"]
    assert not any(container["NetworkSettings"]["Ports"].values())
    assert container["HostConfig"]["ReadonlyRootfs"]
    assert container["HostConfig"]["CapDrop"] == ["ALL"]
    assert container["Config"]["User"] == "10002:10002"
