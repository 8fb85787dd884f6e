"""The core of the independent watch: reads both directions, sends nothing, and applies the same rules (SPEC W6)."""

from __future__ import annotations

from typing import ClassVar, get_args

from protocol.core.books import Books
from protocol.core.core import Core, due_first, no_epoch
from protocol.core.core_state import CoreState
from protocol.core.deadlines import Deadline, Turn
from protocol.core.effects import Effect
from protocol.core.epoch import Epoch, check_terms
from protocol.core.event import Event
from protocol.core.events import (
    AlarmAcknowledged,
    AnyEvent,
    BatchClosed,
    DeadlineReached,
    FrameReceived,
    PublishRefused,
    Request,
)
from protocol.core.frame_intake import FrameIntake
from protocol.core.observed_streams import ObservedStreams, ObserverEpochState
from protocol.core.snapshot import Snapshot, inbox_view
from protocol.core.start_events import EpochOpened, LinkConfirmed, WordsChosen
from protocol.core.stream import InboxState
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.phrases import phrase
from protocol.wire.digests import genesis
from protocol.wire.messages import Identifier


class ObserverState(CoreState):
    """State of an independent watch."""

    epoch: ObserverEpochState | None = None


class ObserverEpoch(Epoch):
    """The open epoch at the watch.

    Attributes:
        intake: reads the frames of both parties.
        streams: applies their messages and receipts.
    """

    def __init__(self, state: ObserverState, opened: ObserverEpochState, books: Books) -> None:
        super().__init__(opened.terms, state, books)
        self.intake = FrameIntake(self, (self.terms.caller, self.terms.answering), books)
        self.streams = ObservedStreams(opened, self, books)


class Observer(Core):
    """A link, seen from outside."""

    STATE: ClassVar[type[CoreState]] = ObserverState
    EVENTS: ClassVar[frozenset[type[Event]]] = frozenset(
        event for event in get_args(AnyEvent) if event is AlarmAcknowledged or not issubclass(event, Request)
    ) - {PublishRefused, WordsChosen, LinkConfirmed}
    state: ObserverState

    def __init__(self, state: ObserverState) -> None:
        super().__init__(state)
        self._epoch: ObserverEpoch | None = None
        if state.epoch is not None:
            self._epoch = ObserverEpoch(state, state.epoch, self._books)

    @classmethod
    def new(cls, link: Identifier, side: Identifier = "watch") -> Observer:
        """Return a watch over a link without any history: its first event is `EpochOpened`."""
        return cls(ObserverState(link=link, side=side))

    def snapshot(self) -> Snapshot:
        """Return an immutable view for consoles, `status` and tests. Raises LocalProtocolError without an epoch."""
        epoch = self._opened()
        return self._view(
            epoch, theirs={party: inbox_view(stream) for party, stream in epoch.streams.state.streams.items()}
        )

    def next_deadline(self) -> Deadline | None:
        """Return when this core wants a `DeadlineReached`: the one timer of a link."""
        return None if self._epoch is None else self._deadline(self._epoch, None)

    def handle(self, event: Event, *, rules: int = int(Core.RULES)) -> tuple[Effect, ...]:
        """Take what happened; return what to do. See `Core.handle`."""
        self._check(event)
        turn = self._books.deadlines.turn(event, rules)
        match event:
            case EpochOpened():
                self._open_epoch(turn, event)
            case BatchClosed(frames=frames) if frames:
                raise LocalProtocolError("wrong_frames", phrase("the watch sends nothing, so no frames can be sealed"))
            case _ if turn.older and self._passed_over(event):
                pass
            case _:
                if not self._take_settings(turn, event):
                    self._take(turn, self._opened(), event)
        self._books.deadlines.commit(event, turn)
        return tuple(turn.effects)

    def _opened(self) -> ObserverEpoch:
        """Return the open epoch. Raises LocalProtocolError if there is none."""
        if self._epoch is None:
            raise no_epoch()
        return self._epoch

    def _open_epoch(self, turn: Turn, event: EpochOpened) -> None:
        terms, before, state = event.terms, self._epoch, self.state
        check_terms(terms, self.link, before)
        parties = (terms.caller, terms.answering)
        streams = {party: InboxState(head=genesis(terms, party)) for party in parties}
        state.epoch = ObserverEpochState(terms, streams, dict.fromkeys(parties, 0), {party: {} for party in parties})
        self._epoch = ObserverEpoch(state, state.epoch, self._books)
        if before is not None:
            self._epoch.supersede(turn)

    def _take(self, turn: Turn, epoch: ObserverEpoch, event: Event) -> None:
        if due_first(event):
            epoch.fall_due(turn)
        match event:
            case FrameReceived():
                self._take_frame(turn, epoch, event)
            case DeadlineReached():
                epoch.watch.begun(turn.at, placing=False)
            case _:
                self._take_shared(turn, epoch, event)

    def redundant(self, event: FrameReceived) -> str:
        """Return why a verified frame would change nothing here; see `Core.redundant`."""
        epoch = self._epoch
        return epoch.intake.redundant(event, epoch.streams.is_news, epoch.streams.redundant) if epoch else ""

    def _take_frame(self, turn: Turn, epoch: ObserverEpoch, event: FrameReceived) -> None:
        self._note_signed(turn, event)
        try:
            content = epoch.intake.read(turn, event)
            if content.claim is not None:
                epoch.streams.take_claim(turn, content.sender, content.claim)
            if content.run is not None:
                epoch.streams.take(turn, content.run)
        except RemoteProtocolError as refusal:
            epoch.intake.reject(turn, event, refusal)
