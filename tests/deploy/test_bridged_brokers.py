"""The service `provision` renews the certificates with which the stack checks two bridged brokers."""

import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from endpoints.clocks.clock import SystemClock
from tests.support.two_sides import run

HOMES = (Path("brokers/eucom"), Path("brokers/ndmc"))
DAY_MS = 86_400_000


class LaterClock(SystemClock):
    def now(self) -> tuple[int, int]:
        at, mono = super().now()
        return at + 810 * DAY_MS, mono


def own(_folder: Path, _user: int) -> None:
    """Let the test keep its files."""


@pytest.fixture
def provision(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script, with two bridged brokers in a folder of the test."""
    monkeypatch.setattr(script, "give", own)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    assert run("init", Path(), "--bridged", "--broker-host", "broker", "--broker-host", "broker-ndmc") == 0
    return script


def certificates() -> list[bytes]:
    return [(home / "broker/health/client.crt").read_bytes() for home in HOMES]


def test_a_certificate_that_ends_soon_is_renewed(
    provision: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = certificates()
    provision.check_bridged()
    assert certificates() == before
    monkeypatch.setattr(provision, "SystemClock", LaterClock)
    capsys.readouterr()
    provision.check_bridged()
    assert not set(certificates()) & set(before)
    assert capsys.readouterr().err.splitlines() == [
        f"provision: {home}/broker: its health check gets a new certificate" for home in HOMES
    ]
    for home in HOMES:
        assert (home / "broker/health/ca.crt").read_bytes() == (home / "authority/ca.crt").read_bytes()


def test_a_certificate_stays_if_its_authority_is_missing(
    provision: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = certificates()
    shutil.rmtree("brokers/ndmc/authority")
    monkeypatch.setattr(provision, "SystemClock", LaterClock)
    provision.check_bridged()
    assert certificates()[1] == before[1]
    assert "the authority is missing: cert show brokers/ndmc" in capsys.readouterr().err
    shutil.rmtree("brokers/ndmc/broker/health")
    with pytest.raises(SystemExit) as ended:
        provision.check_bridged()
    assert ended.value.code == 2


def test_an_authority_without_its_key_is_reported(provision: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    Path("brokers/ndmc/authority/ca.key").unlink()
    Path("brokers/ndmc/authority").chmod(0o755)
    capsys.readouterr()
    for home in HOMES:
        provision.check_authority(home / "authority")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("provision: brokers/ndmc/authority: its volume has no ca.key")
    assert all((home / "authority").stat().st_mode & 0o077 == 0 for home in HOMES)
