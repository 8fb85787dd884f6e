"""Reads the settings of an endpoint (`endpoint.toml`) and of the watch (`watch.toml`).

Paths in these files are relative to the file's folder.

```toml
side = "eucom"                      # the party that this endpoint is, in every link below
control = "control.sock"            # socket of the running endpoint, for this user only

[[links]]
file = "../link.toml"
journal = "journal/eucom-ndmc"
test_text = { ru = "Говорит Висбаден. Проверка линии. Как слышите?" }   # of tests placed here; the policy's if absent
answer_text = { ru = "Висбаден на связи. Слышу хорошо." }               # of answers given here

[broker]
host = "127.0.0.1"
port = 8883                         # instead of both, for several nodes: addresses = ["h1:8883", "h2:8883"]
authority = "tls/ca.crt"
certificate = "tls/client.crt"
key = "tls/client.key"

[notifications]
log = true
command = ["/usr/local/bin/page-the-duty-officer"]
webhook = "https://pager.example/hook"
authority = "tls/pager-ca.pem"      # of an https webhook; the public authorities if absent

[officers.watch-1]
name = "Watch officer 1"
credential = "scrypt$n=16384,r=8,p=1$...$..."
```

Environment variables take precedence, so that one file can serve several machines: `DECONFLICT_BROKER_ADDRESSES`,
`DECONFLICT_BROKER_HOST`, `DECONFLICT_BROKER_PORT`, `DECONFLICT_HEALTH_HOST`, `DECONFLICT_HEALTH_PORT`,
`DECONFLICT_EXERCISE_CLOCK`, `DECONFLICT_LANG`. Secrets can stay out of the file: `DECONFLICT_WEBHOOK`,
`DECONFLICT_PING`, or the same with `_FILE`. `DECONFLICT_ALLOW_PTRACE=1` lets a debugger or profiler attach to a process
whose links are all exercises.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from msgspec import UNSET, Struct

from endpoints.config import exercise, link_file, officers, toml_reader
from endpoints.config.broker_settings import BrokerSettings, broker
from endpoints.config.control_socket import check_socket
from endpoints.config.health import HealthSettings, health
from endpoints.config.link_file import LinkFile
from endpoints.config.notifications import DeadManSettings, Notifications, dead_man, notifications
from endpoints.config.officers import Officer
from endpoints.config.own_words import own_words
from endpoints.config.settings_tables import (
    EndpointLinkTable,
    EndpointTable,
    LinkTable,
    ProcessTable,
    WatchTable,
)
from endpoints.errors import UserError
from endpoints.keys.private_files import LINK_FILE_MISSING, changeable, exists, require_private
from protocol.core.duty import OwnWords
from protocol.phrases import phrase


class LinkSettings(Struct, frozen=True, kw_only=True):
    """One link of an endpoint or of the watch.

    Attributes:
        file: the link file.
        content: the link file's content.
        journal: the folder of this side's journal of this link.
        words: this side's own words for line tests, in the policy's test language (SPEC B2.4); the watch has none.
    """

    file: Path
    content: LinkFile
    journal: Path
    words: OwnWords

    @property
    def id(self) -> str:
        """The link's id."""
        return self.content.terms.link

    def sibling(self, *names: str) -> Path:
        """Return the path of another file of the installation in whose folder the link file lies."""
        return Path(os.path.normpath(self.file.parent.joinpath(*names)))


