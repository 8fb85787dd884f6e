"""An open epoch as both kinds of core see it: its terms, and the line tests and alerts that its policy governs."""

from __future__ import annotations

from protocol.core.absences import Absences
from protocol.core.alarms import AlarmCode
from protocol.core.alerts import Alerts
from protocol.core.books import Books
from protocol.core.core_state import CoreState
from protocol.core.deadlines import Turn
from protocol.core.peer_clocks import PeerClocks
from protocol.core.watch import Watch
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.phrases import phrase
from protocol.wire.digests import policy_digest
from protocol.wire.instants import Millis
from protocol.wire.messages import (
    Acknowledgement,
    Alert,
    AnyBody,
    Heartbeat,
    HeartbeatAnswer,
    Identifier,
    Reference,
    Utc,
)
from protocol.wire.policy import Terms
from protocol.wire.refusals import MessageRefusal


class Epoch:
    """The open epoch. Each kind of core adds its streams.

    Attributes:
        terms: the terms that `EpochOpened` named.
        policy_digest: the digest of their policy.
        watch: slots and line tests.
        alerts: open and recently closed alerts.
        clocks: the clocks of the parties that this core hears.
        absences: the account of times in which nobody watched.
    """

    def __init__(self, terms: Terms, state: CoreState, books: Books) -> None:
        self.terms = terms
        self.policy_digest = policy_digest(terms)
        placing = state.side == terms.caller and terms.policy.placed_by == "officer"
        self.watch = Watch(state.watch, terms.policy, books, placing=placing)
        self.alerts = Alerts(state.alerts, terms.policy, books.deadlines, books.alarms)
        self.clocks = PeerClocks(state.peer_clocks, terms.policy, books.environment)
        self.absences = Absences(state.side, self.watch, self.clocks, books)
        self._books = books

    def other(self, party: Identifier) -> Identifier:
        """Return the party that `party` speaks to."""
        return self.terms.answering if party == self.terms.caller else self.terms.caller

    def supersede(self, turn: Turn) -> None:
        """End what the epoch before this one left open (SPEC E2)."""
        self.alerts.epoch_over(turn)
        self.watch.epoch_over(turn)
        self.clocks.epoch_over()
        self._books.alarms.clear_all(
            turn, AlarmCode.EQUIVOCATION, AlarmCode.FORK, AlarmCode.JOURNAL_BEHIND, AlarmCode.POLICY_MISMATCH
        )

    def fall_due(self, turn: Turn) -> None:
        """Judge the slots and handle the deadlines that are due by now."""
        self.watch.judge_slots(turn)
        if not turn.older:
            self.watch.notify_slots(turn)
        for key, raised_at in self._books.deadlines.fallen_due(turn.age):
            kind, _, subject = key.partition("/")
            if kind in {"receipt", "answer"}:
                self.watch.overdue(turn, kind, subject, raised_at)
            elif kind == "acknowledgement":
                self.alerts.overdue(turn, subject, raised_at)
            else:
                self._books.environment.overdue(turn, kind, subject, raised_at)
        if not turn.older:
            self._books.alarms.repeat(turn)

    def next_instant(self) -> Millis | None:
        """Return the next wall-clock instant at which something falls due, None if there is none."""
        return self.watch.next_instant()

    # --- messages of either party ---------------------------------------------------------------------------------

    def apply(self, turn: Turn, reference: Reference, body: AnyBody, sent_at: Utc, *, received: bool) -> None:
        """Update line tests and alerts for a message that joined a stream.

        Args:
            turn: the event's turn.
            reference: the message.
            body: its body.
            sent_at: its time, by its sender's clock.
            received: whether it arrived at the side that has to answer it.
        """
        match body:
            case Heartbeat():
                self.watch.called(turn, reference, body, sent_at, received=received)
            case HeartbeatAnswer():
                self.watch.answered(turn, body)
            case Alert():
                self.alerts.opened(turn, reference, body, sent_at, received=received)
            case Acknowledgement():
                self.alerts.acknowledged(turn, reference, body)
            case _:
                self.alerts.refused(turn, reference, body)

    def check_capacity(self, sender: Identifier, body: AnyBody) -> None:
        """Raise RemoteProtocolError(not_permitted) if no more alerts of `sender` can be kept open (SPEC B6.4)."""
        if isinstance(body, Alert) and not self.alerts.has_room(sender, body):
            raise RemoteProtocolError(MessageRefusal.NOT_PERMITTED, phrase("too many alerts are open here"))

    def receipted(self, turn: Turn, sender: Identifier, seqs: range) -> None:
        """Note that the other party's receipt covers these messages of `sender`."""
        for seq in seqs:
            reference = Reference(sender, self.terms.epoch, seq)
            self.watch.receipted(turn, reference)
            self.alerts.receipted(turn, reference)


def check_terms(terms: Terms, link: Identifier, before: Epoch | None) -> None:
    """Raise LocalProtocolError unless `terms` may open the next epoch of `link` after `before` (SPEC E1.1)."""
    if terms.link != link:
        raise LocalProtocolError(
            "wrong_link", phrase("these are the terms of {other}, not of {link}", other=terms.link, link=link)
        )
    if terms.caller == terms.answering:
        raise LocalProtocolError(
            "wrong_side", phrase("a link has two parties; here both are {party}", party=terms.caller)
        )
    if before is not None and terms.epoch <= before.terms.epoch:
        raise LocalProtocolError(
            "wrong_epoch",
            phrase(
                "epoch {open} is open; the next has a higher number than {other}",
                open=before.terms.epoch,
                other=terms.epoch,
            ),
        )
