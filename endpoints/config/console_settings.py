"""Reads the settings of the console, from the file of the endpoint or of the watch that it shows.

```toml
[console]
listen = "localhost:8440"           # an address with a port, or "unix:run/console.sock" behind a proxy
origin = "http://localhost:8440"    # of the address that browsers show; needed unless `listen` is a loopback address
certificate = "tls/console.crt"     # with its key: needed unless only this machine can connect
key = "tls/console.key"
session = "12h"                     # how long an officer stays logged in at most
board_texts = false                 # whether boards show what messages say
language = "ru"                     # until a browser chooses another; the file's `language` if absent

[console.channels]                  # what only this side's card of the other channels shows beside each
ministers = "+49 611 0000, ask for the duty officer"
```

`DECONFLICT_CONSOLE_LISTEN` and `DECONFLICT_CONSOLE_ORIGIN` take precedence. No private signing key is opened, nor the
key of the connection to the broker: the console runs where it cannot read them.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from msgspec import UNSET, Struct

from endpoints.config import broker_settings, exercise
from endpoints.config.control_socket import check_socket
from endpoints.config.host_name import names_host
from endpoints.config.settings import LinkSettings, links_of, read_form
from endpoints.config.settings_tables import ConsoleTable, EndpointTable, WatchTable
from endpoints.errors import UserError
from endpoints.keys.private_files import changeable, exists, require_private
from protocol.phrases import phrase

PORT = 8440
"""Of the calling side's console; the answering side's and the watch's follow, for those that share a machine."""
LOCALHOST = "localhost"
UNIX = "unix:"
_LISTEN = "DECONFLICT_CONSOLE_LISTEN"
_ORIGIN = "DECONFLICT_CONSOLE_ORIGIN"


