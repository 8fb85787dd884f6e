"""One side's end of a link while an epoch is open: both streams, and everything that works on them."""

from __future__ import annotations

from protocol.core.alarms import AlarmCode
from protocol.core.books import Books
from protocol.core.deadlines import Turn
from protocol.core.drafts import Drafts
from protocol.core.epoch import Epoch
from protocol.core.frame_intake import FrameIntake
from protocol.core.link_state import LinkEpochState, LinkState
from protocol.core.officer_requests import OfficerRequests
from protocol.core.own_stream import OwnStream
from protocol.core.peer_stream import PeerStream
from protocol.core.references import KnownState, References
from protocol.core.sealing import Sealing
from protocol.core.stream import OUTBOX_MAX_MESSAGES, OUTBOX_RESERVE_MESSAGES, Inbox, InboxState, Outbox, OutboxState
from protocol.core.undelivered import undelivered
from protocol.phrases import phrase
from protocol.wire.digests import genesis
from protocol.wire.instants import Millis
from protocol.wire.messages import Reference
from protocol.wire.policy import Terms

UNDELIVERED_MAX = OUTBOX_MAX_MESSAGES + OUTBOX_RESERVE_MESSAGES
"""Undelivered messages that are kept: as many as one epoch can leave. Of more the newest stay; the journal has all."""


class LinkEpoch(Epoch):
    """The open epoch at one side.

    Attributes:
        peer: the other party.
        outbox: our own messages.
        inbox: the peer's messages.
        own, theirs: what is done with either.
        intake: reads the peer's frames.
        sealing: plans the frames of a batch.
        drafts: alerts that wait for a second officer.
        officer_requests: turns officers' requests into messages.
    """

    def __init__(self, state: LinkState, opened: LinkEpochState, books: Books) -> None:
        super().__init__(opened.terms, state, books)
        references = References(state.references, opened.terms.epoch)
        self.peer = self.other(state.side)
        self.outbox = Outbox(opened.outbox)
        self.inbox = Inbox(opened.inbox)
        self.own = OwnStream(state.side, self.outbox, references, self, books)
        self.theirs = PeerStream(state, self.inbox, self.own, references, self, books)
        self.intake = FrameIntake(self, (self.peer,), books)
        self.sealing = Sealing(state, self, self.outbox, self.inbox, references)
        self.drafts = Drafts(state.officer_requests, state.side, opened.terms.policy.status)
        self.officer_requests = OfficerRequests(
            state.officer_requests, state.side, state.words, self.drafts, self.own, self
        )

    def fall_due(self, turn: Turn) -> None:
        """Judge the slots, and handle the deadlines and the drafts that are due by now."""
        super().fall_due(turn)
        self.drafts.fall_due(turn)

    def next_instant(self) -> Millis | None:
        """Return the next instant at which a slot or a draft falls due, None if there is none."""
        instants = (self.watch.next_instant(), self.drafts.next_instant())
        return min((at for at in instants if at is not None), default=None)


def open_link_epoch(turn: Turn, terms: Terms, state: LinkState, books: Books) -> LinkEpoch:
    """Return the epoch of `terms`, in place of the one that `state` names (SPEC E2).

    The streams begin anew. What the peer had not receipted becomes undelivered, with an alarm.
    """
    before = state.epoch
    ours, theirs = (genesis(terms, party) for party in _parties(terms, state.side))
    state.epoch = LinkEpochState(terms, OutboxState(ours, ours, hashes={0: ours}), InboxState(head=theirs))
    for party in _parties(terms, state.side):
        state.references.setdefault(party, KnownState()).known_upto = 0
    epoch = LinkEpoch(state, state.epoch, books)
    if before is not None:
        epoch.supersede(turn)
        left = undelivered(before.outbox, Reference(state.side, before.terms.epoch, 1))
        state.undelivered = [*state.undelivered, *left][-UNDELIVERED_MAX:]
        if left:
            detail = phrase(
                "{count} messages of epoch {epoch} were not receipted; nobody sends them again",
                count=len(left),
                epoch=before.terms.epoch,
            )
            books.alarms.raise_alarm(turn, AlarmCode.UNDELIVERED, left[0].subject, detail=detail)
    return epoch


def _parties(terms: Terms, side: str) -> tuple[str, str]:
    """Return `side` and its peer."""
    return (side, terms.answering if side == terms.caller else terms.caller)
