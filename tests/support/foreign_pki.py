"""Makes certificates, requests and authorities as somebody else could: with other names, keys, purposes and dates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID

from broker import constraints
from broker.pki import Authority
from tests.support.broker_site import now

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey


def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(*common_names: str) -> x509.Name:
    """Return a subject with these common names, one after the other."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in common_names])


def dns(*names: str) -> list[x509.GeneralName]:
    return [x509.DNSName(each) for each in names]


def certificate(
    issuer: Authority,
    subject: x509.Name,
    public: object,
    *,
    names: Sequence[x509.GeneralName] | None = None,
    purposes: Sequence[x509.ObjectIdentifier] = (CLIENT,),
    begins: datetime | None = None,
    ends: datetime | None = None,
    authority: bool = False,
) -> x509.Certificate:
    """Return a certificate that the holder of `issuer` can make with any tool."""
    today = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(public)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or today - timedelta(days=1))
        .not_valid_after(ends or today + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def restricted_authority(identity: str, subject: x509.Name) -> x509.Certificate:
    """Return the authority of a side, restricted to `identity`, under any name."""
    private = key()
    today = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now())
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(constraints.for_identity(identity), critical=True)
        .sign(private, hashes.SHA256())
    )


def request(
    private: Key,
    subject: x509.Name,
    *,
    names: Sequence[x509.GeneralName] | None = None,
    purposes: Sequence[x509.ObjectIdentifier] = (),
    authority: bool = False,
    attribute: bytes | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """Return a certificate request (PEM) as openssl could make it."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if authority:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if attribute is not None:
        builder = builder.add_attribute(AttributeOID.UNSTRUCTURED_NAME, attribute)
    hashed = None if isinstance(private, ed25519.Ed25519PrivateKey) else digest or hashes.SHA256()
    return builder.sign(private, hashed).public_bytes(Encoding.PEM)  # type: ignore[arg-type]


def write_pair(folder: Path, made: x509.Certificate, private: Key, stem: str = "client") -> None:
    (folder / f"{stem}.crt").write_bytes(made.public_bytes(Encoding.PEM))
    path = folder / f"{stem}.key"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