class TcpListen(Struct, frozen=True):
    """Where the console listens: an address of this machine, and a port."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == LOCALHOST


class UnixListen(Struct, frozen=True):
    """The socket at which a proxy reaches the console."""

    path: Path


class ConsoleSettings(Struct, frozen=True, kw_only=True):
    """What the console needs to know.

    Attributes:
        path: the file of the endpoint or of the watch.
        side: the party, or the identity of the watch.
        watch: whether it is the watch's.
        status: of all links: one origin shows one status.
        control: the control socket.
        exercise_clock: the exercise's table; None for the machine's clock.
        origin: of the pages, such as `http://localhost:8440`.
        certificate: of the pages' address, with its `key`; None without TLS.
        session_s: how long a session lasts at most.
        board_texts: whether boards show what messages say.
        language: until a browser chooses another.
        channel_notes: what this side notes of the link's other channels, by channel.
        configured: whether the file has a table `[console]`.
    """

    path: Path
    side: str
    watch: bool
    links: tuple[LinkSettings, ...]
    status: Literal["exercise", "actual"]
    control: Path
    exercise_clock: Path | None
    listen: TcpListen | UnixListen
    origin: str
    certificate: Path | None
    key: Path | None
    session_s: int
    board_texts: bool
    language: Literal["en", "ru"]
    channel_notes: Mapping[str, str]
    configured: bool


def load_console(path: Path, environment: Mapping[str, str] = os.environ) -> ConsoleSettings:
    """Return the settings of the console in `path`, with the link files that it names.

    Raises UserError, also if other users can change a file that decides whom the console trusts.
    """
    raw = read_form(path)
    table = ConsoleTable() if raw.console is UNSET else raw.console
    links = links_of(raw.links, path)
    folder = path.absolute().parent
    certificate, key = _tls(table, folder, path)
    side = raw.side if isinstance(raw, EndpointTable) else raw.identity
    listen = _listen(table, _default_port(raw, links), folder, path, environment)
    if isinstance(listen, UnixListen) and certificate is not None:
        raise UserError(
            phrase("{path}: console.certificate: of no use at a Unix socket; the proxy has the certificate", path=path)
        )
    language = environment.get("DECONFLICT_LANG") or table.language or raw.language
    settings = ConsoleSettings(
        path=path,
        side=side,
        watch=isinstance(raw, WatchTable),
        links=links,
        status=_status(links, path),
        control=check_socket(folder / raw.control, at=f"{path}: control"),
        exercise_clock=exercise.clock(
            raw.exercise_clock or None, [link.content for link in links], folder, path, environment
        ),
        listen=listen,
        origin=_origin(table, listen, path, environment, tls=certificate is not None),
        certificate=certificate,
        key=key,
        session_s=table.session_s,
        board_texts=table.board_texts,
        language="ru" if language == "ru" else "en",
        channel_notes=_notes(table, links, path),
        configured=raw.console is not UNSET,
    )
    for line in _changeable(settings):
        raise UserError(line)
    return settings


def _default_port(raw: EndpointTable | WatchTable, links: tuple[LinkSettings, ...]) -> int:
    if isinstance(raw, WatchTable):
        return PORT + 2
    return PORT + (links[0].content.terms.answering == raw.side)


def _status(links: tuple[LinkSettings, ...], path: Path) -> Literal["exercise", "actual"]:
    """Return the status of all links. Raises UserError if they differ: nobody may mistake one for another."""
    first = links[0].content.terms
    for link in links:
        terms = link.content.terms
        if terms.policy.status != first.policy.status:
            raise UserError(
                phrase(
                    "{path}: link {one} is {status}, link {other} is {another}; a console shows links of one status, "
                    "so give each status a configuration of its own",
                    path=path,
                    one=first.link,
                    status=first.policy.status,
                    other=terms.link,
                    another=terms.policy.status,
                )
            )
    return first.policy.status


def _notes(table: ConsoleTable, links: tuple[LinkSettings, ...], path: Path) -> Mapping[str, str]:
    """Return the notes of this side. Raises UserError for a channel that no link has: its note would never be seen."""
    known = sorted({channel.id for link in links for channel in link.content.terms.policy.channels})
    for channel in table.channels:
        if channel not in known:
            raise UserError(
                phrase(
                    "{path}: console.channels.{channel}: no link has this channel; there are: {known}",
                    path=path,
                    channel=channel,
                    known=", ".join(known) or "-",
                )
            )
    return table.channels


def _listen(
    table: ConsoleTable, port: int, folder: Path, path: Path, environment: Mapping[str, str]
) -> TcpListen | UnixListen:
    named = environment.get(_LISTEN)
    at = _LISTEN if named else f"{path}: console.listen"
    text = named or (LOCALHOST if table.listen is UNSET else table.listen)
    if text.startswith(UNIX):
        return UnixListen(check_socket(folder / text.removeprefix(UNIX), at=at))
    without_port = ":" not in text or text.endswith("]")
    found = broker_settings.address(f"{text}:{port}" if without_port else text, at=at)
    return TcpListen(found.host, found.port)


def _tls(table: ConsoleTable, folder: Path, path: Path) -> tuple[Path | None, Path | None]:
    """Return the files of the certificate and its key. Raises UserError."""
    if table.certificate is UNSET and table.key is UNSET:
        return None, None
    for name, other in (("certificate", "key"), ("key", "certificate")):
        if getattr(table, name) is UNSET:
            raise UserError(
                phrase("{path}: console.{name}: missing; console.{other} is there", path=path, name=name, other=other)
            )
    assert table.certificate is not UNSET
    assert table.key is not UNSET
    certificate, key = folder / table.certificate, folder / table.key
    for name, file in (("certificate", certificate), ("key", key)):
        if not (exists(file) and file.is_file()):
            raise UserError(phrase("{at}: no such file: {path}", at=f"{path}: console.{name}", path=file))
    require_private(key, what=phrase("private key"))
    return certificate, key


def _origin(
    table: ConsoleTable, listen: TcpListen | UnixListen, path: Path, environment: Mapping[str, str], *, tls: bool
) -> str:
    """Return the origin of the pages. Raises UserError unless browsers can reach it and nobody can read along."""
    named = environment.get(_ORIGIN)
    at = _ORIGIN if named else f"{path}: console.origin"
    text = named or table.origin or ""
    if not text:
        return _default_origin(listen, path, tls=tls)
    origin = _checked_origin(text, at)
    secure = origin.startswith("https:")
    if isinstance(listen, UnixListen):
        return origin
    if tls and not secure:
        raise UserError(phrase("{at}: with a certificate, the origin begins with https://", at=at))
    if secure and not tls and not listen.loopback:
        raise _no_certificate(listen, path)
    return origin


def _default_origin(listen: TcpListen | UnixListen, path: Path, *, tls: bool) -> str:
    if isinstance(listen, UnixListen):
        raise UserError(
            phrase("{path}: console.origin: missing; name the address that browsers show, behind the proxy", path=path)
        )
    if listen.loopback and not tls:
        return f"http://{LOCALHOST}:{listen.port}"
    try:
        ipaddress.ip_address(listen.host)
    except ValueError:
        if tls:
            return _checked_origin(f"https://{listen.host}:{listen.port}", "console.origin")
    if not tls:
        raise _no_certificate(listen, path)
    raise UserError(
        phrase(
            "{path}: console.origin: missing; name the address that browsers show, such as https://console.example.org",
            path=path,
        )
    )


def _no_certificate(listen: TcpListen, path: Path) -> UserError:
    return UserError(
        phrase(
            "{path}: console.certificate: missing, and others can connect to {host}; give a certificate and a key, "
            "or listen at localhost",
            path=path,
            host=listen.host,
        )
    )


def _checked_origin(text: str, at: str) -> str:
    """Return the origin `text` as browsers write it. Raises UserError, naming the option or key `at`."""
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
        right = parts.scheme in ("http", "https") and names_host(host) and port != 0
        host = f"[{host}]" if ":" in host else host
        right = right and text.partition("://")[2].lower() in {host, f"{host}:{port}"}
    except ValueError:
        right = False
    if not right:
        raise UserError(
            phrase(
                "{at}: expected an origin such as http://localhost:8440 or https://console.example.org, found {text}",
                at=at,
                text=repr(text[:60]),
            )
        )
    if parts.scheme == "http" and host != LOCALHOST:
        raise UserError(
            phrase("{at}: without TLS, a console is only for browsers at http://localhost; use https://", at=at)
        )
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + ("" if port in {None, usual} else f":{port}")


def _changeable(settings: ConsoleSettings) -> tuple[str, ...]:
    """Return a line for each file that decides whom the console trusts and that other users can change."""
    files = [
        (settings.path, phrase("configuration")),
        *((link.file, phrase("link file")) for link in settings.links),
        (settings.control.parent, phrase("folder of the control socket")),
        *([] if settings.certificate is None else [(settings.certificate, phrase("certificate"))]),
        *([] if settings.key is None else [(settings.key, phrase("private key"))]),
    ]
    return tuple(changeable(files, {os.geteuid(), settings.path.stat().st_uid}))
