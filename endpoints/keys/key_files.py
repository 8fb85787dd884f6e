"""Lists the private signing keys in a keys folder, and removes those that were retired.

A retired key keeps its private file until its retirement is accepted, with an empty `<key id>.retired` beside it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from broker.atomic_files import flush_folder
from endpoints.errors import UserError, os_reason
from endpoints.keys.private_files import write_private
from endpoints.keys.signer import enrolled_as, read_key
from protocol.phrases import phrase
from protocol.wire.messages import Identifier
from protocol.wire.policy import EnrolledKey

_PRIVATE = {".pem", ".raw"}
_RETIRED = ".retired"


def stored(folder: Path) -> dict[str, EnrolledKey]:
    """Return the public key of each private key in `folder`, by key id. Raises UserError, which names the file."""
    return {path.stem: enrolled_as(path.stem, read_key(path)) for path in _files(folder, _PRIVATE)}


def retired(folder: Path) -> tuple[str, ...]:
    """Return the ids of the keys in `folder` that are marked as retired. Raises UserError."""
    return tuple(path.stem for path in _files(folder, {_RETIRED}))


def mark_retired(folder: Path, key_id: str) -> None:
    """Mark a key as retired, once. Raises UserError."""
    path = folder / f"{key_id}{_RETIRED}"
    try:
        write_private(path, b"")
        flush_folder(folder)
    except FileExistsError:
        return
    except OSError as error:
        raise UserError(phrase("{path}: cannot be written: {reason}", path=path, reason=os_reason(error))) from None


def unmark_retired(folder: Path, key_id: str) -> None:
    """Take the mark of a retired key away. Raises UserError."""
    _unlink(folder, key_id, [_RETIRED])


def remove(folder: Path, key_id: str) -> None:
    """Remove the private file of a key, then its mark; neither need exist. Raises UserError."""
    _unlink(folder, key_id, [*sorted(_PRIVATE), _RETIRED])


def _unlink(folder: Path, key_id: str, suffixes: list[str]) -> None:
    for suffix in suffixes:
        path = folder / f"{key_id}{suffix}"
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(phrase("{path}: cannot be removed: {reason}", path=path, reason=os_reason(error))) from None
    try:
        flush_folder(folder)
    except OSError as error:
        raise UserError(phrase("{path}: cannot be written: {reason}", path=folder, reason=os_reason(error))) from None


def _files(folder: Path, suffixes: set[str]) -> list[Path]:
    """Return the files of these kinds whose name is a key id, in the order of their names. Raises UserError."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in suffixes)
    except OSError as error:
        raise UserError(
            phrase(
                "{folder}: cannot be read as a folder of private keys: {reason}", folder=folder, reason=os_reason(error)
            )
        ) from None
    for path in paths:
        try:
            msgspec.convert(path.stem, Identifier)
        except msgspec.ValidationError:
            raise UserError(
                phrase("{path}: name the file <key id>.pem, with a key id of a-z, 0-9 and hyphens", path=path)
            ) from None
    return paths
