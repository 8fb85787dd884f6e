"""Checks what stands in a certificate: an identity, the names of a server, a public key."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from broker.errors import BrokerError
from protocol.phrases import phrase

IDENTITY = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
"""An identity is a common name, an MQTT user and a topic level: no character is special in an ACL file or topic."""
BROKER = "broker"
"""The identity in the broker's own certificate, which no client may have."""
HEALTH = "health"
"""The identity of the client that checks whether the broker serves clients. The access list gives it no rights."""

_RSA_BITS = (3_072, 8_192)
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_SHOWN_MAX = 80


def check_identity(identity: str) -> str:
    """Return `identity`. Raises BrokerError if it is none."""
    if not IDENTITY.fullmatch(identity):
        raise BrokerError(
            phrase(
                "{identity}: not an identity, which has 1 to 32 lower-case letters, digits and hyphens",
                identity=repr(identity[:_SHOWN_MAX]),
            )
        )
    return identity


def identity_of(subject: x509.Name, *, at: Path | str) -> str:
    """Return the identity in a subject, whose only part it must be. Raises BrokerError about the file `at`."""
    names = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1 or len(list(subject)) != 1:
        raise BrokerError(
            phrase(
                "{path}: its subject is {subject}; expected one common name, the identity, such as CN=eucom",
                path=at,
                subject=repr(subject.rfc4514_string()[:_SHOWN_MAX]),
            )
        )
    try:
        return check_identity(names[0])
    except BrokerError as error:
        raise BrokerError(phrase("{path}: {error}", path=at, error=error)) from None


def check_key(key: object, *, at: Path | str) -> None:
    """Raise BrokerError unless a public key is of a kind and strength that every TLS 1.3 library here accepts."""
    match key:
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, _CURVES):
            return
        case rsa.RSAPublicKey() if key.key_size > _RSA_BITS[1]:
            kind = phrase("RSA with {bits} bits", bits=key.key_size)
        case rsa.RSAPublicKey() if key.key_size >= _RSA_BITS[0]:
            return
        case rsa.RSAPublicKey():
            kind = phrase("RSA with {bits} bits", bits=key.key_size)
        case ec.EllipticCurvePublicKey():
            kind = phrase("the elliptic curve {curve}", curve=key.curve.name)
        case _:
            kind = phrase("another kind of key")
    raise BrokerError(
        phrase(
            "{path}: its key is {kind}; expected ECDSA on P-256, P-384 or P-521, or RSA with {least} to {most} bits",
            path=at,
            kind=kind,
            least=_RSA_BITS[0],
            most=_RSA_BITS[1],
        )
    )


_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*", re.ASCII)
_HOST_MAX = 253


def check_server_name(name: str, *, at: Path | str) -> None:
    """Raise BrokerError unless `name` is a host name without wildcards, or an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if len(name) > _HOST_MAX or not _HOST.fullmatch(name):
            raise BrokerError(
                phrase(
                    "{path}: asks for the name {name}; expected a host name such as broker.example.org or an address",
                    path=at,
                    name=repr(name[:_SHOWN_MAX]),
                )
            ) from None


def general_name(name: str) -> x509.GeneralName:
    """Return a host name or IP address as certificates name it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def alternative_names(extensions: x509.Extensions) -> tuple[str, ...]:
    """Return the alternative names of a certificate or request: DNS names, addresses, and others with their kind."""
    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        str(each.value) if isinstance(each, x509.DNSName | x509.IPAddress) else f"{type(each).__name__}: {each.value}"
        for each in found
    )
