"""Keeps the note that `deconflict link confirm` leaves for the service: who compared the link file by voice, and when.

The note of a link is `confirmed/<link>.json` beside `endpoint.toml`. The service journals it at its next start or
reload (`LinkConfirmed`, SPEC E1.8). A note about another link file than the present one says nothing.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec
from msgspec import Struct

from broker.atomic_files import flush_folder, replace
from endpoints.config.link_file import LinkFile
from endpoints.config.new_folder import as_user_errors
from endpoints.config.settings import EndpointSettings
from endpoints.errors import UserError
from endpoints.keys.private_files import (
    FILE_MODE,
    FOLDER_MODE,
    exists,
    give_to_owners,
    make_folders,
    read_bytes,
    require_private,
)
from protocol.core.event_checks import AT_MAX
from protocol.core.event_fields import WordPlace
from protocol.phrases import phrase
from protocol.wire.instants import parsed
from protocol.wire.messages import Digest, Identifier, Utc

FOLDER = "confirmed"
_MAX_BYTES = 4_096
_WHAT = phrase("note of a comparison")


class ComparisonNote(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One comparison that found both link files equal.

    Attributes:
        link: the link.
        digest: the digest of the link file that was compared.
        officer: who compared it at this side.
        compared_at: when, by this machine's clock.
        first_word: the place, from 1, of the word with which the other side began to read.
    """

    link: Identifier
    digest: Digest
    officer: Identifier
    compared_at: Utc
    first_word: WordPlace


def path_of(own: Path, link: Identifier) -> Path:
    """Return the path of a link's note; `own` is the folder of `endpoint.toml`."""
    return own / FOLDER / f"{link}.json"


def save(own: Path, note: ComparisonNote) -> None:
    """Write a note in place of an older one of its link, atomically. Raises UserError."""
    path = path_of(own, note.link)
    with as_user_errors(path):
        give_to_owners(make_folders(path.parent, FOLDER_MODE))
        replace(path, msgspec.json.encode(note) + b"\n", FILE_MODE)


def remove(own: Path, link: Identifier) -> None:
    """Remove a link's note, if there is one. Raises UserError."""
    path = path_of(own, link)
    with as_user_errors(path):
        path.unlink(missing_ok=True)
        flush_folder(path.parent)


def noted(settings: EndpointSettings, content: LinkFile) -> ComparisonNote | None:
    """Return the note of an enrolled officer about this very link file, None if there is none. Raises as `load`."""
    note = load(settings.path.absolute().parent, content.terms.link)
    if note is None or note.digest != content.digest or note.officer not in settings.officers:
        return None
    return note


def unconfirmed(settings: EndpointSettings, content: LinkFile, file: Path, *options: str) -> UserError:
    """Return that the actual link of the link file `file` was not compared; `options` of the command that does it."""
    command = ["deconflict", "link", "confirm", str(settings.path), *options, "--officer", "ID"]
    return UserError(
        phrase(
            "{file}: link {link} is actual, and no officer has confirmed epoch {epoch}: compare the link file with the "
            "other side: {command}",
            file=file,
            link=content.terms.link,
            epoch=content.terms.epoch,
            command=shlex.join(command),
        )
    )


def load(own: Path, link: Identifier) -> ComparisonNote | None:
    """Return a link's note, None if there is none. Raises UserError if it cannot be read or others can read it."""
    path = path_of(own, link)
    if not exists(path):
        return None
    require_private(path, what=_WHAT)
    data = read_bytes(path, what=_WHAT, max_bytes=_MAX_BYTES)
    try:
        note = msgspec.json.decode(data, type=ComparisonNote)
        if note.link == link and parsed(note.compared_at) <= AT_MAX:
            return note
    except ValueError:
        # said below
        pass
    raise UserError(
        phrase("{path}: not a note of a comparison on link {link}; remove it, and compare again", path=path, link=link)
    )
