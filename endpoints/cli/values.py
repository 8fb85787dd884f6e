"""Checks argument values that cyclopts cannot check."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import msgspec

from endpoints.errors import UserError
from protocol.phrases import phrase
from protocol.wire.messages import Identifier

PORT_MAX = 65_535


def identifier(value: str, *, option: str) -> str:
    """Return `value` if it can name a link, a party, an officer. Raises UserError naming the option."""
    try:
        return msgspec.convert(value, Identifier)
    except msgspec.ValidationError:
        raise UserError(
            phrase(
                "--{option}: expected an id of at most 32 lower-case letters, digits and hyphens, found {value}",
                option=option,
                value=repr(value[:60]),
            )
        ) from None


def check_port(value: int, *, option: str, port_max: int = PORT_MAX) -> None:
    """Raise UserError, naming the option, unless `value` is a TCP port of at most `port_max`."""
    if not 1 <= value <= port_max:
        raise UserError(
            phrase(
                "--{option}: expected a port from 1 to {port_max}, found {value}",
                option=option,
                port_max=port_max,
                value=value,
            )
        )


def shown(path: Path) -> Path:
    """Return `path` as people read it, without `eucom/..`; a settings file names its link file so."""
    return Path(os.path.normpath(path))


def command_line(*words: object) -> str:
    """Return a command for people to copy: `deconflict` with these words, quoted where a shell needs it."""
    return shlex.join(["deconflict", *map(str, words)])
