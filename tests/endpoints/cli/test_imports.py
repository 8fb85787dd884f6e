"""What the commands that have to start fast do not import; each of these costs time or memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]

_HEAVY = ("aiomqtt", "babel", "httpx", "jinja2", "matplotlib", "numpy", "tomlkit")
_OF_A_SERVICE = ("paho", "stamina", "starlette", "structlog", "uvicorn")
_LOADED = """
import sys
try:
    {what}
except SystemExit:
    pass
print(" ".join(sorted({{name for module in sys.modules for name in (module, module.partition(".")[0])}})))
"""


def imported(what: str) -> set[str]:
    """Return the modules that a fresh process has imported after a statement, packages included."""
    done = subprocess.run([sys.executable, "-c", _LOADED.format(what=what)], check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines()[-1].split())


def _called(*words: str) -> str:
    return f"from endpoints.cli.main import main; main({list(words)!r})"


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_help_imports_no_service_and_no_cryptography(lang: str) -> None:
    heavy = {*_HEAVY, *_OF_A_SERVICE, "asyncio", "cryptography", "email", "http"}
    assert imported(_called("--help", "--lang", lang)) & heavy == set()


def test_status_imports_no_service(tmp_path: Path, run: Run) -> None:
    assert run("init", tmp_path / "site")[0] == 0
    found = imported(_called("status", str(tmp_path / "site" / "eucom" / "endpoint.toml")))
    assert "endpoints.cli.status" in found
    assert found & {*_HEAVY, *_OF_A_SERVICE, "asyncio", "cryptography.x509"} == set()


@pytest.mark.parametrize("process", ["service", "watchdog"])
def test_a_process_imports_what_it_needs_and_no_console(process: str) -> None:
    unwanted = {*_HEAVY, "cyclopts", "rich"} - ({"aiomqtt"} if process == "watchdog" else set())
    found = imported(f"import endpoints.{process}")
    assert {"structlog", "paho"} <= found
    assert found & unwanted == set()