class ProcessSettings(Struct, frozen=True, kw_only=True):
    """What `endpoint.toml` and `watch.toml` have in common.

    Attributes:
        path: the file itself, for messages.
        side: whose process it is, and its side in its journals: the party in every link, or the watch's identity.
        control: the control socket.
        language: the language of notifications, `en` or `ru`.
        exercise_clock: the exercise's table; allowed only if the status of every link is `exercise`.
        allow_ptrace: whether debuggers may attach and core dumps are written; allowed as `exercise_clock` is.
        keys: the folder of private signing keys; None for a watch without a key.
        officers: the officers who may act here, by id; a watch may have none.
        health: where its health and metrics are served; None for nowhere.
        console: whether a console is to show it: the file has a table `[console]`.
    """

    path: Path
    side: str
    links: tuple[LinkSettings, ...]
    broker: BrokerSettings
    control: Path
    language: str
    notifications: Notifications
    exercise_clock: Path | None
    allow_ptrace: bool
    keys: Path | None
    officers: dict[str, Officer]
    health: HealthSettings | None
    console: bool

    @property
    def trusted_files(self) -> tuple[tuple[Path, str], ...]:
        """The files that decide whom this process trusts and who it is, each with its kind."""
        return (
            (self.path, phrase("configuration")),
            *((link.file, phrase("link file")) for link in self.links),
            *((path, phrase("certificate")) for path in (self.broker.authority, self.broker.certificate)),
            *((path, phrase("certificate")) for path in self.authorities),
            (self.broker.key, phrase("private key")),
            *([] if self.keys is None else [(self.keys, phrase("folder of private keys"))]),
            # officers send their credentials to the socket that lies there
            (self.control.parent, phrase("folder of the control socket")),
        )

    @property
    def authorities(self) -> tuple[Path, ...]:
        """The files of authorities beside the broker's."""
        authority = self.notifications.authority
        return () if authority is None else (authority,)

    @property
    def roster(self) -> dict[str, str]:
        """The digest of each officer's entry, by officer, for the journal."""
        return {name: officer.digest for name, officer in self.officers.items()}

    def changeable(self) -> tuple[str, ...]:
        """Return a line for each of these files that other users can change or replace."""
        return tuple(changeable(self.trusted_files, {os.geteuid(), self.path.stat().st_uid}))

    def choosing(self, link: str) -> tuple[str, ...]:
        """Return the words of a command that choose `link` here; none if it is the only one."""
        return ("--link", link) if len(self.links) > 1 else ()

    def link(self, wanted: str | None) -> LinkSettings:
        """Return the link `wanted`, or the only one. Raises UserError if it is unknown, or not named among several."""
        ids = ", ".join(link.id for link in self.links)
        if wanted is None:
            if len(self.links) > 1:
                raise UserError(
                    phrase("{path}: several links here; choose one with --link: {ids}", path=self.path, ids=ids)
                )
            return self.links[0]
        for link in self.links:
            if link.id == wanted:
                return link
        raise UserError(
            phrase("{path}: no link {wanted} here; links: {ids}", path=self.path, wanted=repr(wanted[:40]), ids=ids)
        )


class EndpointSettings(ProcessSettings, frozen=True, kw_only=True):
    """The content of `endpoint.toml`.

    Attributes:
        keys: the folder of its private signing keys.
        officers: at least one.
    """

    keys: Path


class WatchSettings(ProcessSettings, frozen=True, kw_only=True):
    """The content of `watch.toml`. Its officers acknowledge the alarms of the watch, and do nothing else.

    Attributes:
        dead_man: the monitor that expects its sign of life (SPEC W6).
    """

    dead_man: DeadManSettings

    @property
    def authorities(self) -> tuple[Path, ...]:
        """The files of authorities beside the broker's."""
        return (*super().authorities, *([self.dead_man.authority] if self.dead_man.authority else []))


def load(
    path: Path, environment: Mapping[str, str] = os.environ, data: bytes | None = None
) -> EndpointSettings | WatchSettings:
    """Return the settings in `path`: an endpoint's if they have a `side`, otherwise the watch's.

    `data` are the bytes that are to replace the file, to be checked beforehand; None for the file's own. Raises
    UserError, also if other users can change a file that decides whom the process trusts.
    """
    return _checked(load_unchecked(path, environment, data))


def load_endpoint(path: Path, environment: Mapping[str, str] = os.environ) -> EndpointSettings:
    """Return the endpoint configuration `path`, with the link files that it names. Raises UserError as `load`."""
    return _checked(_endpoint(path, environment))


def load_watch(path: Path, environment: Mapping[str, str] = os.environ) -> WatchSettings:
    """Return the watch configuration `path`, with the link files that it names. Raises UserError as `load`."""
    return _checked(_watch(path, environment))


def load_unchecked(
    path: Path, environment: Mapping[str, str] = os.environ, data: bytes | None = None
) -> EndpointSettings | WatchSettings:
    """Return the settings in `path` without the check of who can change its files (`ProcessSettings.changeable`).

    `data` as in `load`. Raises UserError.
    """
    if "side" in toml_reader.read(path, what=toml_reader.PROCESS, data=data):
        return _endpoint(path, environment, data)
    return _watch(path, environment, data)


def read_form(path: Path, data: bytes | None = None) -> EndpointTable | WatchTable:
    """Return the keys and values of the settings `path`, without reading the files that they name.

    `data` as in `load`. Raises UserError.
    """
    endpoint = "side" in toml_reader.read(path, what=toml_reader.PROCESS, data=data)
    raw = _endpoint_table(path, data) if endpoint else _watch_table(path, data)
    officers.check(raw.officers, path)
    return raw


def _endpoint_table(path: Path, data: bytes | None) -> EndpointTable:
    table = toml_reader.read(path, what=toml_reader.ENDPOINT, data=data)
    require_private(path, what=phrase("endpoint configuration"))
    return toml_reader.convert(table, EndpointTable, path=path)


