"""Issues certificates for one broker and its clients: an authority, made once, signs one for each identity.

A certificate's common name is the identity, which Mosquitto uses as MQTT user and client id (SPEC Q3.1). A client's
certificate has the identity as DNS name, too: other brokers tie the client id to it. The authority's private key never
leaves its folder. Its holder can connect to the broker under any identity, but cannot sign for any: frames are signed
with other keys (SPEC F1). An authority of one side is restricted to its identity: see `broker.constraints`.

Keys are ECDSA P-256, which every OpenSSL with TLS 1.3 accepts, even if the system's policy forbids Ed25519 in X.509.
"""

from __future__ import annotations

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
from cryptography.x509.oid import ExtendedKeyUsageOID

from broker import atomic_files, constraints, files
from broker.errors import BrokerError
from broker.identities import check_identity, general_name
from broker.names import BROKER, Purpose
from broker.pairs import PublicKey
from broker.requests import PURPOSES, CertificateRequest, key_fingerprint
from protocol.phrases import phrase

SERVER_NAMES = ("localhost", "127.0.0.1", "::1", "broker")
"""The broker's host names if none are chosen: this machine, and the service `broker` of the compose stack."""

LEAF_DAYS = 825
"""Validity of a certificate: the longest that common TLS implementations accept."""
AUTHORITY_DAYS = 3_650
"""Validity of an authority: ten years, longer than every certificate that it signs now."""

_BACKDATED = timedelta(days=1)
"""The sites' clocks may differ, and a certificate must be valid at once on both."""
_DAY = timedelta(days=1)
_NAMED_BY = 8
"""How many hexadecimal digits of its key's fingerprint tell an authority from the next one."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority, from `make` or `load`.

    Attributes:
        certificate: its self-signed certificate.
        key: its private key.
        path: the file of the certificate, for errors.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    path: Path = Path("ca.crt")

    @classmethod
    def make(cls, folder: Path, at: int, identity: str | None = None) -> Authority:
        """Make an authority in the new, private folder `folder`: `ca.crt` and `ca.key`.

        Args:
            folder: created with mode 0700; its parent must exist.
            at: now (ms since 1970); the certificate is valid from a day before.
            identity: the one that it may issue certificates for, as the authority of a side; any if None.

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
        return cls.make_in(folder, at, identity)

    @classmethod
    def make_in(cls, folder: Path, at: int, identity: str | None = None) -> Authority:
        """Make an authority in the folder `folder`, which is there, private and empty; otherwise as `make`."""
        key = ec.generate_private_key(ec.SECP256R1())
        # unlike that of any other: a broker looks for the authority of a certificate by name
        holder = "broker" if identity is None else check_identity(identity)
        name = constraints.common_name(f"{holder} authority {key_fingerprint(key.public_key())[:_NAMED_BY]}")
        builder = (
            _builder(name, name, key.public_key(), at, _now(at) - _BACKDATED + timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
        )
        if identity is not None:
            builder = builder.add_extension(constraints.for_identity(identity), critical=True).add_extension(
                # a client that trusted it by mistake would still accept no server of it
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
        certificate = builder.sign(key, hashes.SHA256())
        atomic_files.replace(folder / "ca.key", private_pem(key), atomic_files.PRIVATE_MODE)
        atomic_files.replace(folder / "ca.crt", files.pem(certificate), atomic_files.PUBLIC_MODE)
        return cls(certificate, key)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """Return the authority in `folder`. Raises BrokerError, naming the file, if one is missing or malformed."""
        path = folder / "ca.crt"
        try:
            certificate = files.certificate_in(files.read(path), at=path)
            path = folder / "ca.key"
            key = load_pem_private_key(files.read(path), password=None)
        except BrokerError as error:
            raise BrokerError(phrase("{error}; the folder of an authority was expected here", error=error)) from None
        except (ValueError, TypeError):
            raise BrokerError(phrase("{path}: not an unencrypted PEM file of an authority", path=path)) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise BrokerError(phrase("{path}: not the private key of ca.crt in the same folder", path=path))
        return cls(certificate, key, folder / "ca.crt")

    @property
    def identity(self) -> str | None:
        """The identity that this authority is restricted to; None if it may issue certificates for any."""
        return constraints.permitted(self.certificate)

    def last_day(self, at: int) -> int:
        """Return how many whole days from `at` (ms since 1970) a certificate of this authority can last."""
        return (self.certificate.not_valid_after_utc - _now(at)) // _DAY

    def sign(self, request: CertificateRequest, at: int, days: int = LEAF_DAYS - 1) -> x509.Certificate:
        """Return the certificate that was asked for, which ends `days` after `at`, or with the authority if earlier.

        It has the identity, purpose and names of the request, and nothing else of it.

        Raises BrokerError if the authority is not valid at `at` (ms since 1970), or restricted to another identity.
        """
        constraints.check_dates(self.certificate, at=self.path, now=at)
        return self._signed(request, at, _now(at) + timedelta(days=days))

    def _signed(self, request: CertificateRequest, at: int, ends: datetime) -> x509.Certificate:
        constraints.check_end(self.certificate, at=self.path, now=at)
        if self.identity not in {None, request.identity}:
            raise BrokerError(
                phrase(
                    "{path}: this authority issues certificates for {found} alone, not for {identity}",
                    path=self.path,
                    found=self.identity,
                    identity=request.identity,
                )
            )
        ends = min(ends, self.certificate.not_valid_after_utc)
        return (
            _builder(constraints.common_name(request.identity), self.certificate.subject, request.key, at, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([PURPOSES[request.purpose]]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName([general_name(name) for name in request.names]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def issue_client(self, identity: str, folder: Path, at: int) -> None:
        """Write `ca.crt`, `client.crt`, `client.key` for one endpoint or watch into the existing folder `folder`.

        Replaces an older certificate and its key. An authority of one side is no authority for the broker, so it
        writes no `ca.crt`. `at` is now (ms since 1970). Raises BrokerError if `identity` is not valid.
        """
        self._issue(check_identity(identity), folder, "client", at, (identity,))

    def issue_server(self, folder: Path, at: int, names: Sequence[str] = SERVER_NAMES) -> None:
        """Write `ca.crt`, `server.crt`, `server.key` for the broker, valid for host names and addresses `names`."""
        self._issue(BROKER, folder, "server", at, tuple(names))

    def _issue(self, identity: str, folder: Path, purpose: Purpose, at: int, names: tuple[str, ...]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        asked = CertificateRequest(identity, purpose, names, key.public_key())
        certificate = self._signed(asked, at, _now(at) - _BACKDATED + timedelta(days=LEAF_DAYS))
        atomic_files.replace(folder / f"{purpose}.key", private_pem(key), atomic_files.PRIVATE_MODE)
        atomic_files.replace(folder / f"{purpose}.crt", files.pem(certificate), atomic_files.PUBLIC_MODE)
        if self.identity is None:
            atomic_files.replace(folder / "ca.crt", files.pem(self.certificate), atomic_files.PUBLIC_MODE)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key in PEM form, unencrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _now(at: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at // 1000)


def _builder(subject: x509.Name, issuer: x509.Name, key: PublicKey, at: int, ends: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now(at) - _BACKDATED)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
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
