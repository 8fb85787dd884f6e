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

    # the link file
    file: FilePath
    # the folder of the link's journal
    journal: FilePath


class EndpointLinkTable(LinkTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of `[[links]]` of an endpoint."""

    # what this side says in its line tests, by language; the policy's text if absent
    test_text: Texts | UnsetType = UNSET
    # what this side answers to a line test, by language; the policy's text if absent
    answer_text: Texts | UnsetType = UNSET


class BrokerTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[broker]`: one `host` with its `port`, or the `addresses` of several nodes."""

    # the broker's host name or address
    host: Annotated[str, Meta(max_length=4_000)] | UnsetType = UNSET
    port: Port | UnsetType = UNSET  # 8883 if absent
    # instead of `host` and `port`: the nodes of a cluster, such as `h1:8883`
    addresses: (
        Annotated[tuple[Annotated[str, Meta(max_length=4_000)], ...], Meta(min_length=1, max_length=ADDRESSES_MAX)]
        | UnsetType
    ) = UNSET
    # the authorities that the broker's certificate may be from (PEM)
    authority: FilePath
    # this process's own certificate (PEM)
    certificate: FilePath
    # its private key (PEM, mode 0600)
    key: FilePath


class ConsoleTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[console]`, which `endpoints.config.console_settings` reads."""

    # an address with its port, or `unix:` and the path of a socket
    listen: Annotated[str, Meta(min_length=1, max_length=4_000)] | UnsetType = UNSET
    # of the address that browsers show
    origin: Annotated[str, Meta(min_length=1, max_length=300)] | UnsetType = UNSET
    # the certificate of the console's own HTTPS (PEM)
    certificate: FilePath | UnsetType = UNSET
    # its private key (PEM, mode 0600)
    key: FilePath | UnsetType = UNSET
    # how long a session of a browser lasts at most
    session_s: SessionSeconds = 43_200
    # whether boards, which stand where others may read them, show what messages say
    board_texts: bool = False
    # of the screens before a reader chooses; the process's if absent
    language: Literal["en", "ru"] | UnsetType = UNSET


class ProcessTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both files have in common."""

    # the links of this process
    links: Annotated[tuple[LinkTable, ...], Meta(min_length=1, max_length=LINKS_MAX)]
    # the connection to the broker
    broker: BrokerTable
    # the control socket
    control: FilePath = CONTROL
    # those who may act here, by id; made by `deconflict officer add`
    officers: dict[Identifier, Officer] = {}
    # of notifications
    language: Literal["en", "ru"] = "en"
    # where alarms and messages are announced
    notifications: NotificationsTable = NotificationsTable()
    # the table of an exercise's clock, for exercise links only
    exercise_clock: FilePath | UnsetType = UNSET
    # where health and metrics are served; nowhere if absent
    health: HealthTable | UnsetType = UNSET
    # the officers' console in a browser; none is expected if absent
    console: ConsoleTable | UnsetType = UNSET


class EndpointTable(ProcessTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `endpoint.toml`."""

    links: Annotated[tuple[EndpointLinkTable, ...], Meta(min_length=1, max_length=LINKS_MAX)]
    # the party whose endpoint this is
    side: Identifier
    # the folder of its private signing keys
    keys: FilePath = "keys"


class WatchTable(ProcessTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `watch.toml`."""

    # the watch's side in its journals, and its identity at the broker
    identity: Identifier = WATCH_IDENTITY
    # the folder of its private keys, with which it signs the heads of its journals; unsigned if absent
    keys: FilePath | UnsetType = UNSET
    # the monitor that expects its sign of life
    dead_man: DeadManTable = DeadManTable()
