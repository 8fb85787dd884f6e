"""Reads the settings of an endpoint (`endpoint.toml`) and of the watch (`watch.toml`).

Paths in these files are relative to the file's folder.

```toml
side = "eucom"                      # the party that this endpoint is, in every link below
control = "control.sock"            # socket of the running endpoint, for this user only

[[links]]
file = "../link.toml"
journal = "journal/eucom-ndmc"

[broker]
host = "127.0.0.1"
port = 8883
authority = "tls/ca.crt"
certificate = "tls/client.crt"
key = "tls/client.key"

[notifications]
log = true
command = ["/usr/local/bin/page-the-duty-officer"]
webhook = "https://pager.example/hook"

[officers.watch-1]
name = "Watch officer 1"
credential = "scrypt$n=16384,r=8,p=1$...$..."
```

Environment variables take precedence, so that one file can serve several machines: `DECONFLICT_BROKER_HOST`,
`DECONFLICT_BROKER_PORT`, `DECONFLICT_EXERCISE_CLOCK`, `DECONFLICT_LANG`. Secrets can stay out of the file:
`DECONFLICT_WEBHOOK` or `DECONFLICT_WEBHOOK_FILE`, `DECONFLICT_PING` or `DECONFLICT_PING_FILE`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from endpoints.config import link_file, toml_reader
from endpoints.config.link_file import LinkFile
from endpoints.errors import UserError
from endpoints.keys import credentials
from endpoints.keys.private_files import exists, read_bytes, require_private
from protocol.wire.messages import Identifier
from protocol.wire.policy import Seconds

WATCH_IDENTITY = "watch"
"""The watch's side in its journals and its identity at the broker, unless the settings name another."""
SOCKET_PATH_MAX_BYTES = 107
"""The kernel's `sun_path` holds 108 bytes including the closing NUL."""
CONTROL = "control.sock"
"""The control socket's name, unless the settings name another."""
LINKS_MAX = 64
_SECRET_MAX_BYTES = 4_096

Port = Annotated[int, Meta(ge=1, le=65_535)]
FilePath = Annotated[str, Meta(min_length=1, max_length=4_000)]


