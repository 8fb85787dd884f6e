"""Changes `endpoint.toml` or `watch.toml` for a command, and has a running process take the change over, or neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from endpoints.cli.reloading import reload_or_undo
from endpoints.errors import UserError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

    from endpoints.texts.i18n import Translator


def change_settings(config: Path, change: Callable[[TOMLDocument], object], t: Translator) -> None:
    """Apply `change` to the settings `config`, and have the process that runs with them take it over.

    Raises UserError: the change or its result is invalid, or the process refuses it, which then goes on as before. In
    both cases the file is as it was. Raises NotKnown if the process does not answer: it may have taken the change over.
    """
    import tomlkit

    from endpoints.config.toml_edit import editing, put_back

    with editing(config) as document:
        before = config.read_bytes()
        change(document)
    after = tomlkit.dumps(document).encode()
    if not _unfinished(config):
        reload_or_undo(config, lambda: put_back(config, before, after), t)


def _unfinished(config: Path) -> bool:
    """Return whether the installation is not finished, so that nothing can run with it."""
    from endpoints.config import settings

    try:
        settings.load(config)
    except UserError:
        return not (config.absolute().parent / settings.read_form(config).control).exists()
    return False
