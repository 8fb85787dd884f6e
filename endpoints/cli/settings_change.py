"""Changes `endpoint.toml` or `watch.toml` for a command, and has a running process take the change over, or neither."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

    from endpoints.texts.i18n import Translator


class NotKnown(UserError):  # noqa: N818 - names a state
    """A file was changed, and the running process has not answered whether it has taken it over: the change stays."""


def change_settings(config: Path, change: Callable[[TOMLDocument], object], t: Translator) -> None:
    """Apply `change` to the settings `config`, and have the process that runs with them take it over.

    Raises UserError: the change or its result is invalid, or the process refuses it, which then goes on as before. In
    both cases the file is as it was. Raises NotKnown if the process does not answer: it may have taken the change over.
    """
    import tomlkit

    from endpoints.config.toml_edit import editing, put_back
    from endpoints.control.client import Unreachable

    with editing(config) as document:
        before = config.read_bytes()
        change(document)
    after = tomlkit.dumps(document).encode()
    try:
        _take_over(config, t)
    except Unreachable as error:
        raise not_known(config, error) from None
    except UserError:
        put_back(config, before, after)
        raise


def not_known(file: Path, error: UserError) -> NotKnown:
    """Return that `file` was changed, and that the running process has not answered whether it has taken it over.

    The change stays. A process may have recorded it before it was lost, and would not start with the file from before.
    """
    return NotKnown(
        phrase(
            "{file} was changed, but whether the running process has taken it over is not known: {error}; when it "
            "answers again: deconflict reload",
            file=file,
            error=error,
        ),
        exit_code=error.exit_code,
    )


def _take_over(config: Path, t: Translator) -> None:
    """Have the running process read its files anew. Raises UserError if it refuses them."""
    from endpoints.cli.reloading import reload_running
    from endpoints.config import settings

    if (config.absolute().parent / settings.read_form(config).control).exists():
        reload_running(config, t)
        return
    # nothing runs, and in an installation that is not finished nothing can
    with suppress(UserError):
        reload_running(config, t)
