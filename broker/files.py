"""Reads the files of certificates and requests: bounded in bytes, PEM alone."""

from __future__ import annotations

import errno
import os
import re
import shlex
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from broker.errors import BrokerError
from protocol.phrases import phrase

PEM_MAX_BYTES = 65_536
"""Far more than the largest certificate, and a few dozen authorities."""
_REASONS = {errno.ENOENT: phrase("No such file or directory"), errno.EACCES: phrase("Permission denied")}
_DER = b"\x30"
_BEGIN = re.compile(rb"-----BEGIN ([^\r\n]*?)-----")
"""Wherever it stands: cryptography finds a block that does not begin a line as well."""
_CERTIFICATE = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")
_REQUEST = (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")


def read(path: Path) -> bytes:
    """Return the bytes of the regular file `path`. Raises BrokerError, naming the file, also if it is too large."""
    try:
        # O_NONBLOCK: opening a FIFO must not block
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - an open descriptor, not a path
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BrokerError(phrase("{path}: not a regular file; a file in PEM form was expected", path=path))
            data = file.read(PEM_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = str(error) if isinstance(error, ValueError) else _REASONS.get(error.errno or 0) or error.strerror
        raise BrokerError(phrase("{path}: cannot be read: {reason}", path=path, reason=reason)) from None
    if len(data) > PEM_MAX_BYTES:
        raise BrokerError(
            phrase("{path}: larger than {limit} bytes, so not a file in PEM form", path=path, limit=PEM_MAX_BYTES)
        )
    return data


def certificate_in(data: bytes, *, at: Path | str) -> x509.Certificate:
    """Return the one certificate in `data`. Raises BrokerError about the file `at`, also for two of them."""
    _not_der(data, "x509", at=at)
    _only(data, _CERTIFICATE, at=at)
    (found,) = certificates_in(data, at=at)
    return found


def certificates_in(data: bytes, *, at: Path | str) -> list[x509.Certificate]:
    """Return the certificates in `data`, at least one. Raises BrokerError about the file `at`."""
    _not_der(data, "x509", at=at)
    try:
        found = x509.load_pem_x509_certificates(data)
        for each in found:
            # a malformed extension or name is found only when it is read
            _ = (each.extensions, each.subject, each.issuer, each.not_valid_after_utc, each.public_key())
    except Exception:  # noqa: BLE001 - cryptography raises a different error for each cause
        raise BrokerError(phrase("{path}: not a certificate in PEM form, or cut off", path=at)) from None
    return found


def request_in(data: bytes, *, at: Path | str) -> x509.CertificateSigningRequest:
    """Return the one certificate request in `data`. Raises BrokerError about the file `at`."""
    _not_der(data, "req", at=at)
    _only(data, _REQUEST, at=at)
    try:
        request = x509.load_pem_x509_csr(data)
        _ = (request.extensions, request.subject, request.attributes, request.public_key())
    except Exception:  # noqa: BLE001 - cryptography raises a different error for each cause
        raise BrokerError(phrase("{path}: not a certificate request in PEM form, or cut off", path=at)) from None
    return request


def _not_der(data: bytes, kind: str, *, at: Path | str) -> None:
    if data.startswith(_DER):
        command = shlex.join(["openssl", kind, "-inform", "DER", "-in", str(at), "-out", f"{at}.pem"])
        raise BrokerError(phrase("{path}: in DER form; convert it: {command}", path=at, command=command))


def _only(data: bytes, kinds: tuple[bytes, ...], *, at: Path | str) -> None:
    """Raise BrokerError unless `data` is one PEM block of these kinds; a file with a private key is never taken."""
    labels = _BEGIN.findall(data)
    if any(label.endswith(b"PRIVATE KEY") for label in labels):
        raise BrokerError(phrase("{path}: has a private key in it, which must never be handed over", path=at))
    wanted = phrase("certificate request") if kinds is _REQUEST else phrase("certificate")
    if not labels or any(label not in kinds for label in labels):
        raise BrokerError(phrase("{path}: not a {what} in PEM form", path=at, what=wanted))
    if len(labels) > 1:
        raise BrokerError(
            phrase("{path}: {count} PEM blocks; one {what} was expected", path=at, count=len(labels), what=wanted)
        )


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates in PEM form, one after the other."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
