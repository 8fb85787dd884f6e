"""Reads the certificates that the connection to the broker depends on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from endpoints.config.broker_settings import BrokerSettings
from endpoints.errors import UserError
from endpoints.keys.private_files import read_bytes
from protocol.core.event_fields import CertificateOwner
from protocol.phrases import phrase
from protocol.wire.instants import Millis

_PEM_MAX_BYTES = 65_536


def load(path: Path) -> list[x509.Certificate]:
    """Return the certificates in the PEM file `path`, at least one. Raises UserError."""
    data = read_bytes(path, what=phrase("certificate"), max_bytes=_PEM_MAX_BYTES)
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise UserError(phrase("{path}: not a certificate in PEM form", path=path)) from None


def begins(certificate: x509.Certificate) -> Millis:
    """Return the instant from which a certificate is valid."""
    return int(certificate.not_valid_before_utc.timestamp() * 1_000)


def ends(certificate: x509.Certificate) -> Millis:
    """Return the instant until which a certificate is valid."""
    return int(certificate.not_valid_after_utc.timestamp() * 1_000)


def ends_of_own(settings: BrokerSettings) -> Iterator[tuple[CertificateOwner, Millis]]:
    """Yield when our own certificate ends, and the first of the authorities in the file. Skips an unreadable file."""
    files: dict[CertificateOwner, Path] = {"own": settings.certificate, "authority": settings.authority}
    for whose, path in files.items():
        try:
            found = [ends(each) for each in load(path)]
        except (UserError, ValueError):
            # the next connection reports it
            continue
        # behind our own may be those of the authorities that issued it
        yield whose, found[0] if whose == "own" else min(found)


def ends_of_der(data: bytes) -> Millis | None:
    """Return when a certificate in DER form ends, None if it cannot be read, although OpenSSL accepted it."""
    try:
        return ends(x509.load_der_x509_certificate(data))
    except Exception:  # noqa: BLE001 - cryptography raises a different error for each cause
        return None
