"""Runs commands in a compose project of its own, by Compose v2 or by v1.29."""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker_site import free_port
from tests.support.engine import EngineError, docker

ROOT = Path(__file__).parents[2]
BUILD_AND_START_WITHIN_S = 600
COMMAND_WITHIN_S = 60
DOCKER_SOCKET = "/var/run/docker.sock"
SIDES = ("eucom", "ndmc")
OURS = (*SIDES, "watch")
_CONFIG = {"eucom": "eucom/endpoint.toml", "ndmc": "ndmc/endpoint.toml", "watch": "watch/watch.toml"}
_AGAIN_AFTER_S = 0.25
_READY = """
from http.client import HTTPConnection
asked = HTTPConnection("127.0.0.1", 9464, timeout=10)
asked.request("GET", "/readyz")
raise SystemExit(asked.getresponse().status != 200)
"""
_METRICS = "from urllib.request import urlopen; print(urlopen('http://localhost:9464/metrics').read().decode())"
_CLONED = (
    *("docker-compose.yml", ".dockerignore", "Dockerfile", "LICENSE", "README.md", "pyproject.toml", "uv.lock"),
    *("tools/uv.txt", "deploy", "protocol", "broker", "endpoints", "scenario", "load"),
)


class Compose:
    """The stack in `folder` under the project name `project`, separate from other stacks on the same engine."""

    def __init__(self, project: str, folder: Path = ROOT, command: Sequence[str] = ("docker", "compose")) -> None:
        self.project = project
        self.folder = folder
        self._command = [*command, "--project-directory", str(folder), "--project-name", project]
        # the stack must not depend on the user's environment
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
        # two stacks cannot publish the same ports
        self.console_ports = {side: free_port() for side in SIDES}
        for side, port in self.console_ports.items():
            self._environment[f"{side.upper()}_CONSOLE_PORT"] = str(port)

    def __call__(self, *arguments: str, within_s: int = COMMAND_WITHIN_S) -> str:
        """Run `docker compose ARGUMENTS`; return its standard output. Raises EngineError with both outputs."""
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=within_s,
            check=False,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        if done.returncode:
            raise EngineError(f"docker compose {' '.join(arguments)}: exit {done.returncode}\n{out}\n{err}")
        return out

    def begin(self, service: str, *command: str) -> "subprocess.Popen[str]":
        """Start a command in a service's container; use it as a context manager and read its standard output."""
        return subprocess.Popen(
            [*self._command, "exec", "-T", service, *command],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def up(self, *services: str) -> None:
        """Build and start, as a user does, and wait until all is healthy."""
        self("up", "--detach", "--wait", *services, within_s=BUILD_AND_START_WITHIN_S)

    def down(self) -> None:
        """Remove everything, with volumes and the images that were built for it."""
        self("--profile", "*", "down", "--volumes", "--remove-orphans", "--rmi", "local", within_s=120)

    def shell(self, service: str, script: str) -> str:
        return self("exec", "-T", service, "sh", "-euc", script)

    def deconflict(self, service: str, *arguments: str) -> str:
        return self("exec", "-T", service, "deconflict", *arguments)

    def status(self, side: str) -> dict[str, Any]:
        """Return the status of the link at a side. The command's exit code is also the status, not a failure."""
        found: dict[str, Any] = json.loads(self.shell(side, "deconflict status --json || [ $? -le 12 ]"))
        return found

    def connected(self, *sides: str) -> bool:
        """Return whether each of `sides` says that it is ready: its links run, and the broker has accepted them.

        It is asked often, so by the engine alone: a command of compose takes several times as long.
        """
        return all(self._ready(side) for side in sides)

    def _ready(self, side: str) -> bool:
        asking = ["docker", "exec", f"{self.project}-{side}-1", "python3", "-SEc", _READY]
        return not subprocess.run(asking, capture_output=True, timeout=COMMAND_WITHIN_S, check=False).returncode

    def alarms(self, side: str) -> set[str]:
        """Return the codes of the alarms that are active at a side."""
        return {alarm["code"] for alarm in self.status(side)["alarms"] or () if not alarm.get("cleared_at")}

    def health(self, service: str) -> str:
        """Return the health state of a service's container."""
        found: str = self.containers()[service]["State"]["Health"]["Status"]
        return found

    def refused_frames(self, service: str) -> int:
        """Return how many frames a process has refused since its start."""
        lines = self("exec", "-T", service, "python3", "-c", _METRICS).splitlines()
        return sum(
            int(float(line.split()[-1])) for line in lines if line.startswith("deconflict_frames_refused_total{")
        )

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return the `docker inspect` output of each container, by service."""
        ids = self("ps", "--all", "--quiet").split()
        found = json.loads(docker("inspect", *ids))
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}

    def volume(self, name: str) -> str:
        """Return the engine's name of a volume."""
        return f"{self.project}_{name}"

    # --- an alert ---------------------------------------------------------------------------------------------------

    def alert(self, *options: str, side: str = "eucom") -> "subprocess.Popen[str]":
        """Begin to raise an alert at a side."""
        officer = {"eucom": "watch-1", "ndmc": "duty-1"}[side]
        return self.begin(
            *(side, "deconflict", "alert", "--category", "stray_munition", "--precedence", "priority"),
            *("--text", "en=A missile has fallen.", "--text", "ru=Упала ракета.", "--json"),
            *(*credential(side, officer), *options),
        )

    def exchange(self, side: str = "eucom") -> str:
        """Raise an alert, wait until the other side has it, acknowledge it there; return its reference."""
        peer = {"eucom": "ndmc", "ndmc": "eucom"}[side]
        with self.alert("--wait", "received", "--timeout", "60s", side=side) as alert:
            reference = reference_of(alert)
            alert.communicate(timeout=90)
        assert alert.returncode == 0, f"{reference} was not received: {alert.returncode}"
        self.acknowledge(reference, peer)
        return reference

    def acknowledge(self, reference: str, side: str = "ndmc") -> None:
        """Acknowledge an alert at a side, once it is there."""
        officer = {"eucom": "watch-1", "ndmc": "duty-1"}[side]
        eventually(lambda: reference in self.deconflict(side, "messages", "--json"), f"{side} has {reference}")
        self.deconflict(side, "acknowledge", _CONFIG[side], reference, *credential(side, officer))


def credential(side: str, officer: str) -> tuple[str, ...]:
    """Return the options with which an officer proves themselves."""
    return "--officer", officer, "--credential-file", f"{side}/keys/officers/{officer}.credential"


def reference_of(alert: "subprocess.Popen[str]") -> str:
    """Return the reference that an alert gets as soon as it is on disk."""
    assert alert.stdout is not None
    line = alert.stdout.readline()
    assert line, f"the alert ended with {alert.wait()}"
    reference: str = json.loads(line)["reference"]
    return reference


def eventually(condition: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
    """Wait until `condition`, which runs a command, holds; fail after `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        # a command of the engine takes a quarter of a second of processor time, which the stack needs itself
        time.sleep(_AGAIN_AFTER_S)


def require_image(name: str) -> None:
    """Return if the engine has an image, or can fetch it; otherwise skip the test."""
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True, timeout=60, check=False).returncode:
        fetched = subprocess.run(["docker", "pull", "--quiet", name], capture_output=True, timeout=300, check=False)
        if fetched.returncode:
            pytest.skip(f"the engine has no image {name} and cannot fetch it")


def clone(to: Path) -> Path:
    """Copy to a new folder all that the stack is made from; return the folder."""
    for name in _CLONED:
        source, target = ROOT / name, to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return to


@contextmanager
def project(
    folder: Path = ROOT, command: Sequence[str] = ("docker", "compose"), *options: str
) -> Iterator[tuple[Compose, str]]:
    """Yield a project of a new name, and the name; remove all of it afterwards."""
    name = f"link-test-{secrets.token_hex(4)}"
    compose = Compose(name, folder, [*command, *options])
    try:
        yield compose, name
    finally:
        compose.down()
