"""The certificate of the broker's health check: shown, warned of before its end, and renewed, as every other one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from broker import files
from broker.names import HEALTH
from broker.pki import Authority
from endpoints.cli.main import main
from endpoints.clocks.clock import SystemClock
from endpoints.config import first_certificates, tls_files
from endpoints.config.certificate_survey import survey
from endpoints.config.first_certificates import health_is_due
from endpoints.errors import UserError
from tests.support.broker_site import now
from tests.support.installation import installed

DAY_MS = 86_400_000
LASTS_DAYS = 824


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return installed(tmp_path / "try")


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as exited:
        main([*map(str, words), "--lang", "en"])
    assert isinstance(exited.value.code, int)
    return exited.value.code


def ends_in(home: Path, days: int) -> None:
    """Have the certificate end in so many days."""
    at, _ = SystemClock().now()
    Authority.load(home / "authority").issue_client(HEALTH, home / "broker" / HEALTH, at - (LASTS_DAYS - days) * DAY_MS)


def shown(home: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    run("cert", "show", home, "--json")
    places = json.loads(capsys.readouterr().out)["places"]
    (found,) = [place for place in places if place["identity"] == HEALTH]
    assert isinstance(found, dict)
    return found


def test_it_is_shown_with_the_others_and_warned_of(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(home, capsys)
    assert (found["place"], found["warnings"]) == (str(home / "broker" / HEALTH), [])
    for days, words in ((20, "ends on "), (3, "URGENT: ends on "), (-1, "expired on ")):
        ends_in(home, days)
        (warning,) = shown(home, capsys)["warnings"]
        assert warning.startswith(f"{home}/broker/health/client.crt: {words}")
        assert run("cert", "show", home) == 1


def test_it_is_renewed_with_the_printed_commands(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends_in(home, 20)
    place, new = home / "broker" / HEALTH, tmp_path / "health.crt"
    assert run("cert", "request", place) == 0
    said = capsys.readouterr().err
    request = place / "client.csr"
    assert f"deconflict cert sign {home}/authority {request} --identity health --out health.crt\n" in said
    assert f"deconflict cert renew {place} health.crt\n" in said
    assert run("cert", "sign", home / "authority", request, "--identity", "health", "--out", new, "--yes") == 0
    monkeypatch.chdir(place)
    assert run("cert", "renew", ".", new) == 0
    assert "The next check of the broker uses it." in capsys.readouterr().err
    assert shown(home, capsys)["warnings"] == []


def test_another_certificate_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cert", "renew", home / "broker" / HEALTH, home / "eucom" / "tls" / "client.crt") == 2
    assert "issued to eucom, not to health, whose place this is" in capsys.readouterr().err


def test_it_is_due_if_it_is_missing_or_ends_soon_or_is_of_another_authority(home: Path, tmp_path: Path) -> None:
    own, authority = home / "broker", home / "authority"
    assert not health_is_due(own, authority, now())
    ends_in(home, 20)
    assert health_is_due(own, authority, now())
    ends_in(home, 40)
    assert not health_is_due(own, authority, now())
    other = Authority.make(tmp_path / "other", now())
    assert health_is_due(own, tmp_path / "other", now())
    assert not health_is_due(own, tmp_path / "nowhere", now())
    (own / HEALTH / "client.crt").write_bytes(files.pem(other.certificate))
    assert health_is_due(own, authority, now())
    shutil.rmtree(own / HEALTH)
    assert health_is_due(own, authority, now())
    first_certificates.enrol_broker(home, (), authority=authority, at=now())
    assert not health_is_due(own, authority, now())


def test_a_folder_of_that_name_without_a_certificate_is_no_place(tmp_path: Path) -> None:
    (tmp_path / HEALTH).mkdir()
    with pytest.raises(UserError, match="no folder broker/tls"):
        tls_files.of(tmp_path / HEALTH)


def test_no_file_there_is_a_warning(home: Path) -> None:
    tls = tls_files.of(home / "broker" / HEALTH)
    tls.key.unlink()
    assert any("client.key" in warning for warning in survey(tls, now()).warnings)
