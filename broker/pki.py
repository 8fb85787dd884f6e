"""Issues keys and certificates for one broker: its own authority, and one certificate per identity.

A certificate's common name is the identity, which Mosquitto uses as MQTT user and client id (SPEC Q3.1). The
authority's private key never leaves its folder. Its holder can connect to the broker under any identity, but cannot
sign for any: frames are signed with other keys (SPEC F1).

Keys are ECDSA P-256, which every OpenSSL with TLS 1.3 accepts, even if the system's policy forbids Ed25519 in X.509.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.errors import BrokerError
from protocol.phrases import phrase

IDENTITY = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
"""An identity is a common name, an MQTT user and a topic level: no character is special in an ACL file or topic."""

SERVER_NAMES = ("localhost", "127.0.0.1", "::1", "broker")
"""The broker's host names: this machine, and the service `broker` of the compose stack."""

LEAF_DAYS = 825
"""Validity of a certificate: the longest that common TLS implementations accept."""
AUTHORITY_DAYS = 3_650
"""Validity of an authority: ten years, longer than every certificate that it signs now."""

_BACKDATED = timedelta(days=1)
"""The sites' clocks may differ, and a certificate must be valid at once on both."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority for one broker and its clients, from `make` or `load`."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, folder: Path, at: int) -> Authority:
        """Make an authority in the new, private folder `folder`: `ca.crt` and `ca.key`.

        Args:
            folder: created with mode 0700; its parent must exist.
            at: now (ms since 1970); the certificate is valid from a day before.

        Raises BrokerError if the folder exists: an authority is made once.
        """
        try:
            folder.mkdir(mode=0o700)
            # the umask may have cleared bits of the mode
            folder.chmod(0o700)
        except FileExistsError:
            raise BrokerError(
                phrase("{folder}: already exists; use its authority, or name a new folder", folder=folder)
            ) from None
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "deconfliction broker authority")])
        certificate = (
            _builder(name, name, key, at, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write_key(folder / "ca.key", key)
        _write_certificate(folder / "ca.crt", certificate)
        return cls(certificate, key)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """Return the authority in `folder`. Raises BrokerError, naming the file, if one is missing or malformed."""
        try:
            path = folder / "ca.crt"
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            path = folder / "ca.key"
            key = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise BrokerError(
                phrase(
                    "{path}: cannot be read: {reason}; the broker's authority was expected here",
                    path=path,
                    reason=error.strerror,
                )
            ) from None
        except (ValueError, TypeError):
            raise BrokerError(phrase("{path}: not an unencrypted PEM file of an authority", path=path)) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise BrokerError(phrase("{path}: not the private key of ca.crt in the same folder", path=path))
        return cls(certificate, key)

    def issue_client(self, identity: str, folder: Path, at: int) -> None:
        """Write `ca.crt`, `client.crt`, `client.key` for one endpoint or watch into the existing folder `folder`.

        Replaces an older certificate and its key. `at` is now (ms since 1970). Raises BrokerError if `identity` is not
        valid.
        """
        self._issue(identity, folder, "client", at, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def issue_server(self, folder: Path, at: int, names: Sequence[str] = SERVER_NAMES) -> None:
        """Write `ca.crt`, `server.crt`, `server.key` for the broker, valid for host names and addresses `names`."""
        self._issue("broker", folder, "server", at, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def _issue(
        self,
        identity: str,
        folder: Path,
        stem: str,
        at: int,
        purpose: x509.ObjectIdentifier,
        names: Sequence[str],
    ) -> None:
        if not IDENTITY.fullmatch(identity):
            raise BrokerError(
                phrase(
                    "{identity}: not an identity, which has 1 to 32 lower-case letters, digits and hyphens",
                    identity=repr(identity[:80]),
                )
            )
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity)])
        builder = (
            _builder(subject, self.certificate.subject, key, at, LEAF_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
        certificate = builder.sign(self.key, hashes.SHA256())
        _write_key(folder / f"{stem}.key", key)
        _write_certificate(folder / f"{stem}.crt", certificate)
        _write_certificate(folder / "ca.crt", self.certificate)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, at: int, days: int
) -> x509.CertificateBuilder:
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at // 1000)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now - _BACKDATED + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    # a new file, private from the start, that replaces an older one atomically
    fresh = path.with_suffix(".key.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    fresh.replace(path)


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    # whatever the umask: a certificate that others may write is not accepted
    fresh = path.with_suffix(".crt.new")
    fresh.write_bytes(certificate.public_bytes(Encoding.PEM))
    fresh.chmod(0o644)
    fresh.replace(path)
