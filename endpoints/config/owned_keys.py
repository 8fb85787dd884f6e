"""The public keys of a link file by their owner, a party or the watch, and link files with changed keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from endpoints.config import link_file
from endpoints.config.link_file import LinkFile, WatchEntry
from endpoints.config.settings import ProcessSettings, WatchSettings
from endpoints.config.settings_tables import WATCH_IDENTITY
from endpoints.errors import UserError
from protocol.core.link_keys import named
from protocol.phrases import phrase
from protocol.wire.keyring import KEYS_MAX
from protocol.wire.policy import EnrolledKey

WATCH = WATCH_IDENTITY
"""Stands for the watch among the owners of keys: no party has this name."""

Owned = tuple[str, EnrolledKey]
"""A key with its owner."""


def owner_of(settings: ProcessSettings) -> str:
    """Return under which owner the keys of a process are enrolled."""
    return WATCH if isinstance(settings, WatchSettings) else settings.side


def keys_of(content: LinkFile) -> dict[str, tuple[EnrolledKey, ...]]:
    """Return the keys of a link file by owner: the caller's, the answering side's, the watch's."""
    terms = content.terms
    return {**{party: content.keys[party] for party in (terms.caller, terms.answering)}, WATCH: content.watch_keys}


def owned(parties: Mapping[str, Sequence[EnrolledKey]], watch: Sequence[EnrolledKey]) -> set[Owned]:
    """Return each key of the parties and of the watch with its owner."""
    return {(party, key) for party, keys in parties.items() for key in keys} | {(WATCH, key) for key in watch}


def require_places(content: LinkFile, owner: str, count: int) -> None:
    """Raise UserError unless `owner` may have `count` more keys (SPEC F5.2)."""
    keys = keys_of(content)[owner]
    if len(keys) + count > KEYS_MAX:
        raise UserError(
            phrase(
                "link {link}: {owner} has {count} keys, and {limit} are the most; retire one first: {command}",
                link=content.terms.link,
                owner=owner,
                count=len(keys),
                limit=KEYS_MAX,
                command="deconflict key retire",
            )
        )


def with_keys(content: LinkFile, owner: str, keys: Sequence[EnrolledKey]) -> LinkFile:
    """Return `content` with `keys` as all keys of `owner`. Raises UserError if they may not be enrolled so."""
    if owner == WATCH:
        changed = structs.replace(content, watch=WatchEntry(keys=tuple(keys)) if keys else None)
    else:
        party = structs.replace(content.parties[owner], keys=tuple(keys))
        changed = structs.replace(content, parties={**content.parties, owner: party})
    link_file.check(changed)
    return changed


def shown(key: EnrolledKey) -> tuple[str, str]:
    """Return a key's id as one harmless word, and its digits: the first 16 of the SHA-256 of the public key."""
    word, _, digits = named({"": (key,)}, {})[0].removeprefix("/").partition(" ")
    return word, digits.strip("()")
