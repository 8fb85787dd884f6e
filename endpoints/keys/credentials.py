"""Officers prove themselves, each with a credential of his own (SPEC P1.1). Settings hold only its scrypt hash."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from endpoints.errors import UserError
from endpoints.keys.private_files import read_bytes, require_private
from protocol.errors import LocalProtocolError

CREDENTIAL_MAX_BYTES = 1_024
CREDENTIAL_MIN_LENGTH = 8
WRONG_CREDENTIAL_DELAY_S = 1.0
"""What a wrong credential costs. There is no lockout: a prankster at the socket must not keep an officer out."""

_COST, _BLOCK, _PARALLEL = 2**14, 8, 1
"""scrypt at 16 MiB: about 50 ms (RFC 7914, OWASP's floor for interactive use)."""
_SALT_BYTES, _HASH_BYTES = 16, 32
_HASHED = re.compile(
    r"scrypt\$n=(\d{1,8}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{22}==)\$([A-Za-z0-9+/]{43}=)", re.ASCII
)
_MEMORY_MAX = 128 * 1024 * 1024


def generate() -> str:
    """Return a fresh credential: 130 bits, in groups that can be typed."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(5))


def hash_credential(credential: str) -> str:
    """Return what the settings hold of a credential. Raises ValueError if it is too short or too long."""
    if len(credential) < CREDENTIAL_MIN_LENGTH or len(credential.encode()) > CREDENTIAL_MAX_BYTES:
        raise ValueError(f"a credential has from {CREDENTIAL_MIN_LENGTH} characters to {CREDENTIAL_MAX_BYTES} bytes")
    salt = secrets.token_bytes(_SALT_BYTES)
    derived = _derive(credential, salt, _COST, _BLOCK, _PARALLEL)
    parts = base64.b64encode(salt).decode(), base64.b64encode(derived).decode()
    return f"scrypt$n={_COST},r={_BLOCK},p={_PARALLEL}${parts[0]}${parts[1]}"


def check_hash(hashed: str) -> None:
    """Raise ValueError if `hashed` is not what `hash_credential` returns."""
    _parse(hashed)


def verify(credential: str, hashed: str) -> bool:
    """Return whether `credential` is the one that was hashed, in constant time. Takes about 50 ms."""
    cost, block, parallel, salt, expected = _parse(hashed)
    if len(credential.encode("utf-8", "surrogatepass")) > CREDENTIAL_MAX_BYTES:
        return False
    return hmac.compare_digest(_derive(credential, salt, cost, block, parallel), expected)


def read_credential(path: Path) -> str:
    """Return the credential in the file `path`, its first line. Raises UserError."""
    require_private(path, what="credential file")
    data = read_bytes(path, what="credential file", max_bytes=CREDENTIAL_MAX_BYTES)
    try:
        credential = data.decode("utf-8").strip("\r\n")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not text in UTF-8; a credential file holds one line") from None
    if not credential or "\n" in credential or "\0" in credential:
        raise UserError(f"{path}: a credential file holds one line: the credential")
    return credential


class OfficerCredentials:
    """Those who may act for one endpoint: officer's id to hashed credential. Used by the service."""

    def __init__(self, hashed: Mapping[str, str]) -> None:
        self._hashed = dict(hashed)
        self._decoy = hash_credential(generate())
        # scrypt is dear on purpose: one at a time leaves the other core to the line
        self._one = asyncio.Semaphore(1)

    async def authenticate(self, officer: str, credential: str) -> None:
        """Return if `officer` proved himself. Raises LocalProtocolError `not_authorised` after a second's delay.

        An unknown officer takes as long as a wrong credential. The delay holds up nobody else.
        """
        hashed = self._hashed.get(officer, self._decoy)
        async with self._one:
            right = await asyncio.to_thread(verify, credential, hashed)
        if not right or officer not in self._hashed:
            await asyncio.sleep(WRONG_CREDENTIAL_DELAY_S)
            raise LocalProtocolError(
                "not_authorised",
                f"{officer[:40]!r} with this credential is not an officer of this endpoint; "
                f"officers: {', '.join(self._hashed) or 'none'}",
            )


def _derive(credential: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return Scrypt(salt=salt, length=_HASH_BYTES, n=cost, r=block, p=parallel).derive(
        credential.encode("utf-8", "surrogatepass")
    )


def _parse(hashed: str) -> tuple[int, int, int, bytes, bytes]:
    match = _HASHED.fullmatch(hashed)
    if match is None:
        raise ValueError(
            "not a hashed credential (scrypt$n=...); make one with: deconflict enrol DIR --side ID --officer ID"
        )
    cost, block, parallel = int(match[1]), int(match[2]), int(match[3])
    if cost < 2**10 or cost & (cost - 1) or not block or not parallel or 128 * cost * block > _MEMORY_MAX:
        raise ValueError("a hashed credential with unreasonable scrypt parameters")
    try:
        return (
            cost,
            block,
            parallel,
            base64.b64decode(match[4], validate=True),
            base64.b64decode(match[5], validate=True),
        )
    except binascii.Error:
        raise ValueError("not a hashed credential: its base64 is damaged") from None
