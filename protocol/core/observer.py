"""The independent watch's core: reads both directions, says nothing, and applies the same rules (SPEC W6).

It cannot ask for what it missed, so a gap is no fault of the parties: it is noted as blindness, and the watch goes on.
"""

from __future__ import annotations

from typing import ClassVar, NoReturn

from msgspec import UNSET, field

from protocol.core.alarms import AlarmCode
from protocol.core.core import Core
from protocol.core.core_state import CoreState
from protocol.core.deadlines import Turn
from protocol.core.effects import Apply
from protocol.core.events import BatchClosed, Event
from protocol.core.references import check_parties
from protocol.core.rules import check_body
from protocol.core.snapshot import Snapshot, inbox_view
from protocol.core.stream import HASHES_KEPT, Equivocated, Inbox, InboxState
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.wire.digests import genesis
from protocol.wire.instants import parsed
from protocol.wire.messages import Claim, Identifier, Message, MessagePayload, Reference
from protocol.wire.payloads import read_body
from protocol.wire.policy import Terms
from protocol.wire.refusals import FrameRefusal


class ObserverState(CoreState):
    """What a checkpoint keeps of an independent watch."""

    streams: dict[Identifier, InboxState] = field(default_factory=dict)
    # up to where the other party has receipted each party's stream
    receipted: dict[Identifier, int] = field(default_factory=dict)


class Observer(Core):
    """A link, seen from outside."""

    STATE: ClassVar[type[CoreState]] = ObserverState
    state: ObserverState

    def __init__(self, state: ObserverState) -> None:
        super().__init__(state)
        self._handlers[BatchClosed] = self._batch_closed

    @classmethod
    def new(cls, link: Identifier, side: Identifier = "watch") -> Observer:
        """Return a watch over a link of which nothing is known yet: its first event is `EpochOpened`."""
        return cls(ObserverState(link=link, side=side))

    def snapshot(self) -> Snapshot:
        """Return an immutable view for consoles, `status` and tests. Raises LocalProtocolError without an epoch."""
        self._check_epoch()
        return self._view(theirs={party: inbox_view(stream) for party, stream in self.state.streams.items()})

    def _open_streams(self, _turn: Turn, _before: Terms | None) -> None:
        for party in self._senders():
            self.state.streams[party] = InboxState(head=genesis(self._terms, party))
            self.state.receipted[party] = 0

    def _senders(self) -> tuple[Identifier, ...]:
        return (self._terms.caller, self._terms.answering)

    def _check(self, event: Event) -> None:
        super()._check(event)
        if isinstance(event, BatchClosed) and event.frames:
            raise LocalProtocolError("wrong_frames", "the watch says nothing")

    def _batch_closed(self, _turn: Turn, _event: BatchClosed) -> None:
        pass

    def _take_messages(self, turn: Turn, payload: MessagePayload) -> None:
        sender, stream = payload.sender, self.state.streams[payload.sender]
        if payload.receipt is not UNSET:
            self._take_claim(turn, sender, payload.receipt)
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
        self._skew(turn, sender, "ahead", parsed(message.at) - turn.at)
        reference = Reference(sender, self._terms.epoch, message.seq)
        try:
            body = read_body(message.body)
            check_body(body, sender, self._terms)
            check_parties(body, sender)
            self._check_capacity(sender, body)
        except RemoteProtocolError as refusal:
            turn.emit(Apply(sender=sender, message=message, refused=refusal.reason))
            return
        turn.emit(Apply(sender=sender, message=message))
        self._take_effect(turn, reference, body, received=False)
        if message.seq <= self.state.receipted[sender]:  # its receipt came here first
            self._receipted(turn, sender, range(message.seq, message.seq + 1))

    def _take_claim(self, turn: Turn, sender: Identifier, claim: Claim) -> None:
        party = self._other(sender)
        stream = self.state.streams[party]
        known = stream.head if claim.upto == stream.upto else stream.hashes.get(claim.upto, claim.head)
        if known != claim.head:  # SPEC R3
            detail = f"{sender} claims {claim.upto} messages with head {claim.head[:16]}; {party} sent {known[:16]}"
            self._alarms.raise_alarm(turn, AlarmCode.FORK, sender, detail=detail)
            return
        before = self.state.receipted[party]
        if claim.upto > before:
            self.state.receipted[party] = claim.upto
            # what was not seen yet is receipted when it is applied
            first = max(before, stream.upto - HASHES_KEPT) + 1
            self._receipted(turn, party, range(first, min(claim.upto, stream.upto) + 1))