class _Link(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    file: FilePath
    journal: FilePath


class _Broker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: Port = 8883
    authority: FilePath
    certificate: FilePath
    key: FilePath


class Notifications(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where alarms and messages are announced: the log, a command, a webhook, or several of these."""

    log: bool = True
    # program and arguments; it reads the notification as JSON from standard input
    command: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    # a URL that accepts the notification as JSON by POST
    webhook: str = ""


class Officer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An officer who may act for this endpoint."""

    name: Annotated[str, Meta(max_length=80)] = ""
    # what `endpoints.keys.credentials.hash_credential` returned
    credential: str

    @property
    def digest(self) -> str:
        """SHA-256 of the entry in hexadecimal, for the journal.

        It does not help to guess the credential: the entry holds the credential's hash and its random salt, which only
        the settings contain.
        """
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


class _Process(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    links: Annotated[tuple[_Link, ...], Meta(min_length=1, max_length=LINKS_MAX)]
    broker: _Broker
    control: FilePath = CONTROL
    language: Literal["en", "ru"] = "en"
    notifications: Notifications = Notifications()
    exercise_clock: FilePath | UnsetType = UNSET


class _Endpoint(_Process, frozen=True, kw_only=True, forbid_unknown_fields=True):
    side: Identifier
    keys: FilePath = "keys"
    officers: dict[Identifier, Officer]


class _DeadMan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str = ""
    every_s: Seconds = 60


class _Watch(_Process, frozen=True, kw_only=True, forbid_unknown_fields=True):
    identity: Identifier = WATCH_IDENTITY
    dead_man: _DeadMan = field(default_factory=_DeadMan)


class LinkSettings(Struct, frozen=True, kw_only=True):
    """One link of an endpoint or of the watch.

    Attributes:
        file: the link file.
        content: the link file's content.
        journal: the folder of this side's journal of this link.
    """

    file: Path
    content: LinkFile
    journal: Path

    @property
    def id(self) -> str:
        """The link's id."""
        return self.content.terms.link


class BrokerSettings(Struct, frozen=True, kw_only=True):
    """How to reach the broker: mutual TLS; `identity` is the MQTT user and client id (SPEC Q3.1)."""

    identity: str
    host: str
    port: int
    authority: Path
    certificate: Path
    key: Path


class ProcessSettings(Struct, frozen=True, kw_only=True):
    """What `endpoint.toml` and `watch.toml` have in common.

    Attributes:
        path: the file itself, for messages.
        side: whose process it is, and its side in its journals: the party in every link, or the watch's identity.
        control: the control socket.
        language: the language of notifications, `en` or `ru`.
        exercise_clock: the exercise's table; allowed only if the status of every link is `exercise`.
    """

    path: Path
    side: str
    links: tuple[LinkSettings, ...]
    broker: BrokerSettings
    control: Path
    language: str
    notifications: Notifications
    exercise_clock: Path | None

    def link(self, wanted: str | None) -> LinkSettings:
        """Return the link `wanted`, or the only one. Raises UserError if it is unknown, or not named among several."""
        ids = ", ".join(link.id for link in self.links)
        if wanted is None:
            if len(self.links) > 1:
                raise UserError(f"{self.path}: several links here; choose one with --link: {ids}")
            return self.links[0]
        for link in self.links:
            if link.id == wanted:
                return link
        raise UserError(f"{self.path}: no link {wanted[:40]!r} here; links: {ids}")


class EndpointSettings(ProcessSettings, frozen=True, kw_only=True):
    """The content of `endpoint.toml`.

    Attributes:
        keys: the folder of its private signing keys.
        officers: the officers who may act for it, by id.
    """

    keys: Path
    officers: dict[str, Officer]


class WatchSettings(ProcessSettings, frozen=True, kw_only=True):
    """The content of `watch.toml`: no signing keys and no officers.

    Attributes:
        dead_man_url: requested every `dead_man_every_s` seconds while every link is watched; empty if there is none
            (SPEC W6).
    """

    dead_man_url: str
    dead_man_every_s: int


def load_endpoint(path: Path, environment: Mapping[str, str] = os.environ) -> EndpointSettings:
    """Return the endpoint configuration `path`, with the link files that it names. Raises UserError."""
    table = read_endpoint(path)
    raw = toml_reader.convert(table, _Endpoint, path=path)
    links = _links(raw.links, path)
    for link in links:
        if raw.side not in link.content.parties:
            parties = ", ".join(link.content.parties)
            raise UserError(
                f"{path}: side: {raw.side} is not a party of link {link.id} ({link.file}); its parties are {parties}"
            )
    if not raw.officers:
        raise UserError(f"{path}: officers: none, so nobody can answer; add one, such as [officers.watch-1]")
    for name, officer in raw.officers.items():
        try:
            credentials.check_hash(officer.credential)
        except ValueError as error:
            raise UserError(f"{path}: officers.{name}.credential: {error}") from None
    return EndpointSettings(
        **_process(raw, raw.side, links, path, environment),
        keys=path.absolute().parent / raw.keys,
        officers=raw.officers,
    )


def read_endpoint(path: Path) -> dict[str, Any]:
    """Return the TOML table of the endpoint configuration `path`, unconverted. Raises UserError."""
    table = toml_reader.read(path, what=toml_reader.ENDPOINT)
    require_private(path, what="endpoint configuration")
    return table


def load_watch(path: Path, environment: Mapping[str, str] = os.environ) -> WatchSettings:
    """Return the watch configuration `path`, with the link files that it names. Raises UserError."""
    raw = toml_reader.convert(toml_reader.read(path, what=toml_reader.WATCH), _Watch, path=path)
    links = _links(raw.links, path)
    for link in links:
        if raw.identity in link.content.parties:
            raise UserError(
                f"{path}: identity: {raw.identity} is a party of link {link.id}; the watch needs an identity of its own"
            )
    url = _secret("PING", environment) or raw.dead_man.url
    _check_url(url, f"{path}: dead_man.url")
    return WatchSettings(
        **_process(raw, raw.identity, links, path, environment),
        dead_man_url=url,
        dead_man_every_s=raw.dead_man.every_s,
    )


def load(path: Path, environment: Mapping[str, str] = os.environ) -> EndpointSettings | WatchSettings:
    """Return the settings in `path`: an endpoint's if they have a `side`, otherwise the watch's. Raises UserError."""
    if "side" in toml_reader.read(path, what=toml_reader.PROCESS):
        return load_endpoint(path, environment)
    return load_watch(path, environment)


def _process(
    raw: _Process, side: str, links: tuple[LinkSettings, ...], path: Path, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Return the fields of ProcessSettings. Raises UserError."""
    folder = path.absolute().parent
    return {
        "path": path,
        "side": side,
        "links": links,
        "broker": _broker(raw.broker, side, folder, path, environment),
        "control": check_socket(folder / raw.control, at=f"{path}: control"),
        "language": raw.language,
        "notifications": _notifications(raw.notifications, path, environment),
        "exercise_clock": _exercise(raw.exercise_clock, links, folder, path, environment),
    }


def _links(raw: tuple[_Link, ...], path: Path) -> tuple[LinkSettings, ...]:
    folder = path.absolute().parent
    links: list[LinkSettings] = []
    for index, each in enumerate(raw):
        file, journal = folder / each.file, folder / each.journal
        content = link_file.load(file)
        for other in links:
            if other.id == content.terms.link:
                raise UserError(f"{path}: links[{index}].file: link {other.id} again; {other.file} already defines it")
            if os.path.normpath(other.journal) == os.path.normpath(journal):
                raise UserError(f"{path}: links[{index}].journal: {each.journal} already is the journal of {other.id}")
        links.append(LinkSettings(file=file, content=content, journal=journal))
    return tuple(links)


def _broker(raw: _Broker, identity: str, folder: Path, path: Path, environment: Mapping[str, str]) -> BrokerSettings:
    settings = BrokerSettings(
        identity=identity,
        host=environment.get("DECONFLICT_BROKER_HOST") or raw.host,
        port=_port(environment.get("DECONFLICT_BROKER_PORT")) or raw.port,
        authority=folder / raw.authority,
        certificate=folder / raw.certificate,
        key=folder / raw.key,
    )
    for key in ("authority", "certificate", "key"):
        file: Path = getattr(settings, key)
        if not (exists(file) and file.is_file()):
            raise UserError(f"{path}: broker.{key}: no such file: {file}")
    require_private(settings.key, what="private key")
    return settings


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 65_535):  # noqa: PLR2004 - TCP's
        raise UserError(f"DECONFLICT_BROKER_PORT: not a port from 1 to 65535: {text[:40]!r}")
    return int(text)


def check_socket(socket: Path, *, at: str) -> Path:
    """Return `socket` if the kernel can bind it. Raises UserError, naming the key `at`, if the path is too long."""
    length = len(os.fsencode(socket))
    if length > SOCKET_PATH_MAX_BYTES:
        raise UserError(
            f"{at}: the path of the control socket has {length} bytes, more than {SOCKET_PATH_MAX_BYTES}: {socket}; "
            "choose a shorter one, such as /run/deconflict/eucom.sock"
        )
    return socket


def _exercise(
    raw: str | UnsetType, links: tuple[LinkSettings, ...], folder: Path, path: Path, environment: Mapping[str, str]
) -> Path | None:
    if variable := environment.get("DECONFLICT_EXERCISE_CLOCK"):
        table = Path(variable).absolute()
    elif raw is not UNSET:
        table = folder / raw
    else:
        return None
    for link in links:
        if link.content.terms.policy.status != "exercise":
            raise UserError(
                f"{path}: exercise_clock: the status of link {link.id} is {link.content.terms.policy.status}; "
                "only links whose status is exercise may use it"
            )
    return table


def _notifications(raw: Notifications, path: Path, environment: Mapping[str, str]) -> Notifications:
    webhook = _secret("WEBHOOK", environment) or raw.webhook
    _check_url(webhook, f"{path}: notifications.webhook")
    return Notifications(log=raw.log, command=raw.command, webhook=webhook)


def _secret(name: str, environment: Mapping[str, str]) -> str:
    """Return `DECONFLICT_<name>`, or the content of the file that `DECONFLICT_<name>_FILE` names, or an empty text."""
    variable = f"DECONFLICT_{name}"
    file = environment.get(f"{variable}_FILE")
    if not file:
        return environment.get(variable, "")
    data = read_bytes(Path(file), what=f"secret ({variable}_FILE)", max_bytes=_SECRET_MAX_BYTES)
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise UserError(f"{file}: {variable}_FILE: not text in UTF-8") from None


def _check_url(url: str, at: str) -> None:
    if not url:
        return
    try:
        parts: Any = urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        right = False
    if not right:
        raise UserError(f"{at}: not a URL such as https://example.org/hook")
