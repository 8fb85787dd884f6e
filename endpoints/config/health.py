"""Reads at which address a process serves its health and its metrics: nowhere by default.

```toml
[health]
host = "127.0.0.1"                  # an IP address of this machine; the default
port = 9464
```

The listener has neither TLS nor authentication, so the address has to be a loopback or an internal one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from endpoints.config import variables
from endpoints.errors import UserError
from protocol.phrases import phrase

HOST = "127.0.0.1"
"""The address, unless the settings name another."""
Port = Annotated[int, Meta(ge=1, le=65_535)]


class HealthTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[health]`."""

    # an IP address of this machine
    host: Annotated[str, Meta(max_length=4_000)] = HOST
    # the TCP port of `/healthz`, `/readyz` and `/metrics`
    port: Port


class HealthSettings(Struct, frozen=True):
    """The address of the health listener: an IP address of this machine and a TCP port."""

    host: str
    port: int

    @property
    def family(self) -> int:
        """The version of IP, 4 or 6."""
        return ipaddress.ip_address(self.host).version


def health(table: HealthTable | UnsetType, path: Path, environment: Mapping[str, str]) -> HealthSettings | None:
    """Return the address of the file `path`, None for no listener; the environment takes precedence. Raises UserError.

    `DECONFLICT_HEALTH_PORT` also switches the listener on.
    """
    port = variables.port("DECONFLICT_HEALTH_PORT", environment)
    named = environment.get("DECONFLICT_HEALTH_HOST")
    if table is UNSET and port is None:
        return None
    host = named or (HOST if table is UNSET else table.host)
    at = "DECONFLICT_HEALTH_HOST" if named else f"{path}: health.host"
    return HealthSettings(_address(host, at=at), port or (0 if table is UNSET else table.port))


def _address(host: str, *, at: str) -> str:
    """Return the address `host` in its usual spelling. Raises UserError, naming the option or key `at`."""
    try:
        address = ipaddress.ip_address(HOST if host == "localhost" else host)
    except ValueError:
        raise UserError(
            phrase(
                "{at}: expected an IP address of this machine such as 127.0.0.1, found {value}",
                at=at,
                value=repr(host[:60]),
            )
        ) from None
    if address.is_global or address.is_multicast or "%" in host:
        raise UserError(
            phrase(
                "{at}: {value} is not an internal address, and health and metrics are served without TLS to anyone; "
                "choose a loopback or a private address",
                at=at,
                value=host[:60],
            )
        )
    return str(address)
