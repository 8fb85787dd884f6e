"""Runs commands of a Docker Engine. Skips tests on a machine without one; fails them in CI, which must have one."""

import os
import subprocess

import pytest

WITHIN_S = 600


class EngineError(AssertionError):
    """A command of the engine failed."""


def docker(*arguments: str, stdin: bytes = b"", within_s: float = WITHIN_S) -> str:
    """Run `docker ARGUMENTS`; return its standard output. Raises EngineError with both outputs."""
    return docker_bytes(*arguments, stdin=stdin, within_s=within_s).decode(errors="replace")


def docker_bytes(*arguments: str, stdin: bytes = b"", within_s: float = WITHIN_S) -> bytes:
    """Run `docker ARGUMENTS`; return its standard output as it is. Raises EngineError with both outputs."""
    done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, timeout=within_s, check=False)
    if done.returncode:
        told = f"{done.stdout.decode(errors='replace')}\n{done.stderr.decode(errors='replace')}"
        raise EngineError(f"docker {' '.join(arguments)}: exit {done.returncode}\n{told}")
    return done.stdout


def missing_engine() -> str | None:
    """Return why containers cannot run here, or None if it can."""
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            answer = subprocess.run(command, capture_output=True, timeout=60, check=False)
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return f"`{' '.join(command)}` does not answer: a Docker Engine with Compose v2 is needed"
        if answer.returncode:
            return f"`{' '.join(command)}` fails: a Docker Engine with Compose v2 is needed"
    return None


def require_engine() -> None:
    """Return if containers can run here; otherwise skip the test, or fail it in CI."""
    reason = missing_engine()
    if reason:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
