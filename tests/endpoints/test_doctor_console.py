"""What the doctor says of the table `[console]`: certificate, address, the file of the sessions."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from endpoints.clocks.clock import SystemClock
from endpoints.config import settings
from endpoints.config.console_settings import load_console
from endpoints.console import process
from endpoints.doctor.examination import Examination
from tests.support.broker_site import free_port
from tests.support.installation import installed
from tests.support.station import Running

NOW = SystemClock().now()[0]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return installed(tmp_path / "d") / "eucom" / "endpoint.toml"


def told(config: Path, *lines: str) -> list[str]:
    """Return what the doctor says of the console, whose table has these lines; without its file's name."""
    former = config.read_text("utf-8")
    config.write_text(former.replace("\n[officers", "\n[console]\n" + "\n".join(lines) + "\n\n[officers", 1), "utf-8")
    found = Examination(settings.load_unchecked(config), lambda: NOW).run()
    config.write_text(former, "utf-8")
    return [str(each).replace(str(config.parent), "") for each in found if each.check == "console"]


def listen() -> str:
    return f'listen = "localhost:{free_port()}"'


def test_a_console_that_can_start_is_no_finding(config: Path) -> None:
    assert told(config, listen()) == []
    with contextlib.closing(process.sessions(load_console(config))):
        assert told(config, listen()) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('listen = "0.0.0.0:8440"', "console.certificate: missing, and others can connect to 0.0.0.0"),
        ('origin = "http://console.example.org"', "without TLS, a console is only for browsers at http://localhost"),
        ('origin = "console"', "expected an origin such as http://localhost:8440"),
        ('certificate = "tls/nothing.crt"', "console.key: missing; console.certificate is there"),
        ('listen = "unix:nowhere/console.sock"\norigin = "https://c.example.org"', "/nowhere: no such folder"),
        ('listen = "192.0.2.1:8440"\norigin = "http://localhost:8440"', "192.0.2.1"),
    ],
)
def test_a_wrong_table_is_reported_in_one_line(config: Path, line: str, words: str) -> None:
    (only,) = told(config, line)
    assert words in only
    assert "\n" not in only


def test_an_address_that_another_program_has_is_reported(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # it accepts and never answers
        (only,) = told(config, f'listen = "localhost:{taken.getsockname()[1]}"')
    assert "console: cannot listen at localhost:" in only
    assert "Address already in use" in only


@pytest.mark.integration
def test_the_address_of_a_console_that_runs_is_no_finding(config: Path) -> None:
    place = f"localhost:{free_port()}"
    running = Running(["console", str(config)], {"DECONFLICT_CONSOLE_LISTEN": place})
    try:
        deadline = time.monotonic() + 30
        while not running.output():
            assert running.alive, running.errors()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        started = json.loads(running.output().splitlines()[0])
        assert (started["event"], started["links"], started["side"]) == ("started", ["eucom-ndmc"], "eucom")
        assert started["origin"] == f"http://{place}"
        assert started["software"].startswith("deconfliction-link ")
        assert told(config, f'listen = "{place}"') == []
    finally:
        assert running.end(signal.SIGTERM) == 0
    assert json.loads(running.output().splitlines()[-1])["event"] == "stopped"


def damaged(path: Path) -> None:
    path.write_bytes(b"no database, and long enough to be one" * 100)
    path.chmod(0o600)


def open_to_others(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)):
        path.touch()
    path.chmod(0o644)


@pytest.mark.parametrize(
    ("fault", "words"),
    [(damaged, "the file is not a database"), (open_to_others, "is open to others (mode 0644)")],
)
def test_sessions_that_cannot_be_kept_are_reported(config: Path, fault: Callable[[Path], None], words: str) -> None:
    path = process.sessions_path(load_console(config))
    fault(path)
    before = path.read_bytes()
    (only,) = told(config, listen())
    assert words in only
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "left_days", "other_key", "words"),
    [
        ("console.example.org", 300, False, ""),
        ("*.example.org", 300, False, ""),
        ("example.org", 300, False, "does not name console.example.org, the host of console.origin"),
        ("console.example.org", 10, False, "expires on"),
        ("console.example.org", -1, False, "expired on"),
        ("console.example.org", 300, True, "certificate and key cannot be used"),
    ],
)
def test_a_certificate_that_browsers_refuse_is_reported(
    config: Path, name: str, left_days: int, other_key: bool, words: str
) -> None:
    authority = trustme.CA()
    ends = datetime.now(UTC) + timedelta(days=left_days)  # noqa: TID251 - a real certificate
    own = authority.issue_cert(name, not_before=ends - timedelta(days=400), not_after=ends)
    own.cert_chain_pems[0].write_to_path(config.parent / "console.crt")
    key = (authority.issue_cert(name) if other_key else own).private_key_pem
    key.write_to_path(config.parent / "console.key")
    (config.parent / "console.key").chmod(0o600)
    found = told(
        config,
        f'listen = "127.0.0.1:{free_port()}"',
        'origin = "https://console.example.org"',
        'certificate = "console.crt"',
        'key = "console.key"',
    )
    assert len(found) == (1 if words else 0), found
    assert all(words in each for each in found)
