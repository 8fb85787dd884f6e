"""Completes a command from the environment: puts CONFIG before its arguments if it was called without it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

from cyclopts import MissingArgumentError

from endpoints.cli.options import CONFIG_VARIABLE


def called(
    application: Callable[[list[str]], Any], words: list[str], environment: Mapping[str, str] = os.environ
) -> Any:
    """Run the command that `words` name; return what it returns. Raises CycloptsError.

    In `show eucom/1/42`, cyclopts takes the reference for CONFIG, and finds that the reference is missing.
    """
    try:
        return application(words)
    except MissingArgumentError as error:
        completed = _with_config(error, words, environment.get(CONFIG_VARIABLE))
        if completed is None:
            raise
    return application(completed)


def _with_config(error: MissingArgumentError, words: Sequence[str], config: str | None) -> list[str] | None:
    """Return the words with CONFIG after the command; None if the environment or the command has none."""
    if not config or error.target is None or error.argument is None or error.argument.field_info.is_keyword:
        return None
    if next(iter(signature(error.target).parameters)) != "config":
        return None
    place = len(error.command_chain or ())
    return [*words[:place], config, *words[place:]]
