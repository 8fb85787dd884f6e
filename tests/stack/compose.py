"""One compose project of its own: commands in it, and what they print."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BUILD_AND_START_WITHIN_S = 600
COMMAND_WITHIN_S = 60


class Compose:
    """The project's stack under the name `project`, so that it disturbs no other one on the same engine."""

    def __init__(self, project: str) -> None:
        self._command = ["docker", "compose", "--project-directory", str(ROOT), "--project-name", project]
        # what the stack is must not depend on who tests it
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}

    def __call__(self, *arguments: str, within_s: int = COMMAND_WITHIN_S) -> str:
        """Run `docker compose ARGUMENTS`; return its standard output. Fails, with both outputs, if it does."""
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
            raise AssertionError(f"docker compose {' '.join(arguments)}: exit {done.returncode}\n{out}\n{err}")
        return out

    def begin(self, service: str, *command: str) -> subprocess.Popen[str]:
        """Start a command in a service's container: a context manager, in which its standard output is read."""
        return subprocess.Popen(
            [*self._command, "exec", "-T", service, *command],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def up(self) -> None:
        self("up", "--detach", "--build", "--wait", within_s=BUILD_AND_START_WITHIN_S)

    def shell(self, service: str, script: str) -> str:
        return self("exec", "-T", service, "sh", "-euc", script)

    def deconflict(self, service: str, *arguments: str) -> str:
        return self("exec", "-T", service, "deconflict", *arguments)

    def status(self, side: str) -> dict[str, Any]:
        """Return what a side's endpoint says of the link. Its exit code says the same, so it is no failure."""
        script = f"deconflict status {side}/endpoint.toml --json || [ $? -le 11 ]"
        found: dict[str, Any] = json.loads(self.shell(side, script))
        return found

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return what the engine knows of each service's container, by service."""
        ids = self("ps", "--all", "--quiet").split()
        found = json.loads(subprocess.run(["docker", "inspect", *ids], capture_output=True, check=True).stdout)
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}


def eventually(condition: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
    """Return once `condition` holds; each look takes a command's time. Fails after `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
