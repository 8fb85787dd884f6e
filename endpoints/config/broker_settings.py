"""Reads the table `[broker]` of the settings: the addresses of the broker's nodes, and our certificate there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import UNSET, Struct

from endpoints.config import tls_files, variables
from endpoints.config.host_name import check_host
from endpoints.config.settings_tables import ADDRESSES_MAX, BrokerTable
from endpoints.errors import UserError
from endpoints.keys.private_files import exists, require_private
from protocol.phrases import phrase

PORT = 8883
"""The registered port of MQTT over TLS."""
_ADDRESSES = "DECONFLICT_BROKER_ADDRESSES"
_HOST = "DECONFLICT_BROKER_HOST"
_PORT = "DECONFLICT_BROKER_PORT"


class Address(Struct, frozen=True):
    """Where one node of the broker listens; the certificate that it shows has the name `host`."""

    host: str
    port: int = PORT

    def __str__(self) -> str:
        """Return the address as the settings have it, such as `broker:8883` or `[::1]:8883`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class BrokerSettings(Struct, frozen=True, kw_only=True):
    """How to reach the broker: mutual TLS; `identity` is the MQTT user and client id (SPEC Q3.1).

    Attributes:
        identity: this process's name at the broker.
        addresses: of each node; one at least, each once.
        authority: the file of the authority that issued the nodes' certificates.
        certificate: the file of our certificate.
        key: the file of its private key.
    """

    identity: str
    addresses: tuple[Address, ...]
    authority: Path
    certificate: Path
    key: Path


def address(text: str, *, at: str) -> Address:
    """Return the address in `text`: a host, perhaps with a port (`h1`, `h1:8883`, `[::1]:8883`).

    Raises UserError, naming the option or key `at`.
    """
    host, port = text, ""
    if text.startswith("[") and "]" in text:
        host, _, rest = text[1:].partition("]")
        if rest and not rest.startswith(":"):
            raise _no_address(text, at)
        port = rest[1:]
        if rest == ":":
            raise _no_address(text, at)
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        if not port:
            raise _no_address(text, at)
    elif ":" in text:
        raise _no_address(text, at)
    check_host(host, at=at)
    return Address(host, variables.tcp_port(port, at=at)) if port else Address(host)


def addresses(texts: Sequence[str], *, at: str) -> tuple[Address, ...]:
    """Return the addresses in `texts`. Raises UserError, naming the option or key `at`, also for one that is twice."""
    if len(texts) > ADDRESSES_MAX:
        raise UserError(phrase("{at}: {limit} addresses at most", at=at, limit=ADDRESSES_MAX))
    found: list[Address] = []
    for index, text in enumerate(texts):
        one = address(text, at=f"{at}[{index}]" if len(texts) > 1 else at)
        if one in found:
            raise UserError(phrase("{at}: {address} twice; name each node once", at=at, address=one))
        found.append(one)
    return tuple(found)


def broker(raw: BrokerTable, identity: str, folder: Path, path: Path, environment: Mapping[str, str]) -> BrokerSettings:
    """Return the settings in the table `[broker]` of the file `path` in `folder`. Raises UserError."""
    settings = BrokerSettings(
        identity=identity,
        addresses=_addresses(raw, path, environment),
        authority=folder / raw.authority,
        certificate=folder / raw.certificate,
        key=folder / raw.key,
    )
    # a copy without the whole folder lacks above all what nobody else has
    for key in ("key", "certificate", "authority"):
        file: Path = getattr(settings, key)
        if not (exists(file) and file.is_file()):
            raise UserError(
                phrase(
                    "{path}: broker.{key}: no such file: {file}; {remedy}",
                    path=path,
                    key=key,
                    file=file,
                    remedy=tls_files.remedy(key, file),
                )
            )
    require_private(settings.key, what=phrase("private key"))
    return settings


def _addresses(raw: BrokerTable, path: Path, environment: Mapping[str, str]) -> tuple[Address, ...]:
    """Return the addresses: the environment's, otherwise the file's. Raises UserError."""
    listed, host = environment.get(_ADDRESSES), environment.get(_HOST)
    port = variables.port(_PORT, environment)
    if listed:
        if host or port is not None:
            other = _HOST if host else _PORT
            raise UserError(phrase("{at}: {other} is set, too; set one of them", at=_ADDRESSES, other=other))
        return addresses([each.strip() for each in listed.split(",")], at=_ADDRESSES)
    if raw.addresses is not UNSET:
        for key, value in (("host", raw.host), ("port", raw.port)):
            if value is not UNSET:
                raise UserError(
                    phrase(
                        "{path}: broker.addresses: broker.{key} is there, too; put all into broker.addresses",
                        path=path,
                        key=key,
                    )
                )
        from_file = addresses(raw.addresses, at=f"{path}: broker.addresses")
        if host is None and port is not None:
            raise UserError(
                phrase(
                    "{at}: {path} has broker.addresses, with a port each; set {other}",
                    at=_PORT,
                    path=path,
                    other=_ADDRESSES,
                )
            )
        if not host:
            return from_file
    elif raw.host is UNSET and not host:
        raise UserError(
            phrase("{path}: broker.host: missing; name one host, or several in broker.addresses", path=path)
        )
    name = host or (raw.host if raw.host is not UNSET else "")
    check_host(name, at=_HOST if host else f"{path}: broker.host")
    return (Address(name, port or (PORT if raw.port is UNSET else raw.port)),)


def _no_address(text: str, at: str) -> UserError:
    return UserError(
        phrase(
            "{at}: expected a host with its port, such as h1:8883 or [::1]:8883, found {text}",
            at=at,
            text=repr(text[:60]),
        )
    )
