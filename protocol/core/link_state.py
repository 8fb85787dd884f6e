"""State that a checkpoint keeps of one side's end of a link."""

from __future__ import annotations

from msgspec import field

from protocol.core.core_state import CoreState, EpochState
from protocol.core.duty import Confirmation, OnWatch, OwnWords
from protocol.core.officer_requests import OfficerRequestsState
from protocol.core.references import KnownState
from protocol.core.stream import InboxState, OutboxState
from protocol.core.undelivered import Undelivered
from protocol.wire.instants import Millis
from protocol.wire.messages import Identifier


class LinkEpochState(EpochState):
    """State of the open epoch at one side: its terms and both streams."""

    outbox: OutboxState
    inbox: InboxState


class LinkState(CoreState):
    """State of one side's end of a link."""

    epoch: LinkEpochState | None = None
    officer_requests: OfficerRequestsState = field(default_factory=OfficerRequestsState)
    # what messages may refer to, by party; references reach back into earlier epochs
    references: dict[Identifier, KnownState] = field(default_factory=dict)
    # of earlier epochs
    undelivered: list[Undelivered] = field(default_factory=list)
    receipt_owed: bool = False
    # the age at which a frame of other terms was last answered
    foreign_answered_age: Millis | None = None
    words: OwnWords = field(default_factory=OwnWords)
    on_watch: OnWatch | None = None
    # of the link file of the open epoch; None if no officer has compared it
    confirmed: Confirmation | None = None
