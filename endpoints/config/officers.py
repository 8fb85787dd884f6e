"""The entries of officers in the settings of an endpoint or of the watch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from endpoints.errors import UserError
from endpoints.keys import credentials
from protocol.phrases import phrase, worded


class Officer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An officer who may act here."""

    # for people, such as a rank or a post
    name: Annotated[str, Meta(max_length=80)] = ""
    # the hash of their credential, as `deconflict officer add` writes it
    credential: str

    @property
    def digest(self) -> str:
        """SHA-256 of the entry in hexadecimal, for the journal.

        It does not help to guess the credential: the entry holds the credential's hash and its random salt, which only
        the settings contain.
        """
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


def check(officers: Mapping[str, Officer], path: Path) -> None:
    """Raise UserError, naming the file `path` and the key, for an entry whose credential is not a hash."""
    for name, officer in officers.items():
        try:
            credentials.check_hash(officer.credential)
        except ValueError as error:
            why = worded(error)
            raise UserError(
                phrase("{path}: officers.{name}.credential: {why}", path=path, name=name, why=why)
            ) from None
