"""The health listener is off by default; its address is an internal one of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import UNSET

from endpoints.config.health import HealthSettings, HealthTable, health
from endpoints.errors import UserError

PATH = Path("/etc/deconflict/endpoint.toml")
PORT = {"DECONFLICT_HEALTH_PORT": "9464"}


def read(host: str | None = None, **environment: str) -> HealthSettings | None:
    return health(UNSET if host is None else HealthTable(host=host, port=9000), PATH, environment)


def test_it_is_off_unless_the_settings_or_the_environment_name_a_port() -> None:
    assert read() is None
    assert read(DECONFLICT_HEALTH_HOST="10.0.0.1") is None
    assert read(**PORT) == HealthSettings("127.0.0.1", 9464)
    assert read("10.0.0.1") == HealthSettings("10.0.0.1", 9000)


def test_the_environment_takes_precedence() -> None:
    assert read("10.0.0.1", **PORT) == HealthSettings("10.0.0.1", 9464)
    assert read("10.0.0.1", DECONFLICT_HEALTH_HOST="::1") == HealthSettings("::1", 9000)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "0.0.0.0", "::", "::1", "192.168.7.9", "172.20.0.3", "fd00::7", "169.254.1.1"]
)
def test_a_loopback_or_internal_address_is_taken(host: str) -> None:
    found = read(host)
    assert found is not None
    assert (found.host, found.family) == (host, 6 if ":" in host else 4)


def test_localhost_is_the_loopback_of_ip_4() -> None:
    assert read("localhost") == HealthSettings("127.0.0.1", 9000)


@pytest.mark.parametrize(
    ("host", "wrong"),
    [
        ("8.8.8.8", "8.8.8.8 is not an internal address"),
        ("2001:4860:4860::8888", "is not an internal address"),
        ("224.0.0.1", "is not an internal address"),
        ("fe80::1%eth0", "is not an internal address"),
        ("eucom", "expected an IP address of this machine such as 127.0.0.1, found 'eucom'"),
        ("", "expected an IP address"),
        ("127.0.0.1:9464", "expected an IP address"),
        ("x" * 4_000, "expected an IP address"),
    ],
)
def test_any_other_is_refused_with_the_key(host: str, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong) as error:
        read(host)
    assert str(error.value).startswith(f"{PATH}: health.host: ")
    assert len(str(error.value)) < 300


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(UserError, match=r"^DECONFLICT_HEALTH_HOST: 1\.1\.1\.1 is not an internal address"):
        read(DECONFLICT_HEALTH_HOST="1.1.1.1", **PORT)
    with pytest.raises(UserError, match=r"^DECONFLICT_HEALTH_PORT: not a port"):
        read(DECONFLICT_HEALTH_PORT="http")
