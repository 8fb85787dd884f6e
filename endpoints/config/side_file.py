"""Reads and writes a side file: one side's public part of the link file, which it hands to the other side.

```toml
side = "eucom"
site = "Wiesbaden"
zone = "Europe/Berlin"
name = { en = "US European Command" }
keys = [{ id = "ed25519-f343b31b", algorithm = "ed25519", public = "..." }]
```

The entry of the watch is the table `[watch]` of the link file, alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from msgspec import Struct

from broker.names import BROKER, HEALTH
from endpoints.config import link_file, toml_reader
from endpoints.config.link_file import Party, WatchEntry
from endpoints.config.settings_tables import WATCH_IDENTITY
from endpoints.errors import UserError
from protocol.errors import EnrolmentError
from protocol.phrases import phrase
from protocol.wire.keyring import Keyring
from protocol.wire.messages import Identifier
from protocol.wire.policy import EnrolledKey

_HEADER = "# One side's part of a link file. Public: hand it to the other side.\n\n"


_WATCH_HEADER = "# The entry of the watch in a link file. Public: hand it to the one who makes the link file.\n\n"

RESERVED = (WATCH_IDENTITY, BROKER, "authority", HEALTH)
"""Names that no side has: identities at the broker, and folders beside the sides'."""


class _Named(Party, frozen=True, kw_only=True, forbid_unknown_fields=True):
    side: Identifier


class _Alone(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    watch: WatchEntry


def load(path: Path) -> tuple[str, Party]:
    """Return the id and the party in the side file `path`.

    Raises UserError, which names the file, for a reserved id and for keys that may not be enrolled (SPEC F5.1, F5.2).
    """
    raw = toml_reader.convert(toml_reader.read(path, what=toml_reader.SIDE_FILE), _Named, path=path)
    try:
        link_file.zone(raw.zone, at="zone")
    except UserError as error:
        raise UserError(phrase("{path}: {error}", path=path, error=error)) from None
    if not raw.keys:
        raise UserError(
            phrase("{path}: keys: none, so this side could not sign; make keys with: deconflict enrol", path=path)
        )
    if raw.side in RESERVED:
        raise UserError(phrase("{path}: side: {side} is reserved; a side has another id", path=path, side=raw.side))
    _check_keys(raw.side, raw.keys, path)
    return raw.side, Party(name=raw.name, site=raw.site, zone=raw.zone, keys=raw.keys)


def dump(side: str, party: Party) -> bytes:
    """Return the side file of `party`, whose id is `side`."""
    table: dict[str, Any] = {"side": side, **msgspec.to_builtins(party)}
    return (_HEADER + tomli_w.dumps(table)).encode()


def load_watch(path: Path) -> WatchEntry:
    """Return the entry of the watch in the file `path`. Raises UserError as `load` does."""
    entry = toml_reader.convert(toml_reader.read(path, what=toml_reader.WATCH_ENTRY), _Alone, path=path).watch
    _check_keys(WATCH_IDENTITY, entry.keys, path)
    return entry


def _check_keys(owner: str, keys: Sequence[EnrolledKey], path: Path) -> None:
    try:
        # which suite does not matter: none of its algorithms is required here
        Keyring({owner: keys}, "ed25519", complete=False)
    except EnrolmentError as error:
        raise UserError(phrase("{path}: {error}", path=path, error=error)) from None


def dump_watch(entry: WatchEntry) -> bytes:
    """Return the file of the watch's entry, which may also be appended to a link file."""
    return (_WATCH_HEADER + tomli_w.dumps({"watch": msgspec.to_builtins(entry)})).encode()
