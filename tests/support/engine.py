"""Skips tests on a machine without a Docker Engine; fails them in CI, which must have one."""

import os
import subprocess

import pytest


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
