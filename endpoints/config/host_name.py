"""Checks the name of a host that this machine connects to or listens at."""

from __future__ import annotations

import ipaddress
import re

from endpoints.errors import UserError
from protocol.phrases import Phrase, phrase

_NAME_MAX = 253
_LABEL_MAX = 63
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?", re.ASCII)


def check_host(value: str, *, at: str) -> str:
    """Return `value` if it is a host name in ASCII or an IP address, as TLS certificates name hosts.

    Raises UserError, naming the option or key `at`, for everything that name look-up or TLS would stumble over.
    """
    wrong = _wrong(value)
    if wrong is not None:
        raise UserError(phrase("{at}: {wrong}, found {value}", at=at, wrong=wrong, value=repr(value[:60])))
    return value


def names_host(value: str) -> bool:
    """Return whether `value` is a host name in ASCII or an IP address."""
    return _wrong(value) is None


def _wrong(value: str) -> Phrase | None:
    """Return what is wrong with a host, None if nothing is."""
    try:
        # a scope such as %eth0 is no part of a certificate's name
        ipaddress.ip_address(value)
        return (
            None
            if "%" not in value
            else phrase("give the IPv6 address without its scope: {right}", right=value.partition("%")[0])
        )
    except ValueError:
        pass
    if value[:1] == "[":
        return phrase("give the IPv6 address without brackets, such as ::1, and the port separately")
    if not value.isascii():
        return phrase("give a host name with other than ASCII letters in its encoded form (xn--...)")
    labels = value.split(".")
    if value.endswith(".") and len(value) > 1:
        return phrase("give the host name without the dot at its end")
    if len(value) > _NAME_MAX or any(len(label) > _LABEL_MAX for label in labels):
        return phrase(
            "a host name has at most {name} characters, and {label} between two dots", name=_NAME_MAX, label=_LABEL_MAX
        )
    # a name whose last label is a number is a wrong IPv4 address
    if not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        return phrase("expected a host name such as broker.example.org or an IP address")
    return None
