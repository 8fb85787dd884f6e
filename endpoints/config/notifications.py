"""Reads where alarms and messages are announced, and which monitor expects the watch's sign of life.

```toml
[notifications]
log = true
command = ["/usr/local/bin/page-the-duty-officer"]
webhook = "https://pager.example/hook"
authority = "tls/pager-ca.pem"      # of the webhook's certificate; the public authorities if absent

[dead_man]                          # of the watch alone
url = "https://monitor.example/ping"
every = "60s"
authority = "tls/monitor-ca.pem"
```
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, Struct, UnsetType

from endpoints.config import variables
from endpoints.errors import UserError
from endpoints.keys.private_files import exists
from protocol.phrases import phrase
from protocol.wire.policy import Seconds

FilePath = Annotated[str, Meta(min_length=1, max_length=4_000)]


class NotificationsTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[notifications]`."""

    # each is a line of the log
    log: bool = True
    # program and arguments; it reads the notification as JSON from standard input
    command: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    # a URL that accepts the notification as JSON by POST
    webhook: str = ""
    # the authorities of its certificate (PEM); the public ones if absent
    authority: FilePath | UnsetType = UNSET


class DeadManTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[dead_man]`."""

    # a URL that is requested regularly while all is watched
    url: str = ""
    # how often
    every_s: Seconds = 60
    # the authorities of its certificate (PEM); the public ones if absent
    authority: FilePath | UnsetType = UNSET


class Notifications(Struct, frozen=True, kw_only=True):
    """Where alarms and messages are announced: the log, a command, a webhook, or several of these.

    Attributes:
        log: whether each is a line of the log.
        command: program and arguments; empty if there is none.
        webhook: a URL of HTTP or HTTPS; empty if there is none.
        authority: the PEM file of the authorities of the webhook's certificate; None for the public ones.
    """

    log: bool = True
    command: tuple[str, ...] = ()
    webhook: str = ""
    authority: Path | None = None


class DeadManSettings(Struct, frozen=True, kw_only=True):
    """The monitor that expects the watch's sign of life.

    Attributes:
        url: requested every `every_s` seconds while all is watched; empty if there is none (SPEC W6).
        authority: the PEM file of the authorities of its certificate; None for the public ones.
    """

    url: str = ""
    every_s: int = 60
    authority: Path | None = None


def notifications(table: NotificationsTable, path: Path, environment: Mapping[str, str]) -> Notifications:
    """Return the table of the file `path`; the environment takes precedence. Raises UserError."""
    webhook = variables.secret("WEBHOOK", environment) or table.webhook
    at = f"{path}: notifications"
    variables.check_url(webhook, f"{at}.webhook")
    return Notifications(
        log=table.log,
        command=table.command,
        webhook=webhook,
        authority=_authority(table.authority or None, webhook, path, f"{at}.authority"),
    )


def dead_man(table: DeadManTable, path: Path, environment: Mapping[str, str]) -> DeadManSettings:
    """Return the table of the file `path`; the environment takes precedence. Raises UserError."""
    url = variables.secret("PING", environment) or table.url
    at = f"{path}: dead_man"
    variables.check_url(url, f"{at}.url")
    authority = _authority(table.authority or None, url, path, f"{at}.authority")
    return DeadManSettings(url=url, every_s=table.every_s, authority=authority)


def _authority(file: str | None, url: str, path: Path, at: str) -> Path | None:
    """Return the file of an authority, named relative to the folder of `path`. Raises UserError naming the key `at`."""
    if file is None:
        return None
    found = path.absolute().parent / file
    if not (exists(found) and found.is_file()):
        raise UserError(phrase("{at}: no such file: {path}", at=at, path=str(found)))
    if urlsplit(url).scheme != "https":
        raise UserError(phrase("{at}: only an https URL has a certificate; use one, or remove this line", at=at))
    return found
