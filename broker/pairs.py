"""Finds the private key of a certificate: the present one, or the one of an open request.

While a request is open, its private key lies beside the present one, as `client.key.next`. The certificate decides
which of the two is used, so one rename of the certificate installs the new pair; the key is renamed afterwards.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from broker import atomic_files, files
from broker.errors import BrokerError
from broker.names import next_of

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def spki(key: object) -> bytes:
    """Return a public key of any kind as DER (SubjectPublicKeyInfo)."""
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def public_of(path: Path) -> bytes | None:
    """Return the public key (DER) of the private key in the file `path`; None if it is missing or no such key."""
    try:
        return spki(load_pem_private_key(files.read(path), password=None).public_key())
    except Exception:  # noqa: BLE001 - cryptography raises a different error for each cause
        return None


def key_for(certificate: bytes, key: Path) -> Path | None:
    """Return the file of the private key that fits the first certificate in `certificate` (PEM).

    That is `key`, or the one of an open request beside it; None if neither fits or the certificate cannot be read.
    """
    try:
        wanted = spki(files.certificates_in(certificate, at="")[0].public_key())
    except BrokerError:
        return None
    return next((path for path in (key, next_of(key)) if public_of(path) == wanted), None)


def settle(certificate: Path, key: Path) -> None:
    """Finish an installation: if only the key of the request fits, it takes the place of `key`.

    The request of the certificate is deleted: it is no longer open. Raises OSError.
    """
    try:
        data = files.read(certificate)
    except BrokerError:
        return
    fitting = key_for(data, key)
    if fitting is None:
        return
    if fitting == next_of(key):
        fitting.replace(key)
        atomic_files.flush_folder(key.parent)
    if is_answered(certificate):
        certificate.with_suffix(".csr").unlink(missing_ok=True)


def is_answered(certificate: Path) -> bool:
    """Return whether the request beside `certificate` is the one that it was issued for, so no longer open."""
    request = certificate.with_suffix(".csr")
    try:
        wanted = spki(files.request_in(files.read(request), at=request).public_key())
        return spki(files.certificates_in(files.read(certificate), at=certificate)[0].public_key()) == wanted
    except BrokerError:
        return False
