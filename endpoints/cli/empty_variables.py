"""Removes the environment variables of options that are set to nothing."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

_OF_OPTIONS = ("DECONFLICT_CONFIG", "DECONFLICT_OFFICER", "DECONFLICT_CREDENTIAL_FILE", "DECONFLICT_LANG")


def drop_empty(environment: MutableMapping[str, str] = os.environ) -> None:
    """Remove the variables of options that are set to nothing: a service manager passes on an unset one like that."""
    for name in _OF_OPTIONS:
        if environment.get(name) == "":
            del environment[name]
