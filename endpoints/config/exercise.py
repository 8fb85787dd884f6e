"""Settings that only exercises may use: another clock, and processes that others may look into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from endpoints.config import variables
from endpoints.config.link_file import LinkFile
from endpoints.errors import UserError
from protocol.phrases import phrase

_ALLOW_PTRACE = "DECONFLICT_ALLOW_PTRACE"


def clock(
    table: str | None, links: Iterable[LinkFile], folder: Path, path: Path, environment: Mapping[str, str]
) -> Path | None:
    """Return the exercise's table, None without one: `table` of the settings `path`, or DECONFLICT_EXERCISE_CLOCK.

    Raises UserError if the status of one of `links` is not `exercise`.
    """
    if variable := environment.get("DECONFLICT_EXERCISE_CLOCK"):
        found = Path(variable).absolute()
    elif table is not None:
        found = folder / table
    else:
        return None
    _require_exercise(links, f"{path}: exercise_clock")
    return found


def allow_ptrace(links: Iterable[LinkFile], environment: Mapping[str, str]) -> bool:
    """Return whether debuggers may attach and core dumps are written: DECONFLICT_ALLOW_PTRACE is 1.

    Raises UserError if it has another value, or the status of one of `links` is not `exercise`.
    """
    allowed = variables.switch(_ALLOW_PTRACE, environment)
    if allowed:
        _require_exercise(links, _ALLOW_PTRACE)
    return allowed


def _require_exercise(links: Iterable[LinkFile], at: str) -> None:
    for link in links:
        status = link.terms.policy.status
        if status != "exercise":
            raise UserError(
                phrase(
                    "{at}: the status of link {link} is {status}; only links whose status is exercise may use it",
                    at=at,
                    link=link.terms.link,
                    status=status,
                )
            )
