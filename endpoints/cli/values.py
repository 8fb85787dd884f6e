"""Checks argument values that cyclopts cannot check."""

from __future__ import annotations

import ipaddress
import re

import msgspec

from endpoints.errors import UserError
from protocol.phrases import phrase
from protocol.wire.messages import Identifier

_PORT_MAX = 65_535
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)(?!.*\.\d+\Z)\w([\w-]*\w)?(\.\w([\w-]*\w)?)*", re.ASCII)
"""A host name's last label is not a number, which would be a wrong IPv4 address."""


def identifier(value: str, *, option: str) -> str:
    """Return `value` if it can name a link, a party, an officer. Raises UserError naming the option."""
    try:
        return msgspec.convert(value, Identifier)
    except msgspec.ValidationError:
        raise UserError(
            phrase(
                "--{option}: expected an id of at most 32 lower-case letters, digits and hyphens, found {value}",
                option=option,
                value=repr(value[:60]),
            )
        ) from None


def check_host(value: str, *, option: str) -> None:
    """Raise UserError, naming the option, unless `value` is a host name in ASCII or an IP address."""
    if not _HOST_NAME.fullmatch(value):
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise UserError(
                phrase(
                    "--{option}: expected a host name or an IP address, found {value}",
                    option=option,
                    value=repr(value[:60]),
                )
            ) from None


def check_port(value: int, *, option: str) -> None:
    """Raise UserError, naming the option, unless `value` is a TCP port."""
    if not 1 <= value <= _PORT_MAX:
        raise UserError(
            phrase(
                "--{option}: expected a port from 1 to {port_max}, found {value}",
                option=option,
                port_max=_PORT_MAX,
                value=value,
            )
        )
