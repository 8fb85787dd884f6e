"""Restricts an authority to one identity by X.509 name constraints (RFC 5280, 4.2.1.10), and checks the restriction.

A broker that trusts the authority of each side must accept from each only certificates of that side. The constraints
permit the identity as a DNS name and as the first common name of the subject; Mosquitto takes the first common name
as user. OpenSSL applies them to a self-signed authority that is trusted, too (tests/integration/test_own_authority.py).
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.errors import BrokerError
from broker.identities import check_identity, check_key
from broker.names import IDENTITY
from protocol.phrases import phrase


def common_name(identity: str) -> x509.Name:
    """Return the subject that has `identity` as its only name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity)])


def same_name(one: x509.Name, other: x509.Name) -> bool:
    """Return whether a broker that looks for an authority by its name takes one of these for the other.

    OpenSSL compares names without regard to case and to spaces; this compares at least as broadly.
    """
    return _compared(one) == _compared(other)


def _compared(name: x509.Name) -> list[list[tuple[str, str]]]:
    return [
        sorted((each.oid.dotted_string, " ".join(str(each.value).casefold().split())) for each in part)
        for part in name.rdns
    ]


def for_identity(identity: str) -> x509.NameConstraints:
    """Return the constraints that permit certificates of `identity` alone."""
    return x509.NameConstraints([x509.DNSName(identity), x509.DirectoryName(common_name(identity))], None)


def permitted(authority: x509.Certificate) -> str | None:
    """Return the one identity that `authority` may issue certificates for; None if it is not restricted to one.

    Only the constraints of `for_identity` count, as a critical extension: of others, nobody knows what they leave open.
    """
    try:
        found = authority.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        return None
    names = found.value.permitted_subtrees or []
    identities = [each.value for each in names if isinstance(each, x509.DNSName)]
    if not found.critical or len(identities) != 1 or not IDENTITY.fullmatch(identities[0]):
        return None
    return identities[0] if set(names) == set(for_identity(identities[0]).permitted_subtrees or []) else None


def is_authority(certificate: x509.Certificate) -> bool:
    """Return whether a certificate is one of an authority."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def check_authority(authority: x509.Certificate, *, at: Path | str, now: int) -> None:
    """Raise BrokerError unless `authority` is a self-signed authority, with a strong key, valid at `now` (ms)."""
    try:
        signs = authority.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        signs = False
    if not signs or not is_authority(authority):
        raise BrokerError(phrase("{path}: not the certificate of an authority; expected its ca.crt", path=at))
    try:
        authority.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 - cryptography raises a different error for each cause
        raise BrokerError(
            phrase("{path}: not signed with its own key; expected the ca.crt of an authority of its own", path=at)
        ) from None
    check_key(authority.public_key(), at=at)
    check_dates(authority, at=at, now=now)


def check_restricted(authority: x509.Certificate, identity: str, *, at: Path | str) -> None:
    """Raise BrokerError unless `authority` may issue certificates for `identity` alone, directly and for clients."""
    check_identity(identity)
    restricted = permitted(authority)
    if restricted is None:
        raise BrokerError(
            phrase(
                "{path}: this authority could issue a certificate for the other side as well, so a broker for both "
                "must not trust it; make one for {identity} alone: deconflict cert authority FOLDER "
                "--identity {identity}",
                path=at,
                identity=identity,
            )
        )
    if restricted != identity:
        raise BrokerError(
            phrase(
                "{path}: this authority issues certificates for {found}, not for {identity}",
                path=at,
                found=restricted,
                identity=identity,
            )
        )
    if authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length != 0:
        raise BrokerError(
            phrase("{path}: this authority may make further authorities; expected a path length of 0", path=at)
        )
    try:
        purposes = authority.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
        raise BrokerError(phrase("{path}: this authority issues no certificates for clients", path=at))


def check_dates(certificate: x509.Certificate, *, at: Path | str, now: int) -> None:
    """Raise BrokerError unless `certificate` is valid at `now` (ms since 1970)."""
    check_end(certificate, at=at, now=now)
    if certificate.not_valid_before_utc.timestamp() * 1_000 > now:
        begins = certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        raise BrokerError(
            phrase("{path}: not valid before {when}; check the clocks of both machines", path=at, when=begins)
        )


def check_end(certificate: x509.Certificate, *, at: Path | str, now: int) -> None:
    """Raise BrokerError if `certificate` has ended at `now` (ms since 1970)."""
    if certificate.not_valid_after_utc.timestamp() * 1_000 <= now:
        ended = certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        raise BrokerError(phrase("{path}: expired on {when}; use a new one", path=at, when=ended))
