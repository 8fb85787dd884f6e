"""Our side's stream: what may be said, queueing it, resending it, and the peer's receipts for it (SPEC M2, M4, R3)."""

from __future__ import annotations

from msgspec import to_builtins

from protocol.core.alarms import AlarmCode
from protocol.core.books import Books
from protocol.core.deadlines import Turn
from protocol.core.effects import Queue, Resend, Settle
from protocol.core.epoch import Epoch
from protocol.core.references import References
from protocol.core.rules import check_body, is_cancellation
from protocol.core.stream import Outbox
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.phrases import phrase
from protocol.wire.messages import Alert, AnyBody, Claim, Heartbeat, Identifier, Reference


class OwnStream:
    """The messages of `side` in one epoch."""

    def __init__(self, side: Identifier, outbox: Outbox, references: References, epoch: Epoch, books: Books) -> None:
        self._side = side
        self._outbox = outbox
        self._references = references
        self._epoch = epoch
        self._alarms = books.alarms

    # --- messages -------------------------------------------------------------------------------------------------

    def say(self, turn: Turn, body: AnyBody) -> Reference:
        """Queue `body` and return its reference. Raises LocalProtocolError, and then nothing has changed."""
        news = isinstance(body, Alert) and not is_cancellation(body)
        self._outbox.check_room(reserve=not news and not isinstance(body, Heartbeat))
        if news and self._alarms.active(AlarmCode.SPACE_LOW, "journal"):
            raise LocalProtocolError(
                "space_low", phrase("the journal's disk is nearly full: no new alerts until there is room")
            )
        if isinstance(body, Alert) and not self._epoch.alerts.has_room(self._side, body):
            raise LocalProtocolError("too_many_open", phrase("too many alerts of ours are open: none is acknowledged"))
        self._check_permitted(body)
        message = self._outbox.queue(turn.utc, to_builtins(body))
        turn.emit(Queue(message=message))
        reference = Reference(self._side, self._epoch.terms.epoch, message.seq)
        self._references.remember(reference, body)
        self._epoch.apply(turn, reference, body, message.at, received=False)
        return reference

    def check_sayable(self, body: AnyBody, beside_bytes: int) -> None:
        """Raise LocalProtocolError if `body` may not be said, or not with `beside_bytes` to spare."""
        self._check_permitted(body)
        self._outbox.check_size(to_builtins(body), beside_bytes)

    def _check_permitted(self, body: AnyBody) -> None:
        """Raise LocalProtocolError if our side may not say `body`."""
        try:
            check_body(body, self._side, self._epoch.terms)
            self._references.check(body, self._side, unsent_too=True)
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.reason, error.detail) from error

    # --- resending and receipts -----------------------------------------------------------------------------------

    def resend_all(self, turn: Turn) -> None:
        """Send every unreceipted frame again (SPEC M4.3)."""
        for first in self._outbox.resend_all(turn):
            turn.emit(Resend(first=first))

    def resend_due(self, turn: Turn, *, peer_absent: bool) -> None:
        """Send the oldest unreceipted frame again, if its time has come (SPEC M4.4)."""
        due_age = self._outbox.due_age()
        if due_age is not None and due_age <= turn.age:
            turn.emit(Resend(first=self._outbox.resend_oldest(turn, peer_absent=peer_absent)))

    def is_news(self, sender: Identifier, claim: Claim) -> bool:
        """Return whether a receipt would change anything."""
        del sender
        return not self._outbox.state.stopped and self._outbox.judge(claim) != "stale"

    def take_claim(self, turn: Turn, sender: Identifier, claim: Claim) -> None:
        """Take the peer's receipt: forget the messages that it covers, or stop at a fork (SPEC R1.2, R3.1)."""
        stopped, verdict = self._outbox.state.stopped, self._outbox.judge(claim)
        covered = Reference(self._side, self._epoch.terms.epoch, claim.upto)
        self._epoch.clocks.claimed(turn, sender, claim, covered, news=verdict == "news" and not stopped)
        if stopped:
            return
        if verdict == "fork":
            detail = phrase(
                "{sender} claims {count} messages with head {head}; that is not what was sent",
                sender=sender,
                count=claim.upto,
                head=claim.head[:16],
            )
            self._outbox.state.stopped = AlarmCode.FORK
            self._alarms.raise_alarm(turn, AlarmCode.FORK, sender, detail=detail)
        elif verdict == "news":
            settled = self._outbox.settle(claim)
            turn.emit(Settle(upto=claim.upto, head=claim.head))
            self._epoch.receipted(turn, self._side, settled)
            for channel in ("message", "receipt"):
                self._alarms.clear(turn, AlarmCode.BROKER_UNREACHABLE, f"publish/{channel}")
