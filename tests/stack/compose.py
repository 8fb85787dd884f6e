"""Runs commands in a compose project of its own."""

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
    """The repository's stack under the project name `project`, separate from other stacks on the same engine."""

    def __init__(self, project: str) -> None:
        self._command = ["docker", "compose", "--project-directory", str(ROOT), "--project-name", project]
        # the stack must not depend on the user's environment
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}

    def __call__(self, *arguments: str, within_s: int = COMMAND_WITHIN_S) -> str:
        """Run `docker compose ARGUMENTS` and return its standard output; if it fails, fail with both outputs."""
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
        """Start a command in a service's container; use it as a context manager and read its standard output."""
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
        """Return the status of the link at a side. The command's exit code is also the status, not a failure."""
        script = f"deconflict status {side}/endpoint.toml --json || [ $? -le 11 ]"
        found: dict[str, Any] = json.loads(self.shell(side, script))
        return found

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return the `docker inspect` output of each container, by service."""
        ids = self("ps", "--all", "--quiet").split()
        found = json.loads(subprocess.run(["docker", "inspect", *ids], capture_output=True, check=True).stdout)
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}


def eventually(condition: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
    """Wait until `condition`, which runs a command, holds; fail after `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
