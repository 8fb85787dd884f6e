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
from protocol.phrases import phrase
from protocol.wire.digests import genesis
from protocol.wire.instants import parsed
from protocol.wire.messages import Claim, Digest, Identifier, Message, MessagePayload, Reference
from protocol.wire.refusals import FrameRefusal

CLAIMED_KEPT = 64
"""How many receipts are kept of messages that were not seen yet."""


class ObserverEpochState(EpochState):
    """State of the open epoch at the watch: its terms, and both streams by their senders."""

    streams: dict[Identifier, InboxState]
    # up to where the other party has receipted each stream
    receipted: dict[Identifier, int]
    # heads that receipts give to messages of each stream that were not seen yet, oldest first
    claimed: dict[Identifier, dict[int, Digest]]


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
        self._epoch.clocks.floor(turn, payload, stream.upto)
        try:
            inbox.take(payload.messages)
        except Equivocated as finding:  # SPEC M5
            self._stop(turn, sender, phrase("{sender} contradicts itself: {finding}", sender=sender, finding=finding))
        while (message := inbox.next_message()) is not None:
            self._apply(turn, sender, message)

    def take_claim(self, turn: Turn, sender: Identifier, claim: Claim) -> None:
        """Take a receipt of `sender` for the other party's stream, as far as that was seen."""
        party = self._epoch.other(sender)
        stream, before = self.state.streams[party], self.state.receipted[party]
        true = self._head(party, claim.upto) in {"", claim.head}
        covered = Reference(party, self._epoch.terms.epoch, claim.upto)
        self._epoch.clocks.claimed(turn, sender, claim, covered, news=true and claim.upto > before)
        if not true:
            self._fork(turn, party, claim.upto, claim.head)
            return
        if claim.upto > before:
            self.state.receipted[party] = claim.upto
            if claim.upto > stream.upto:
                claimed = self.state.claimed[party]
                claimed[claim.upto] = claim.head
                if len(claimed) > CLAIMED_KEPT:
                    del claimed[next(iter(claimed))]
            # messages that were not seen yet count as receipted when they are applied
            first = max(before, stream.upto - HASHES_KEPT) + 1
            self._epoch.receipted(turn, party, range(first, min(claim.upto, stream.upto) + 1))

    def is_news(self, sender: Identifier, claim: Claim) -> bool:
        """Return whether a receipt would change anything."""
        party = self._epoch.other(sender)
        if self._head(party, claim.upto) not in {"", claim.head}:
            return not self._alarms.active(AlarmCode.FORK, sender)
        return claim.upto > self.state.receipted[party]

    def redundant(self, payload: MessagePayload) -> str:
        """Return why `take` would change nothing for a frame, an empty string if it would."""
        stream = self.state.streams[payload.sender]
        if stream.stopped:
            return FrameRefusal.DIRECTION_STOPPED
        if payload.messages[0].seq > stream.upto + 1:
            return ""
        return Inbox(stream).redundant(payload.messages, self._epoch.clocks.state.floors.get(payload.sender, 0))

    def _head(self, party: Identifier, upto: int) -> Digest:
        """Return the head of a stream at `upto`, or the one that a receipt gave it; empty if neither is known."""
        stream = self.state.streams[party]
        if not upto:
            return genesis(self._epoch.terms, party)
        if upto == stream.upto:
            return stream.head
        return stream.hashes.get(upto) or self.state.claimed[party].get(upto, "")

    def _fork(self, turn: Turn, party: Identifier, upto: int, head: Digest) -> None:
        sender = self._epoch.other(party)
        known = self._head(party, upto)
        detail = phrase(
            "{sender} claims {count} messages with head {head}; {party} sent {known}",
            sender=sender,
            count=upto,
            head=head[:16],
            party=party,
            known=known[:16],
        )
        self._alarms.raise_alarm(turn, AlarmCode.FORK, sender, detail=detail)

    def _reached(self, turn: Turn, party: Identifier, upto: int) -> None:
        """Compare the head of a stream with a receipt that came here first (SPEC R3.1)."""
        head = self.state.claimed[party].pop(upto, "")
        if head not in {"", self.state.streams[party].head}:
            self._fork(turn, party, upto, head)

    def _skip(self, turn: Turn, inbox: Inbox, payload: MessagePayload) -> None:
        joined_late = not inbox.state.upto
        before = inbox.state.upto
        inbox.skip_to(payload.messages)
        claimed = self.state.claimed[payload.sender]
        self.state.claimed[payload.sender] = {upto: head for upto, head in claimed.items() if upto >= inbox.state.upto}
        self._reached(turn, payload.sender, inbox.state.upto)
        if not joined_late:
            missing = phrase(
                "messages {first} to {last} of {sender} were not seen",
                first=before + 1,
                last=inbox.state.upto,
                sender=payload.sender,
            )
            self._alarms.raise_passing(
                turn, AlarmCode.WATCH_BLIND, f"{payload.sender}/{before + 1}-{inbox.state.upto}", detail=missing
            )

    def _stop(self, turn: Turn, sender: Identifier, detail: str) -> NoReturn:
        self.state.streams[sender].stopped = AlarmCode.EQUIVOCATION
        self._alarms.raise_alarm(turn, AlarmCode.EQUIVOCATION, sender, detail=detail)
        raise RemoteProtocolError(FrameRefusal.DIRECTION_STOPPED, detail)

    def _apply(self, turn: Turn, sender: Identifier, message: Message) -> None:
        reference = Reference(sender, self._epoch.terms.epoch, message.seq)
        self._epoch.clocks.applied(turn, reference, message)
        # it was sent before it arrived, whatever it says
        self._epoch.clocks.remember(reference, min(parsed(message.at), turn.at))
        self._reached(turn, sender, message.seq)
        try:
            body = read_message(message, sender, self._epoch.terms)
            check_parties(body, sender)
            self._epoch.check_capacity(sender, body)
        except RemoteProtocolError as refusal:
            turn.emit(Apply(sender=sender, message=message, refused=refusal.reason))
            return
        turn.emit(Apply(sender=sender, message=message))
        self._epoch.clocks.referred(turn, reference, message, body)
        self._epoch.apply(turn, reference, body, message.at, received=False)
        if message.seq <= self.state.receipted[sender]:  # its receipt came here first
            self._epoch.receipted(turn, sender, range(message.seq, message.seq + 1))
