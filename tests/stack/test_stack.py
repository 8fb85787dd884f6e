"""The compose stack on a real Docker Engine, from a clean start, with restarts and kills."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.compose import BUILD_AND_START_WITHIN_S, Compose, eventually
from tests.support.engine import require_engine

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SIDES = ("eucom", "ndmc")
OURS = (*SIDES, "watch")


@pytest.fixture(scope="module")
def stack() -> Iterator[Compose]:
    """Yield a new stack; remove it afterwards, with its volumes."""
    require_engine()
    compose = Compose(f"link-test-{secrets.token_hex(4)}")
    try:
        compose.up()
        yield compose
    except AssertionError:
        sys.stderr.write(compose("logs", "--tail", "50"))
        raise
    finally:
        compose("down", "--volumes", "--remove-orphans", within_s=120)


def credential(side: str, officer: str) -> tuple[str, ...]:
    return "--officer", officer, "--credential-file", f"{side}/keys/officers/{officer}.credential"


def raise_alert(stack: Compose, *options: str) -> subprocess.Popen[str]:
    return stack.begin(
        *("eucom", "deconflict", "alert", "eucom/endpoint.toml", "--category", "stray_munition"),
        *("--precedence", "priority", "--text", "en=A missile has fallen.", "--text", "ru=Упала ракета."),
        *credential("eucom", "watch-1"),
        *options,
    )


def reference_of(alert: subprocess.Popen[str]) -> str:
    assert alert.stdout is not None
    line = alert.stdout.readline()
    assert line, f"the alert ended with {alert.wait()}"
    reference: str = json.loads(line)["reference"]
    return reference


def acknowledge_when_there(stack: Compose, reference: str) -> None:
    eventually(
        lambda: reference in stack.deconflict("ndmc", "messages", "ndmc/endpoint.toml", "--json"),
        f"ndmc has {reference}",
    )
    stack.deconflict("ndmc", "acknowledge", "ndmc/endpoint.toml", reference, *credential("ndmc", "duty-1"))


def connected(stack: Compose, side: str) -> bool:
    return bool(stack.status(side)["broker"] == "connected")


def by_deconflict(*arguments: str, collected: bytes) -> "subprocess.CompletedProcess[bytes]":
    """Run `deconflict` on this machine with the collected log as its input."""
    command = Path(sys.executable).with_name("deconflict")
    return subprocess.run([command, *arguments], input=collected, capture_output=True, timeout=60, check=False)


def test_all_services_are_healthy_and_publish_no_ports(stack: Compose) -> None:
    containers = stack.containers()
    assert set(containers) == {"provision", "broker", *OURS}
    provision = containers.pop("provision")["State"]
    assert (provision["Status"], provision["ExitCode"]) == ("exited", 0)
    for service, container in containers.items():
        assert container["State"]["Health"]["Status"] == "healthy", service
        assert not container["HostConfig"]["PortBindings"], service
        assert not any(container["NetworkSettings"]["Ports"].values()), service
        assert container["Config"]["User"] in {"10001:10001", "1883:1883"}, service


def test_each_service_sees_only_its_own_keys(stack: Compose) -> None:
    private = {
        service: set(stack.shell(service, "find /link -name '*.key' -o -name '*.pem' -o -name '*.credential'").split())
        for service in ("broker", *OURS)
    }
    for service, paths in private.items():
        assert paths, service
        assert all(path.startswith(f"/link/{service}/") for path in paths), service
    # and no two services hold the same key under different names
    digests = [
        line.split()[0]
        for service, paths in private.items()
        for line in stack.shell(service, f"sha256sum {' '.join(sorted(paths))}").splitlines()
    ]
    assert len(digests) == len(set(digests)) == sum(map(len, private.values()))
    # the watch has a key for the heads of its journal alone, and no service has the key of the certificate authority
    signing = {path for path in private["watch"] if path.startswith("/link/watch/keys/") and path.endswith(".pem")}
    assert len(signing) == 1
    officer = "/link/watch/keys/officers/observer-1.credential"
    assert private["watch"] == {"/link/watch/tls/client.key", officer, *signing}
    assert private["broker"] == {"/link/broker/tls/server.key"}
    assert not any("ca.key" in path for paths in private.values() for path in paths)


def test_a_second_start_keeps_the_keys(stack: Compose) -> None:
    before = stack.shell("eucom", "cat link.toml")
    stack.up()
    assert stack.shell("eucom", "cat link.toml") == before


def test_an_alert_is_delivered_and_acknowledged(stack: Compose) -> None:
    with raise_alert(stack, "--wait", "acknowledged", "--timeout", "60s", "--json") as alert:
        reference = reference_of(alert)
        acknowledge_when_there(stack, reference)
        rest, _ = alert.communicate(timeout=60)
    assert alert.returncode == 0
    assert json.loads(rest.splitlines()[-1])["steps"] == ["journaled", "broker", "received", "acknowledged"]


def test_the_load_test_runs_over_the_stack_and_leaves_its_report(stack: Compose) -> None:
    run = ("--profile", "load", "run", "--rm")
    # the folder lies where the engine runs, which may be another machine
    report = f"/report/test-{secrets.token_hex(4)}"
    options = ["--rate", "2", "--duration", "2s", "--warmup", "0s", "--repeats", "1", "--report", report, "--json"]
    stack("--profile", "load", "build", "--quiet", "load", within_s=BUILD_AND_START_WITHIN_S)
    try:
        summary = json.loads(stack(*run, "load", *options).splitlines()[-1])
        written = stack(*run, "--entrypoint", "ls", "load", report).split()
    finally:
        stack(*run, "--entrypoint", "rm", "load", "-rf", report)

    assert summary["received"] == summary["sent"] == 5
    assert summary["lost"] == summary["doubled"] == summary["reordered"] == 0
    assert {"summary.json", "report.html", "series.csv", "link.hgrm", "spectrum.png"} <= set(written)


def test_a_killed_broker_loses_nothing(stack: Compose) -> None:
    stack("kill", "--signal", "KILL", "broker")
    eventually(lambda: not connected(stack, "eucom"), "eucom notices that the broker is gone")
    with raise_alert(stack, "--wait", "received", "--timeout", "60s", "--json") as alert:
        reference = reference_of(alert)
        stack("start", "broker")
        alert.communicate(timeout=90)
    assert alert.returncode == 0
    acknowledge_when_there(stack, reference)
    eventually(lambda: all(connected(stack, side) for side in SIDES), "both sides are back at the broker")


def test_a_stopped_and_a_killed_endpoint_recover(stack: Compose) -> None:
    stack("stop", "eucom")
    assert stack.containers()["eucom"]["State"]["ExitCode"] == 0, "not a clean stop"
    stack("kill", "--signal", "KILL", "ndmc")
    stack.up()
    with raise_alert(stack, "--wait", "received", "--timeout", "60s", "--json") as alert:
        acknowledge_when_there(stack, reference_of(alert))
        alert.communicate(timeout=90)
    assert alert.returncode == 0


@pytest.mark.parametrize("side", SIDES)
def test_the_collected_log_is_a_journal(stack: Compose, tmp_path: Path, side: str) -> None:
    collected = stack("logs", "--no-log-prefix", side).encode()
    link_file = tmp_path / "link.toml"
    link_file.write_text(stack.shell(side, "cat link.toml"), "utf-8")
    for command in (["replay", "-"], ["log", "verify", "-", "--link-file", str(link_file)]):
        done = by_deconflict(*command, "--json", collected=collected)
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
        verdict = json.loads(done.stdout)
        assert verdict["records"] > 0
        assert verdict.get("identical", verdict.get("intact")) is True
    # a record that still decodes, but was changed after it was written
    changed = collected.replace(b'"tzdata":"2', b'"tzdata":"1', 1)
    assert changed != collected
    assert by_deconflict("log", "verify", "-", collected=changed).returncode == 4
