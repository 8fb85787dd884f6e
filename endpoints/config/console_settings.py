"""Reads how a console is reached: the table `[console]` of the settings of its endpoint or watch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from endpoints.config.settings import EndpointSettings, LinkSettings, load_unchecked
from endpoints.errors import UserError
from protocol.phrases import phrase


class TcpListen(Struct, frozen=True):
    """An address of this machine."""

    host: str
    port: int


class UnixListen(Struct, frozen=True):
    """A socket file."""

    path: Path


class ConsoleSettings(Struct, frozen=True, kw_only=True):
    """How a console is reached, and whose it is."""

    path: Path
    side: str
    watch: bool
    links: tuple[LinkSettings, ...]
    control: Path
    exercise_clock: Path | None
    status: Literal["exercise", "actual"]
    listen: TcpListen | UnixListen
    origin: str
    certificate: Path | None
    key: Path | None
    session_s: int
    board_texts: bool
    language: str


def load_console(path: Path, environment: Mapping[str, str] = os.environ) -> ConsoleSettings:
    """Return the console's settings in `path`. Raises UserError."""
    found = load_unchecked(path, environment)
    statuses = {link.content.terms.policy.status for link in found.links}
    if len(statuses) > 1:
        raise UserError(phrase("{path}: links of an exercise and actual links do not share a console", path=path))
    port = int(environment.get("DECONFLICT_CONSOLE_PORT", "8440"))
    return ConsoleSettings(
        path=found.path,
        side=found.side,
        watch=not isinstance(found, EndpointSettings),
        links=found.links,
        control=found.control,
        exercise_clock=found.exercise_clock,
        status=statuses.pop(),
        listen=TcpListen("localhost", port),
        origin=f"http://localhost:{port}",
        certificate=None,
        key=None,
        session_s=43_200,
        board_texts=False,
        language=found.language,
    )
