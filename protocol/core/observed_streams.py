"""Both parties' streams as the independent watch reads them (SPEC W6).

The watch cannot ask for what it missed. So a gap is no fault of the parties: it is recorded as blindness.
"""

from __future__ import annotations

from typing import NoReturn

from protocol.core.alarms import AlarmCode
from protocol.core.books import Books
from protocol.core.core_state import EpochState
from protocol.core.deadlines import Turn
from protocol.core.effects import Apply
from protocol.core.epoch import Epoch
from protocol.core.references import check_parties
from protocol.core.rules import read_message
from protocol.core.stream import HASHES_KEPT, Equivocated, Inbox, InboxState
from protocol.errors import RemoteProtocolError
from protocol.wire.instants import parsed
from protocol.wire.messages import Claim, Identifier, Message, MessagePayload, Reference
from protocol.wire.refusals import FrameRefusal


class ObserverEpochState(EpochState):
    """State of the open epoch at the watch: its terms, and both streams by their senders."""

    streams: dict[Identifier, InboxState]
    # up to where the other party has receipted each stream
    receipted: dict[Identifier, int]


class ObservedStreams:
    """The streams of both parties in one epoch."""

    def __init__(self, state: ObserverEpochState, epoch: Epoch, books: Books) -> None:
        self.state = state
        self._epoch = epoch
        self._alarms = books.alarms

    def take(self, turn: Turn, payload: MessagePayload) -> None:
        """Apply a frame's messages. Raises RemoteProtocolError if its sender's stream has stopped."""
        sender, stream = payload.sender, self.state.streams[payload.sender]
        if stream.stopped:
            raise RemoteProtocolError(FrameRefusal.DIRECTION_STOPPED, stream.stopped)
        inbox = Inbox(stream)
        if payload.messages[0].seq > stream.upto + 1:
            self._skip(turn, inbox, payload)
        try:
            inbox.take(payload.messages)
        except Equivocated as finding:  # SPEC M5
            self._stop(turn, sender, f"{sender} contradicts itself: {finding}")
        while (message := inbox.next_message()) is not None:
            self._apply(turn, sender, message)

    def take_claim(self, turn: Turn, sender: Identifier, claim: Claim) -> None:
        """Take a receipt of `sender` for the other party's stream, as far as that was seen."""
        party = self._epoch.other(sender)
        stream = self.state.streams[party]
        known = stream.head if claim.upto == stream.upto else stream.hashes.get(claim.upto, claim.head)
        if known != claim.head:  # SPEC R3
            detail = f"{sender} claims {claim.upto} messages with head {claim.head[:16]}; {party} sent {known[:16]}"
            self._alarms.raise_alarm(turn, AlarmCode.FORK, sender, detail=detail)
            return
        before = self.state.receipted[party]
        if claim.upto > before:
            self.state.receipted[party] = claim.upto
            # messages that were not seen yet count as receipted when they are applied
            first = max(before, stream.upto - HASHES_KEPT) + 1
            self._epoch.receipted(turn, party, range(first, min(claim.upto, stream.upto) + 1))

    def _skip(self, turn: Turn, inbox: Inbox, payload: MessagePayload) -> None:
        joined_late = not inbox.state.upto
        before = inbox.state.upto
        inbox.skip_to(payload.messages)
        if not joined_late:
            missing = f"messages {before + 1} to {inbox.state.upto} of {payload.sender} were not seen"
            self._alarms.raise_passing(
                turn, AlarmCode.WATCH_BLIND, f"{payload.sender}/{before + 1}-{inbox.state.upto}", detail=missing
            )

    def _stop(self, turn: Turn, sender: Identifier, detail: str) -> NoReturn:
        self.state.streams[sender].stopped = AlarmCode.EQUIVOCATION
        self._alarms.raise_alarm(turn, AlarmCode.EQUIVOCATION, sender, detail=detail)
        raise RemoteProtocolError(FrameRefusal.DIRECTION_STOPPED, detail)

    def _apply(self, turn: Turn, sender: Identifier, message: Message) -> None:
        self._epoch.skew(turn, sender, "ahead", parsed(message.at) - turn.at)
        reference = Reference(sender, self._epoch.terms.epoch, message.seq)
        try:
            body = read_message(message, sender, self._epoch.terms)
            check_parties(body, sender)
            self._epoch.check_capacity(sender, body)
        except RemoteProtocolError as refusal:
            turn.emit(Apply(sender=sender, message=message, refused=refusal.reason))
            return
        turn.emit(Apply(sender=sender, message=message))
        self._epoch.apply(turn, reference, body, message.at, received=False)
        if message.seq <= self.state.receipted[sender]:  # its receipt came here first
            self._epoch.receipted(turn, sender, range(message.seq, message.seq + 1))
