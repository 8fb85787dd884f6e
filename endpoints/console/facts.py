"""What a screen is made from: one link at one instant, as the console knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from endpoints.config.link_file import LinkFile
from endpoints.config.settings import LinkSettings
from endpoints.console.condition import Condition
from endpoints.console.history import History
from endpoints.console.preferences import Preferences
from endpoints.control.event_lines import PartyPresence
from endpoints.control.status import Status
from protocol.core.snapshot import Snapshot
from protocol.wire.instants import Millis
from protocol.wire.messages import Identifier

Role = Literal["board", "officer", "investigator"]
"""Who reads: a wall display, a duty officer, an investigator."""


class WatchFacts(Struct, frozen=True, kw_only=True):
    """What the independent watch says of the link.

    Attributes:
        heard_at: when it was last heard, None before the first time.
        status, snapshot: its last words, None before the first.
        condition: whether they still hold.
    """

    heard_at: Millis | None
    status: Status | None
    snapshot: Snapshot | None
    condition: Condition


class Replayed(Struct, frozen=True, kw_only=True):
    """What the journal says of an instant in the past.

    Attributes:
        at: the instant.
        then: the link at that instant; None if the journal does not say.
        hash: of the last record before.
        trouble: why not.
    """

    at: Millis
    then: Facts | None = None
    hash: str = ""
    trouble: str = ""


class Facts(Struct, frozen=True, kw_only=True):
    """One link at one instant.

    Attributes:
        settings: the link's files.
        side: whose console it is.
        status, snapshot: the last that the endpoint said; None before its first word, or of a link that has stopped.
        heard_at: when it last gave a sign of life, None before the first.
        presence: what it said then of the presence of the other party.
        upto: the number of the last record of the journal then, 0 before its first word.
        condition: whether the last words still hold, and if not, which part is gone.
        now: the time of the link: of an exercise, its own.
        rate: how many seconds of it pass in one real second.
        watch: what the independent watch says; None without its configuration.
        history: the messages of the journal, None if there is none to read.
        role: who reads.
        officer: the officer who has logged in, empty for others.
        texts: whether the texts of messages are shown.
        preferences: how this browser shows it.
        rest: what follows the screen's name in the address, such as `eucom/1/42`.
        channel_notes: what this side notes of the other channels, by channel.
        roster: the officers who are enrolled here, None before that is known.
        replayed: what the journal says of a past instant, for a screen that asks for one.
    """

    settings: LinkSettings
    side: str
    status: Status | None
    snapshot: Snapshot | None
    heard_at: Millis | None
    presence: Mapping[Identifier, PartyPresence]
    upto: int
    condition: Condition
    now: Millis
    rate: int
    watch: WatchFacts | None
    history: History | None
    role: Role
    officer: str
    texts: bool
    preferences: Preferences
    rest: str
    channel_notes: Mapping[str, str] = {}
    roster: frozenset[Identifier] | None = None
    replayed: Replayed | None = None

    @property
    def link(self) -> LinkFile:
        """The content of the link file."""
        return self.settings.content

    @property
    def has_officers(self) -> bool:
        """Whether officers of this side are on watch and speak; the independent watch has none."""
        return self.side in self.link.parties

    @property
    def peer(self) -> str:
        """The other side."""
        return self.link.peer_of(self.side)

    @property
    def broker(self) -> Literal["connected", "disconnected", "unknown"]:
        """Whether there is a connection to the broker. Of the past, only that one was lost is known."""
        if self.status is None or not self.condition.current:
            return "unknown"
        held = self.status.broker == "connected"
        return "unknown" if held and self.condition.state == "replayed" else self.status.broker

    @property
    def sites(self) -> tuple[tuple[str, str], ...]:
        """The name and the time zone of each site, this side's first."""
        parties = sorted(self.link.parties.items(), key=lambda each: each[0] != self.side)
        return tuple((party.site, party.zone) for _, party in parties)