def _watch_table(path: Path, data: bytes | None) -> WatchTable:
    table = toml_reader.read(path, what=toml_reader.WATCH, data=data)
    if "officers" in table:
        # it holds hashes of their credentials
        require_private(path, what=phrase("watch configuration"))
    return toml_reader.convert(table, WatchTable, path=path)


def _endpoint(path: Path, environment: Mapping[str, str], data: bytes | None = None) -> EndpointSettings:
    raw = _endpoint_table(path, data)
    links = links_of(raw.links, path)
    for link in links:
        if raw.side not in link.content.parties:
            parties = ", ".join(link.content.parties)
            raise UserError(
                phrase(
                    "{path}: side: {side} is not a party of link {id} ({file}); its parties are {parties}",
                    path=path,
                    side=raw.side,
                    id=link.id,
                    file=link.file,
                    parties=parties,
                )
            )
    if not raw.officers:
        raise UserError(
            phrase(
                "{path}: officers: none, so nobody can answer; add one: {command}",
                path=path,
                command=shlex.join(["deconflict", "officer", "add", str(path), "ID"]),
            )
        )
    return EndpointSettings(**_process(raw, raw.side, links, path, environment), keys=path.absolute().parent / raw.keys)


def _watch(path: Path, environment: Mapping[str, str], data: bytes | None = None) -> WatchSettings:
    raw = _watch_table(path, data)
    links = links_of(raw.links, path)
    for link in links:
        if raw.identity in link.content.parties:
            wrong = phrase(
                "{name} is a party of link {id}; the watch needs an identity of its own", name=raw.identity, id=link.id
            )
            raise UserError(phrase("{path}: identity: {error}", path=path, error=wrong))
    return WatchSettings(
        **_process(raw, raw.identity, links, path, environment),
        keys=None if raw.keys is UNSET else path.absolute().parent / raw.keys,
        dead_man=dead_man(raw.dead_man, path, environment),
    )


_SettingsT = TypeVar("_SettingsT", bound=ProcessSettings)


def _checked(loaded: _SettingsT) -> _SettingsT:
    """Return `loaded`. Raises UserError if other users can change a file that decides whom the process trusts."""
    for line in loaded.changeable():
        raise UserError(line)
    return loaded


def _process(
    raw: ProcessTable, side: str, links: tuple[LinkSettings, ...], path: Path, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Return the fields of ProcessSettings. Raises UserError."""
    officers.check(raw.officers, path)
    folder = path.absolute().parent
    contents = [link.content for link in links]
    return {
        "path": path,
        "side": side,
        "links": links,
        "broker": broker(raw.broker, side, folder, path, environment),
        "control": check_socket(folder / raw.control, at=f"{path}: control"),
        "officers": raw.officers,
        "language": environment.get("DECONFLICT_LANG") or raw.language,
        "notifications": notifications(raw.notifications, path, environment),
        "exercise_clock": exercise.clock(raw.exercise_clock or None, contents, folder, path, environment),
        "health": health(raw.health, path, environment),
        "console": raw.console is not UNSET,
        "allow_ptrace": exercise.allow_ptrace(contents, environment),
    }


def links_of(raw: tuple[LinkTable, ...], path: Path) -> tuple[LinkSettings, ...]:
    """Return the links of the entries `raw` in the file `path`, with their link files. Raises UserError."""
    folder = path.absolute().parent
    links: list[LinkSettings] = []
    files: dict[str, Path] = {}
    journals: dict[str, str] = {}
    for index, each in enumerate(raw):
        # `..` is of the folder itself, not of a symbolic link to it
        file = Path(os.path.normpath(folder.resolve() / each.file))
        journal, at = folder / each.journal, f"{path}: links[{index}]"
        if not exists(file):
            raise UserError(
                phrase("{at}.file: no such file: {file}; {remedy}", at=at, file=file, remedy=LINK_FILE_MISSING)
            )
        content = link_file.load(file)
        link = content.terms.link
        if (other := files.setdefault(link, file)) is not file:
            raise UserError(phrase("{at}.file: link {id} again; {file} already defines it", at=at, id=link, file=other))
        if (owner := journals.setdefault(os.path.normpath(journal), link)) != link:
            raise UserError(
                phrase("{at}.journal: {file} already is the journal of {id}", at=at, file=each.journal, id=owner)
            )
        words = OwnWords()
        if isinstance(each, EndpointLinkTable):
            words = own_words(each.test_text, each.answer_text, content.terms, at=at)
        links.append(LinkSettings(file=file, content=content, journal=journal, words=words))
    return tuple(links)
