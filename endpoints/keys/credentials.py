"""Officers' credentials: generates, hashes and verifies them (SPEC P1.1). Settings hold only the scrypt hash."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from endpoints.errors import UserError
from endpoints.keys.attempt_throttle import Abandoned, AttemptThrottle, Caller
from endpoints.keys.private_files import read_bytes, require_private
from endpoints.keys.proven_credentials import ProvenCredentials
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.wire.instants import Millis

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
_FORGET_EVERY_S = 60.0
"""How often what nobody uses any more is looked for, so that it leaves the memory also while nobody acts."""

Verify = Callable[[str, str], bool]
"""Returns whether a credential matches a hash."""


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
    derived = _derive(credential, salt, _COST, _BLOCK, _PARALLEL)
    parts = base64.b64encode(salt).decode(), base64.b64encode(derived).decode()
    return f"scrypt$n={_COST},r={_BLOCK},p={_PARALLEL}${parts[0]}${parts[1]}"


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


class WrongCredential(LocalProtocolError):  # noqa: N818 - names what was tried
    """The credential is not the officer's, or there is no such officer: which of the two is not said.

    Attributes:
        source: under which the failure is counted; see `endpoints.keys.attempt_throttle`.
    """

    def __init__(self, officer: str, source: str) -> None:
        super().__init__(
            "not_authorised",
            phrase(
                "officer {officer} with this credential is not enrolled here; check both; a new credential is given "
                "with: deconflict officer reset CONFIG ID",
                officer=repr(officer[:40]),
            ),
        )
        self.source = source


class OfficerCredentials:
    """Authenticates the officers of one process."""

    def __init__(self, hashed: Mapping[str, str], real_ms: Callable[[], Millis], verify: Verify = verify) -> None:
        """Accept the officers in `hashed`, id to hashed credential.

        `real_ms` reads the machine's monotonic clock. `verify` is the slow check, which runs in a thread.
        """
        self._hashed = dict(hashed)
        self._decoy = hash_credential(generate())
        self._real_ms = real_ms
        self._verify = verify
        self._throttle = AttemptThrottle(real_ms)
        self._proven = ProvenCredentials(real_ms)
        self._forgetting: asyncio.TimerHandle | None = None

    def exchange(self, hashed: Mapping[str, str]) -> None:
        """Accept the officers in `hashed` from now on, and nobody else, also for the attempts that wait already.

        Every credential has to be proven anew. Wrong credentials that were tried before another roster slow down
        nobody any more: an officer with a new credential has tried the old one.
        """
        self._proven.forget_all()
        if hashed != self._hashed:
            self._hashed = dict(hashed)
            self._throttle = AttemptThrottle(self._real_ms)

    @property
    def enrolled(self) -> bool:
        """Whether there is any officer."""
        return bool(self._hashed)

    async def authenticate(self, officer: str, credential: str, caller: Caller, abandoned: Abandoned) -> None:
        """Return if `credential` is the officer's.

        An unknown officer takes as long as a wrong credential. `caller` may have to wait before the check, until
        `abandoned`. A credential that was proven recently skips only the slow check: it takes its turn like any other,
        so guesses are compared with it no faster than they are checked.

        Raises WrongCredential, and LocalProtocolError as `AttemptThrottle.turn`.
        """
        async with self._throttle.turn(caller, abandoned) as attempt:
            hashed = self._hashed.get(officer)
            against = hashed or self._decoy
            proven = self._proven.holds(officer, against, credential)
            right = (proven or await asyncio.to_thread(self._verify, credential, against)) and hashed is not None
            # the officer may have been removed, or got another credential, during the check
            right = right and self._hashed.get(officer) == hashed
            if not right:
                attempt.failed()
            elif not proven:
                self._remember(officer, against, credential)
        if not right:
            raise WrongCredential(officer, attempt.source)

    def _remember(self, officer: str, hashed: str, credential: str) -> None:
        self._proven.keep(officer, hashed, credential)
        if self._forgetting is None:
            self._forget_later()

    def _forget_later(self) -> None:
        self._forgetting = asyncio.get_running_loop().call_later(_FORGET_EVERY_S, self._forget)

    def _forget(self) -> None:
        self._forgetting = None
        self._proven.forget_unused()
        if self._proven:
            self._forget_later()


def _derive(credential: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return Scrypt(salt=salt, length=_HASH_BYTES, n=cost, r=block, p=parallel).derive(
        credential.encode("utf-8", "surrogatepass")
    )


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
