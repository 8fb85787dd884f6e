"""Lists the private signing keys in a keys folder, and removes those that were retired.

A retired key keeps its private file until its retirement is accepted, with an empty `<key id>.retired` beside it.
"""

from __future__ import annotations

from pathlib import Path

from broker.atomic_files import flush_folder
from endpoints.errors import UserError, os_reason
from endpoints.keys.private_files import write_private
from endpoints.keys.signer import PRIVATE, enrolled_as, key_paths, read_key
from protocol.phrases import phrase
from protocol.wire.policy import EnrolledKey

_RETIRED = ".retired"


def stored(folder: Path) -> dict[str, EnrolledKey]:
    """Return the public key of each private key in `folder`, by key id. Raises UserError, which names the file."""
    return {path.stem: enrolled_as(path.stem, read_key(path)) for path in key_paths(folder, PRIVATE)}


def retired(folder: Path) -> tuple[str, ...]:
    """Return the ids of the keys in `folder` that are marked as retired. Raises UserError."""
    return tuple(path.stem for path in key_paths(folder, (_RETIRED,)))


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
    _unlink(folder, key_id, [*PRIVATE, _RETIRED])


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
