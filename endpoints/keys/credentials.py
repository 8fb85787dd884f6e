"""Credentials of officers: generates, hashes and verifies them (SPEC P1.1). Settings hold only the scrypt hash."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
import unicodedata
from pathlib import Path

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from endpoints.errors import UserError
from endpoints.keys.private_files import read_bytes, require_private
from protocol.phrases import phrase

CREDENTIAL_MAX_BYTES = 1_024
CREDENTIAL_MIN_LENGTH = 15
"""Characters of a credential (NIST SP 800-63B-4, 3.1.1.2: a password that is the only factor)."""

_COST, _BLOCK, _PARALLEL = 2**14, 8, 1
"""scrypt with 16 MiB, about 50 ms (RFC 7914; OWASP's minimum for interactive use)."""
_SALT_BYTES, _HASH_BYTES = 16, 32
_HASHED = re.compile(
    r"scrypt\$n=(\d{1,8}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{22}==)\$([A-Za-z0-9+/]{43}=)", re.ASCII
)
_MEMORY_MAX = 128 * 1024 * 1024


def generate() -> str:
    """Return a new random credential: about 124 bits, in groups that are easy to type."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(5))


def normalised(credential: str) -> str:
    """Return a credential in the form that is hashed, NFKC: keyboards write the same character in several ways."""
    return unicodedata.normalize("NFKC", credential)


def length(credential: str) -> int:
    """Return how many characters a credential has; one with its accents is one, and so is a ligature."""
    return len(unicodedata.normalize("NFC", credential))


def hash_credential(credential: str) -> str:
    """Return the scrypt hash of a credential, for the settings. Raises ValueError if it is too short or too long."""
    short = length(credential) < CREDENTIAL_MIN_LENGTH
    credential = normalised(credential)
    if short or len(credential.encode()) > CREDENTIAL_MAX_BYTES:
        raise ValueError(
            phrase(
                "a credential has from {at_least} characters to {at_most} bytes",
                at_least=CREDENTIAL_MIN_LENGTH,
                at_most=CREDENTIAL_MAX_BYTES,
            )
        )
    salt = secrets.token_bytes(_SALT_BYTES)
    return _written(salt, _derive(credential, salt, _COST, _BLOCK, _PARALLEL))


def decoy() -> str:
    """Return a hash that no credential is known to match; to compare with it takes as long as with any other."""
    return _written(secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_HASH_BYTES))


def check_hash(hashed: str) -> None:
    """Raise ValueError unless `hashed` has the form that `hash_credential` returns."""
    _parse(hashed)


def verify(credential: str, hashed: str) -> bool:
    """Return whether `credential` matches `hashed`; compares in constant time, and takes about 50 ms."""
    cost, block, parallel, salt, expected = _parse(hashed)
    if len(credential.encode("utf-8", "surrogatepass")) > CREDENTIAL_MAX_BYTES:
        return False
    return hmac.compare_digest(_derive(normalised(credential), salt, cost, block, parallel), expected)


def read_credential(path: Path) -> str:
    """Return the credential in the private file `path`. Raises UserError."""
    data = read_bytes(path, what=phrase("credential file"), max_bytes=CREDENTIAL_MAX_BYTES)
    require_private(path, what=phrase("credential file"))
    try:
        credential = data.decode("utf-8").strip("\r\n")
    except UnicodeDecodeError:
        raise UserError(phrase("{path}: not UTF-8 text; a credential file holds one line", path=path)) from None
    if not credential or "\n" in credential or "\0" in credential:
        raise UserError(phrase("{path}: not a credential file, which holds one line: the credential", path=path))
    return credential


def _derive(credential: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return Scrypt(salt=salt, length=_HASH_BYTES, n=cost, r=block, p=parallel).derive(
        credential.encode("utf-8", "surrogatepass")
    )


def _written(salt: bytes, derived: bytes) -> str:
    parts = base64.b64encode(salt).decode(), base64.b64encode(derived).decode()
    return f"scrypt$n={_COST},r={_BLOCK},p={_PARALLEL}${parts[0]}${parts[1]}"


def _parse(hashed: str) -> tuple[int, int, int, bytes, bytes]:
    match = _HASHED.fullmatch(hashed)
    if match is None:
        raise ValueError(
            phrase("not a hashed credential (scrypt$n=...); make one with: deconflict officer reset CONFIG ID")
        )
    cost, block, parallel = int(match[1]), int(match[2]), int(match[3])
    if cost < 2**10 or cost & (cost - 1) or not block or not parallel or 128 * cost * block > _MEMORY_MAX:
        raise ValueError(
            phrase(
                "a hashed credential with scrypt parameters out of range; make another with: "
                "deconflict officer reset CONFIG ID"
            )
        )
    try:
        return (
            cost,
            block,
            parallel,
            base64.b64decode(match[4], validate=True),
            base64.b64decode(match[5], validate=True),
        )
    except binascii.Error:
        raise ValueError(
            phrase(
                "not a hashed credential: its base64 is damaged; make another with: deconflict officer reset CONFIG ID"
            )
        ) from None
