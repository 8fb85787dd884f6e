"""One side's end of a link: our stream, the peer's, and officers' requests (SPEC M, R, E, P).

The service hands in events and performs the effects once their records are on disk:

    effects = link.handle(event)              # for everything that has arrived
    payloads = link.unsealed(at)              # what the end of the batch must sign
    link.handle(BatchClosed(frames=...))      # the signed frames: from now on they are what is resent
"""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar, get_args

from msgspec import structs

from protocol.core.alarms import AlarmCode
from protocol.core.core import Core, due_first, no_epoch
from protocol.core.core_state import CoreState
from protocol.core.deadlines import SECOND, Deadline, Turn
from protocol.core.duty import Confirmation, OwnWords, check_leaving, still_enrolled, taken
from protocol.core.effects import Effect
from protocol.core.epoch import check_terms
from protocol.core.event import Event
from protocol.core.events import (
    AlarmAcknowledged,
    AnyEvent,
    BatchClosed,
    ClockStepped,
    DeadlineReached,
    FrameReceived,
    FramesSuppressed,
    LineTestRequested,
    OfficerAcknowledged,
    OfficerAnswered,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerRefused,
    OfficerReleased,
    PeerPresenceChanged,
    SessionBegan,
    SessionEnded,
    Started,
    TransportConnected,
    WatchLeft,
    WatchTaken,
)
from protocol.core.frame_intake import ForeignTermsError
from protocol.core.link_epoch import LinkEpoch, open_link_epoch
from protocol.core.link_keys import LinkKeys
from protocol.core.link_state import LinkState
from protocol.core.sealing import Unsealed
from protocol.core.snapshot import Snapshot, draft_views, inbox_view, outbox_view
from protocol.core.start_events import EpochOpened, KeysEnrolled, LinkConfirmed, OfficersEnrolled, WordsChosen
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.phrases import phrase
from protocol.wire.instants import Millis
from protocol.wire.messages import Identifier, ReceiptPayload
from protocol.wire.refusals import ALTERED, OUTDATED, REPEATED

FOREIGN_ANSWER_MS: Millis = 60 * SECOND
"""A frame of another epoch or policy is answered at most this often (SPEC E3)."""
RULES_THAT_END_THE_WATCH = 5
"""The first rules under which an officer who is removed loses the watch."""
_SENT_AGAIN = {REPEATED, OUTDATED, ALTERED}
"""A sender repeats frames counted for these reasons until it has our receipt, even one that lost its journal."""


