"""Adds and removes officers in `endpoint.toml` and `watch.toml`, and gives them other credentials.

A credential is written nowhere in clear text, unless `credential_file` is asked to. `init` and `enrol` leave those of
their officers in `keys/officers/<id>.credential`.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tomlkit import TOMLDocument

from broker.atomic_files import flush_folder
from endpoints.config.toml_edit import put
from endpoints.errors import UserError, os_reason
from endpoints.keys.private_files import exists, write_private
from protocol.phrases import phrase
from protocol.record.ledger_entries import SERVICE

CREDENTIALS = "officers"
"""The folder of credentials in clear text, beside the private keys."""


def left_credential(config: Path, officer: str) -> Path:
    """Return where `init` and `enrol` leave the credential of an officer of the settings `config`."""
    return config.parent / "keys" / CREDENTIALS / f"{officer}.credential"


def add(config: Path, document: TOMLDocument, officer: str, name: str, hashed: str) -> None:
    """Add an officer, with the hash of their credential, to the document of the settings `config`. Raises UserError."""
    require_new(config, officer, document.get("officers", {}))
    put(document, "officers", officer, {"name": name, "credential": hashed})


def reset(config: Path, document: TOMLDocument, officer: str, hashed: str) -> None:
    """Give an officer the credential of which this is the hash, in the document of `config`. Raises UserError."""
    require_enrolled(config, officer, document.get("officers", {}))
    document["officers"][officer]["credential"] = hashed


def remove(config: Path, document: TOMLDocument, officer: str) -> None:
    """Remove an officer from the document of the settings `config`. Raises UserError."""
    require_removable(config, officer, document.get("officers", {}), endpoint="side" in document)
    del document["officers"][officer]
    if not document["officers"]:
        # nothing is left to write of this table
        del document["officers"]


def require_new(config: Path, officer: str, enrolled: Mapping[str, Any]) -> None:
    """Raise UserError unless `officer` can be added to those who are enrolled."""
    if officer == SERVICE:
        # it stands for the service itself wherever acts are listed
        raise UserError(phrase("{side}: this name is reserved; choose another id", side=officer))
    if officer in enrolled:
        raise UserError(
            phrase(
                "{path}: officer {officer} is enrolled already; choose another id, or give them a new credential: "
                "{command}",
                path=config,
                officer=officer,
                command=shlex.join(["deconflict", "officer", "reset", str(config), officer]),
            )
        )
    if exists(left := left_credential(config, officer)):
        raise UserError(phrase("{path}: already exists; remove it first if it is no longer used", path=left))


def require_enrolled(config: Path, officer: str, enrolled: Collection[str]) -> None:
    """Raise UserError unless `officer` is enrolled."""
    if officer not in enrolled:
        raise UserError(
            phrase(
                "{path}: no officer {officer} is enrolled here; enrolled: {officers}",
                path=config,
                officer=repr(officer[:60]),
                officers=", ".join(enrolled) or phrase("nobody"),
            )
        )


def require_removable(config: Path, officer: str, enrolled: Collection[str], *, endpoint: bool) -> None:
    """Raise UserError unless `officer` is enrolled; also for the last officer of an endpoint."""
    require_enrolled(config, officer, enrolled)
    if endpoint and len(enrolled) == 1:
        raise UserError(
            phrase(
                "{path}: {officer} is the last officer here, and nobody could answer the other side; first add "
                "another: deconflict officer add",
                path=config,
                officer=officer,
            )
        )


@contextmanager
def credential_file(path: Path, credential: str, *, replaces: Path | None = None) -> Iterator[None]:
    """Write a credential to the new private file `path` when the body is done; after an error there is no file.

    `path` may exist if it is the file `replaces`, with a credential that is no longer valid. Raises UserError.
    """
    if exists(path) and not (replaces is not None and exists(replaces) and path.samefile(replaces)):
        raise UserError(phrase("{path}: already exists; remove it first if it is no longer used", path=path))
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        write_private(fresh, credential.encode() + b"\n")
        yield
        fresh.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise UserError(phrase("{path}: cannot be written: {reason}", path=path, reason=os_reason(error))) from None
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def forget_credential(config: Path, officer: str) -> str:
    """Remove the credential that `init` or `enrol` left of an officer; return why that failed, else an empty text."""
    try:
        left_credential(config, officer).unlink(missing_ok=True)
    except OSError as error:
        return os_reason(error)
    return ""
