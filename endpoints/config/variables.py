"""Reads the environment variables that take precedence over the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from endpoints.config.host_name import names_host
from endpoints.errors import UserError
from endpoints.keys.private_files import read_bytes
from protocol.phrases import phrase

_SECRET_MAX_BYTES = 4_096


def port(variable: str, environment: Mapping[str, str]) -> int | None:
    """Return the port in `variable`, None if it is not set. Raises UserError."""
    text = environment.get(variable)
    return tcp_port(text, at=variable) if text else None


def tcp_port(text: str, *, at: str) -> int:
    """Return the TCP port in `text`. Raises UserError, naming the option or key `at`."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 65_535):  # noqa: PLR2004 - TCP's
        raise UserError(phrase("{at}: not a port from 1 to 65535: {text}", at=at, text=repr(text[:40])))
    return int(text)


def switch(variable: str, environment: Mapping[str, str]) -> bool:
    """Return whether `variable` is set, to 1. Raises UserError if it has another value."""
    text = environment.get(variable)
    if text and text != "1":
        raise UserError(
            phrase("{variable}: expected 1 or nothing, found {text}", variable=variable, text=repr(text[:40]))
        )
    return bool(text)


def secret(name: str, environment: Mapping[str, str]) -> str:
    """Return `DECONFLICT_<name>`, or the content of the file that `DECONFLICT_<name>_FILE` names, or an empty text."""
    variable = f"DECONFLICT_{name}"
    file = environment.get(f"{variable}_FILE")
    if not file:
        return environment.get(variable, "")
    data = read_bytes(
        Path(file), what=phrase("secret ({variable})", variable=f"{variable}_FILE"), max_bytes=_SECRET_MAX_BYTES
    )
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise UserError(phrase("{file}: {variable}_FILE: not text in UTF-8", file=file, variable=variable)) from None


def check_url(url: str, at: str) -> None:
    """Raise UserError, naming the key `at`, if `url` is neither empty nor a URL of HTTP or HTTPS."""
    if not url:
        return
    try:
        parts: Any = urlsplit(url)
        right = parts.scheme in ("http", "https") and names_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise UserError(phrase("{at}: not a URL such as https://example.org/hook", at=at))