class Link(Core):
    """One side's end of one link."""

    STATE: ClassVar[type[CoreState]] = LinkState
    EVENTS: ClassVar[frozenset[type[Event]]] = frozenset(get_args(AnyEvent))
    state: LinkState

    def __init__(self, state: LinkState) -> None:
        super().__init__(state)
        self._epoch: LinkEpoch | None = None
        if state.epoch is not None:
            self._epoch = LinkEpoch(state, state.epoch, self._books)

    @classmethod
    def new(cls, link: Identifier, side: Identifier) -> Link:
        """Return a link without any history: its first event is `EpochOpened`."""
        return cls(LinkState(link=link, side=side))

    @property
    def words(self) -> OwnWords:
        """The words that the last `WordsChosen` named. Nobody may change them."""
        return self.state.words

    @property
    def confirmed(self) -> Confirmation | None:
        """The comparison of the link file of this epoch with the other side's, None if there was none (SPEC E1.8)."""
        return self.state.confirmed

    def frame(self, first: int) -> bytes | None:
        """Return the sealed frame that begins with message `first`, while it is not receipted: for `Resend`."""
        return None if self._epoch is None else self._epoch.outbox.frame(first)

    def snapshot(self) -> Snapshot:
        """Return an immutable view for consoles, `status` and tests. Raises LocalProtocolError without an epoch."""
        epoch = self._opened()
        return self._view(
            epoch,
            ours=outbox_view(epoch.outbox.state),
            theirs={epoch.peer: inbox_view(epoch.inbox.state)},
            cancellations=epoch.officer_requests.cancellations(),
            drafts=draft_views(self.state.officer_requests, epoch.terms.policy.status),
            drafts_ended={f"draft/{number}": act for number, act in self.state.officer_requests.ended.items()},
            undelivered=tuple(self.state.undelivered),
            on_watch=self.state.on_watch,
            confirmed=self.state.confirmed,
        )

    def next_deadline(self) -> Deadline | None:
        """Return when this core wants a `DeadlineReached`: the one timer of a link."""
        if self._epoch is None:
            return None
        return self._deadline(self._epoch, self._epoch.outbox.due_age() if self.state.connected else None)

    @property
    def signs(self) -> bool:
        """Whether our side's accepted keys can sign what the policy requires (SPEC F5.6)."""
        return self._epoch is None or self._epoch.sealing.signs

    def standing_receipt(self) -> ReceiptPayload | None:
        """Return the receipt for all that was applied until now, as of the last event; None without an epoch."""
        return None if self._epoch is None else self._epoch.sealing.receipt(self._epoch.inbox.claim(self.last_at))

    def unsealed(self, at: Millis) -> tuple[Unsealed, ...]:
        """Return the payloads that the `BatchClosed` at the same `at`, the very next event, must carry signed."""
        if self._epoch is None:
            return ()
        return tuple(departure.unsealed for departure in self._epoch.sealing.planned(at))

    def as_seen(self, event: Event) -> Event:
        """Return an act of older rules with the `seen` that it has now. See `Core.as_seen`."""
        if self._epoch is not None and isinstance(event, OfficerAcknowledged | OfficerRefused):
            item = self._epoch.officer_requests.item_of_peer_alert(event.of)
            return event if item is None else structs.replace(event, seen=item.seen)
        return event

    def handle(self, event: Event, *, rules: int = int(Core.RULES)) -> tuple[Effect, ...]:
        """Take what happened; return what to do. See `Core.handle`."""
        if self._epoch is not None and not isinstance(event, BatchClosed):
            self._epoch.sealing.forget()
        self._check(event)
        turn = self._books.deadlines.turn(event, rules)
        if self._epoch is not None and isinstance(event, LineTestRequested) and not turn.older:
            self._epoch.officer_requests.check_placer(event)
        keys = self.state.keys
        match event:
            case EpochOpened():
                self._open_epoch(turn, event)
            case WordsChosen():
                self.state.words.choose(event)
            case LinkConfirmed():
                self.state.confirmed = Confirmation(event.officer, event.compared_at, event.digest, event.first_word)
            case _ if turn.older and self._passed_over(event):
                pass
            case _:
                if not self._take_settings(turn, event):
                    self._take(turn, self._opened(), event)
        if isinstance(event, OfficersEnrolled) and rules >= RULES_THAT_END_THE_WATCH:
            self.state.on_watch = still_enrolled(self.state.on_watch, event)
        if self.state.keys is not keys and not isinstance(event, KeysEnrolled):
            self._keys_changed(keys)
        self._books.deadlines.commit(event, turn)
        return tuple(turn.effects)

    # --- epochs ---------------------------------------------------------------------------------------------------

    def _opened(self) -> LinkEpoch:
        """Return the open epoch. Raises LocalProtocolError if there is none."""
        if self._epoch is None:
            raise no_epoch()
        return self._epoch

    def _open_epoch(self, turn: Turn, event: EpochOpened) -> None:
        if self.side not in {event.terms.caller, event.terms.answering}:
            raise LocalProtocolError(
                "wrong_side", phrase("{side} is no party of {link}", side=self.side, link=event.terms.link)
            )
        check_terms(event.terms, self.link, self._epoch)
        self._epoch = open_link_epoch(turn, event.terms, self.state, self._books)
        self.state.confirmed = None

    def _keys_changed(self, before: LinkKeys) -> None:
        """Sign again what was signed with a key of our own that is no longer accepted (SPEC F5.6).

        Not after `KeysEnrolled`: the first keys and a new epoch leave nothing to sign again, and rules 1 and 2, which
        also enrolled changed keys so, sent what was sealed as it was.
        """
        if self._epoch is None:
            return
        now, suite = self.state.keys, self._epoch.terms.policy.suite
        if now.satisfy(self.side, suite) and not before.satisfy(self.side, suite):
            # the batches that ended meanwhile have dropped their receipts
            self.state.receipt_owed = True
        own = now.accepted.get(self.side, ())
        if any(key not in own for key in before.accepted.get(self.side, ())):
            self._epoch.outbox.sign_again()

    # --- events ---------------------------------------------------------------------------------------------------

    def _take(self, turn: Turn, epoch: LinkEpoch, event: Event) -> None:
        if isinstance(event, BatchClosed):
            epoch.sealing.check(event.at, event.frames)
        if due_first(event):
            epoch.fall_due(turn)
        match event:
            case FrameReceived():
                self._take_frame(turn, epoch, event)
            case BatchClosed():
                epoch.sealing.close(turn, event.frames)
            case DeadlineReached():
                self._deadline_reached(turn, epoch, event)
            case TransportConnected():
                self._books.environment.connected(turn)
                self.state.receipt_owed = True  # SPEC M4.3, R1.3
                epoch.own.resend_all(turn)
            case PeerPresenceChanged():
                returned = event.present and self._gone(event.party)
                self._books.environment.presence_changed(turn, event)
                if returned and self.state.connected:
                    epoch.own.resend_all(turn)
            case FramesSuppressed():
                self._take_shared(turn, epoch, event)
                self.state.receipt_owed = self.state.receipt_owed or event.reason in _SENT_AGAIN
            case (
                OfficerRaisedAlert()
                | OfficerReleased()
                | OfficerAnswered()
                | OfficerAcknowledged()
                | OfficerRefused()
                | OfficerCancelled()
                | LineTestRequested()
            ):
                if isinstance(event, OfficerReleased):
                    self._check_author(event)
                self._done(event, epoch.officer_requests.take(turn, event))
            case WatchTaken():
                self.state.on_watch = taken(self.state.on_watch, turn, event)
                self._done(event, f"watch/{event.officer}")
            case WatchLeft():
                check_leaving(self.state.on_watch, event)
                self.state.on_watch = None
                self._done(event, f"watch/{event.officer}")
            case SessionBegan() | SessionEnded():
                self._done(event, f"session/{event.session}")
            case ClockStepped() | Started():
                self._take_shared(turn, epoch, event)
                epoch.drafts.clock_moved(turn)
            case AlarmAcknowledged(code=AlarmCode.UNDELIVERED):
                self._take_shared(turn, epoch, event)
                # the officer has taken the messages over
                self._books.alarms.clear(turn, AlarmCode.UNDELIVERED, event.subject)
                self.state.undelivered = [each for each in self.state.undelivered if each.subject != event.subject]
            case _:
                self._take_shared(turn, epoch, event)

    def _gone(self, party: Identifier) -> bool:
        """Return whether a party was gone when its presence was last known in this run."""
        return not self.state.present.get(party, True)

    def _check_author(self, event: OfficerReleased) -> None:
        """Raise LocalProtocolError(not_authorised) unless the author of the draft is enrolled still (SPEC P1.5)."""
        draft, officers = self.state.officer_requests.drafts.get(event.draft), self.state.officers
        if draft is not None and officers is not None and draft.officer not in officers:
            raise LocalProtocolError(
                "not_authorised",
                phrase(
                    "{officer}, who wrote {draft}, is not enrolled any more: discard it, and write the alert again",
                    officer=draft.officer,
                    draft=f"draft/{event.draft}",
                ),
            )

    def redundant(self, event: FrameReceived) -> str:
        """Return why a verified frame would change nothing here; see `Core.redundant`."""
        epoch = self._epoch
        return epoch.intake.redundant(event, epoch.own.is_news, epoch.theirs.redundant) if epoch else ""

    def _take_frame(self, turn: Turn, epoch: LinkEpoch, event: FrameReceived) -> None:
        self._note_signed(turn, event)
        try:
            content = epoch.intake.read(turn, event)
            # the receipt applies at once, whatever becomes of the messages (SPEC R1.3)
            if content.claim is not None:
                epoch.own.take_claim(turn, content.sender, content.claim)
            if content.run is not None:
                epoch.theirs.take(turn, content.run)
        except RemoteProtocolError as refusal:
            if isinstance(refusal, ForeignTermsError):
                self._answer_foreign(turn, first=refusal.first, receipt=event.channel == "receipt")
            epoch.intake.reject(turn, event, refusal)

    def _answer_foreign(self, turn: Turn, *, first: bool, receipt: bool) -> None:
        """Owe a receipt for a frame of other terms, so that its sender learns ours (SPEC E3).

        A receipt is answered once only; otherwise two sides would answer each other without end.
        """
        answered = self.state.foreign_answered_age
        rested = answered is None or turn.age - answered >= FOREIGN_ANSWER_MS
        if rested and (first or not receipt):
            self.state.receipt_owed = True
            self.state.foreign_answered_age = turn.age

    def _deadline_reached(self, turn: Turn, epoch: LinkEpoch, event: DeadlineReached) -> None:
        if self.state.connected:
            epoch.own.resend_due(turn, peer_absent=not self.state.present.get(epoch.peer, True))
        if self.side != epoch.terms.caller or epoch.terms.policy.placed_by != "service":
            epoch.watch.begun(turn.at, placing=False)
            return
        slot = epoch.watch.open_slot(turn.at)
        if slot is not None:
            with suppress(LocalProtocolError):  # no room in the outbox: the missed slot raises its own alarm
                epoch.officer_requests.place_test(turn, event.nonce, slot)
        epoch.watch.begun(turn.at, placing=True, tried=slot)
