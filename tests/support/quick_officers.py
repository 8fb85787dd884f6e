"""Reduces the cost of checking officers' credentials to the cheapest scrypt that the settings admit.

Checking a credential takes 50 ms of processor time on purpose. Tests of the link under load do not need that.
"""

import base64
import re
from pathlib import Path

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from endpoints.keys.credentials import read_credential

_COST = 2**10
_OFFICER = re.compile(r'(\[officers\.([a-z0-9-]+)\][^\[]*?credential = ")[^"]*(")')


def quicken(configuration: Path) -> None:
    """Rewrite the hashes in an `endpoint.toml`; the credentials themselves do not change."""
    officers = configuration.parent / "keys" / "officers"

    def quick(match: re.Match[str]) -> str:
        credential = read_credential(officers / f"{match[2]}.credential")
        return f"{match[1]}{_hash(credential)}{match[3]}"

    text, count = _OFFICER.subn(quick, configuration.read_text())
    assert count, f"{configuration}: no officers"
    configuration.write_text(text)


def _hash(credential: str) -> str:
    salt = bytes(16)
    derived = Scrypt(salt=salt, length=32, n=_COST, r=8, p=1).derive(credential.encode())
    return f"scrypt$n={_COST},r=8,p=1${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"
