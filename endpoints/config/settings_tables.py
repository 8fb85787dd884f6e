"""The tables of `endpoint.toml` and `watch.toml`: keys, types and defaults, before any file that they name is read."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from endpoints.config.health import HealthTable, Port
from endpoints.config.notifications import DeadManTable, FilePath, NotificationsTable
from endpoints.config.officers import Officer
from protocol.wire.messages import Identifier, Texts

WATCH_IDENTITY = "watch"
"""The watch's side in its journals and its identity at the broker, unless the settings name another."""
CONTROL = "control.sock"
"""The control socket's name, unless the settings name another."""
ADDRESSES_MAX = 16
"""Nodes of one broker; each is tried in turn."""
SessionSeconds = Annotated[int, Meta(ge=60, le=86_400, extra={"unit": "s"})]
"""How long a session of the console may last: a minute to a day."""
LINKS_MAX = 1_000
"""What an endpoint carries with the latency of one link (docs/decisions/0128)."""


class LinkTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of `[[links]]`."""

    file: FilePath
    journal: FilePath


class EndpointLinkTable(LinkTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of `[[links]]` of an endpoint."""

    test_text: Texts | UnsetType = UNSET
    answer_text: Texts | UnsetType = UNSET


class BrokerTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[broker]`: one `host` with its `port`, or the `addresses` of several nodes."""

    host: Annotated[str, Meta(max_length=4_000)] | UnsetType = UNSET
    port: Port | UnsetType = UNSET
    addresses: (
        Annotated[tuple[Annotated[str, Meta(max_length=4_000)], ...], Meta(min_length=1, max_length=ADDRESSES_MAX)]
        | UnsetType
    ) = UNSET
    authority: FilePath
    certificate: FilePath
    key: FilePath


class ConsoleTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[console]`, which `endpoints.config.console_settings` reads."""

    # an address with its port, or `unix:` and the path of a socket
    listen: Annotated[str, Meta(min_length=1, max_length=4_000)] | UnsetType = UNSET
    # of the address that browsers show
    origin: Annotated[str, Meta(min_length=1, max_length=300)] | UnsetType = UNSET
    certificate: FilePath | UnsetType = UNSET
    key: FilePath | UnsetType = UNSET
    # how long a session of a browser lasts at most
    session_s: SessionSeconds = 43_200
    # whether boards, which stand where others may read them, show what messages say
    board_texts: bool = False
    language: Literal["en", "ru"] | UnsetType = UNSET
    # what this side alone notes of the link's other channels, such as a number to call
    channels: dict[Identifier, Annotated[str, Meta(min_length=1, max_length=200)]] = {}


class ProcessTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both files have in common."""

    links: Annotated[tuple[LinkTable, ...], Meta(min_length=1, max_length=LINKS_MAX)]
    broker: BrokerTable
    control: FilePath = CONTROL
    officers: dict[Identifier, Officer] = {}
    language: Literal["en", "ru"] = "en"
    notifications: NotificationsTable = NotificationsTable()
    exercise_clock: FilePath | UnsetType = UNSET
    health: HealthTable | UnsetType = UNSET
    console: ConsoleTable | UnsetType = UNSET


class EndpointTable(ProcessTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `endpoint.toml`."""

    links: Annotated[tuple[EndpointLinkTable, ...], Meta(min_length=1, max_length=LINKS_MAX)]
    side: Identifier
    keys: FilePath = "keys"


class WatchTable(ProcessTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `watch.toml`."""

    identity: Identifier = WATCH_IDENTITY
    keys: FilePath | UnsetType = UNSET
    dead_man: DeadManTable = DeadManTable()
