"""Finds what a copy of an installation lacks or has lost, also where its settings cannot be loaded for that reason."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from endpoints.config import tls_files, toml_reader
from endpoints.doctor.findings import Report
from endpoints.errors import UserError
from endpoints.keys.private_files import LINK_FILE_MISSING, OF_THE_INSTALLATION, exists
from protocol.phrases import phrase

_OTHERS = 0o077


def survey(config: Path) -> Report:
    """Return what is missing or open to others among the files that the configuration `config` names.

    It is read without the checks of the settings. Raises UserError if it is no configuration.
    """
    found = Report()
    table = toml_reader.read(config, what=toml_reader.PROCESS)
    folder = config.absolute().parent
    with found.checking("files", config):
        for path in _paths(table, folder, "links", "file"):
            if not exists(path):
                found.add(path, phrase("no such file"), LINK_FILE_MISSING)
        keys = [*_keys(table, folder)]
        needed = []
        # a side that was just enrolled lacks what the broker's operator has yet to hand over; nothing to copy
        requested = any(exists(path.with_suffix(".csr")) for path in _paths(table, folder, "broker", "certificate"))
        for key in ("authority", "certificate", "key"):
            for path in _paths(table, folder, "broker", key):
                needed += [(path, tls_files.remedy(key, path) if requested else OF_THE_INSTALLATION)]
        needed += [(path, OF_THE_INSTALLATION) for path in keys]
        for path, remedy in needed:
            if not exists(path):
                found.add(path, phrase("no such file or folder"), remedy)
        _check_modes([config.absolute(), *_paths(table, folder, "broker", "key"), *keys], folder, found)
    return found


def _paths(table: dict[str, Any], folder: Path, name: str, *keys: str) -> Iterator[Path]:
    """Yield the paths under `keys` of the table `name`, or of each table of an array; anything else is left out."""
    tables = table.get(name)
    for each in tables if isinstance(tables, list) else [tables]:
        for key in keys:
            value = each.get(key) if isinstance(each, dict) else None
            if isinstance(value, str) and value and "\0" not in value:
                yield Path(os.path.normpath(folder / value))


def _keys(table: dict[str, Any], folder: Path) -> Iterator[Path]:
    """Yield the folder of private keys: an endpoint always has one, the watch if its settings name it."""
    if "side" in table or "keys" in table:
        yield from _paths({"keys": {"keys": table.get("keys", "keys")}}, folder, "keys", "keys")


def _check_modes(private: list[Path], folder: Path, found: Report) -> None:
    """Report private files and folders that others may read or change, all in one finding."""
    every = {each for path in private for each in (path.parent, *_with_content(path))}
    opened = sorted(path for path in every if path.is_relative_to(folder) and _open_to_others(path))
    if opened:
        found.add(
            folder,
            phrase(
                "{count} private files and folders are open to others, as a copy may leave them; the first is {path}",
                count=len(opened),
                path=opened[0],
            ),
            phrase("make them private: {command}", command=shlex.join(["chmod", "-R", "go=", str(folder)])),
        )


def _with_content(path: Path, depth: int = 2) -> Iterator[Path]:
    """Yield `path` and, of a folder of keys, the keys and credentials in it."""
    yield path
    try:
        inside = sorted(path.iterdir()) if depth and path.is_dir() else []
    except OSError:
        # reading it reports it
        return
    for each in inside:
        yield from _with_content(each, depth - 1)


def _open_to_others(path: Path) -> bool:
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & _OTHERS)
    except OSError:
        return False


def take(error: UserError, found: Report, config: Path) -> None:
    """Add why the settings can't be loaded, unless a finding names its file. Raises `error` if there is no finding."""
    if not found.findings:
        raise error
    text = str(error).replace(str(config), str(config.absolute()), 1)
    if not any(each.where in text for each in found.findings):
        with found.trying(config):
            raise error
