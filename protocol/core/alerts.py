"""The open alerts: each stays open until a duty officer acknowledges or refuses it (SPEC B3 to B6, P1).

Both sides and the independent watch derive the same list from the same messages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

import msgspec
from msgspec import UNSET, Struct, to_builtins

from protocol.core.acts import ACTS_KEPT, Act, Item, act_of, item_of
from protocol.core.alarm_book import AlarmBook
from protocol.core.alarms import AlarmCode
from protocol.core.deadlines import SECOND, Deadlines, Turn
from protocol.core.staleness import Staleness, expiry, staleness
from protocol.phrases import phrase
from protocol.wire.instants import parsed
from protocol.wire.messages import Acknowledgement, Alert, Identifier, Reference, Refusal, Utc
from protocol.wire.policy import Policy

OPEN_MAX = 10_000
"""The limit of open alerts of one party: more than officers can handle, and few enough for a checkpoint. Each party has
its own limit, so that a peer cannot use up the room for our alerts."""
OPEN_MAX_BYTES = 64 * 2**20
"""The limit of their bytes: as many as an outbox holds, since a peer may fill every alert to its limit."""
CLOSED_KEPT = 256
"""Closed alerts that are kept for `status` and follow-up acknowledgements. Twice as many accumulate before the oldest
are dropped."""


_ENCODER = msgspec.json.Encoder()


class AlertState(StrEnum):
    """The states of an alert."""

    SENT = "sent"
    RECEIVED = "received"
    UNDERSTOOD = "understood"
    ACTING = "acting"
    WILL_REPLY = "will_reply"
    REFUSED = "refused"
    CHANGED = "changed"
    CANCELLED = "cancelled"
    UNDELIVERED = "undelivered"


_OPEN = (AlertState.SENT, AlertState.RECEIVED, AlertState.WILL_REPLY)
_CLOSED = (AlertState.UNDERSTOOD, AlertState.ACTING, AlertState.UNDELIVERED)
"""States that an officer's further message can still change; an undelivered alert may prove to be delivered."""

ALERT: dict[tuple[AlertState, str], AlertState] = {
    (AlertState.SENT, "receipted"): AlertState.RECEIVED,
    (AlertState.SENT, "epoch_over"): AlertState.UNDELIVERED,
    **{
        (state, decision): AlertState(decision)
        for state in (*_OPEN, *_CLOSED)
        for decision in ("understood", "acting", "will_reply")
    },
    **{(state, "refused"): AlertState.REFUSED for state in (*_OPEN, *_CLOSED)},
    # the author's change wins over a refusal, so both sides reach the same state whatever the order of arrival
    **{(state, "changed"): AlertState.CHANGED for state in (*_OPEN, *_CLOSED, AlertState.REFUSED)},
    **{(state, "cancelled"): AlertState.CANCELLED for state in (*_OPEN, *_CLOSED, AlertState.REFUSED)},
    # a message that the other side's service has refused has no effect (SPEC M7.1), neither there nor here
    **{(state, "change_refused"): AlertState.RECEIVED for state in (AlertState.CHANGED, AlertState.CANCELLED)},
    # its epoch ended without a receipt, and the change came in a later one
    **{(state, "still_undelivered"): AlertState.UNDELIVERED for state in (AlertState.CHANGED, AlertState.CANCELLED)},
}
"""The transitions of an alert. A pair that is not listed changes nothing."""


class OpenAlert(Struct):
    """One alert, its state, and the last reply to it."""

    alert: Alert
    at: Utc
    state: AlertState
    received_at: Utc | None = None
    # the last acknowledgement or refusal, and when it arrived here
    reply: Acknowledgement | Refusal | None = None
    replied_at: Utc | None = None
    # the message's `at`, by its sender's clock; None if it came under rules 2
    sent_at: Utc | None = None
    # the last acts about it, oldest first, and the number of earlier ones
    acts: list[Act] = []
    acts_earlier: int = 0

    def item(self, reference: object) -> Item:
        """Return the alert and the acts on it; `reference` is its own (SPEC P2.1)."""
        return item_of(reference, to_builtins(self.alert), self.acts, self.acts_earlier)

    def refused_by_service(self) -> bool:
        """Return whether the other side's service has refused it, so that it had no effect there."""
        return isinstance(self.reply, Refusal) and self.reply.by == "service"


class Alerts:
    """The open alerts of one link and the last closed ones, by reference."""

    def __init__(self, alerts: dict[str, OpenAlert], policy: Policy, deadlines: Deadlines, alarms: AlarmBook) -> None:
        self._alerts = alerts
        self._policy = policy
        self._deadlines = deadlines
        self._alarms = alarms
        # the number and the bytes of open alerts, by party
        self._open: Counter[Identifier] = Counter()
        self._bytes: Counter[Identifier] = Counter()
        for ref, opened in alerts.items():
            if opened.state in _OPEN:
                self._count(ref.partition("/")[0], opened.alert, 1)

    def get(self, reference: Reference) -> OpenAlert | None:
        """Return the alert if it is open or one of the last closed ones, else None."""
        return self._alerts.get(str(reference))

    def known(self) -> Mapping[str, OpenAlert]:
        """Return every alert that is open or one of the last closed ones, by its reference, oldest first."""
        return self._alerts

    def changed_by(self, reference: Reference) -> str | None:
        """Return the reference of the alert that changed or cancelled `reference`, None if none did."""
        return successors(self._alerts).get(str(reference))

    def has_room(self, sender: Identifier, alert: Alert) -> bool:
        """Return whether one more alert of `sender` can be kept open (SPEC B6.4).

        One that replaces an open alert needs no place.
        """
        if self._bytes[sender] >= OPEN_MAX_BYTES:
            return False
        changed = None if alert.change is UNSET else self.get(alert.change.of)
        return self._open[sender] < OPEN_MAX or (changed is not None and changed.state in _OPEN)

    def opened(self, turn: Turn, reference: Reference, alert: Alert, sent_at: Utc, *, received: bool) -> None:
        """Add an alert that was sent, or with `received` has arrived, and start its handling deadline (SPEC W2.3)."""
        state = AlertState.RECEIVED if received else AlertState.SENT
        self._alerts[str(reference)] = OpenAlert(
            alert, turn.utc, state, turn.utc if received else None, sent_at=sent_at
        )
        self._count(reference.sender, alert, 1)
        self._arm(turn, str(reference), alert)
        self._note(turn, reference, alert)
        if alert.change is not UNSET:
            changed = "cancelled" if alert.change.kind == "cancellation" else "changed"
            self._step(turn, alert.change.of, changed)

    def receipted(self, turn: Turn, reference: Reference) -> None:
        """Note the machine receipt of an alert, which does not mean that an officer has seen it."""
        opened = self._alerts.get(str(reference))
        if opened is not None and opened.state is AlertState.SENT:
            self._step(turn, reference, "receipted")
            opened.received_at = turn.utc

    def acknowledged(self, turn: Turn, reference: Reference, acknowledgement: Acknowledgement) -> None:
        """Take an officer's acknowledgement; `will_reply` restarts the handling deadline (SPEC B4.2)."""
        self._note(turn, reference, acknowledgement)
        opened = self._step(turn, acknowledgement.of, acknowledgement.decision)
        if opened is not None:
            opened.reply, opened.replied_at = acknowledgement, turn.utc
            if opened.state is AlertState.WILL_REPLY:
                self._arm(turn, str(acknowledgement.of), opened.alert)

    def refused(self, turn: Turn, reference: Reference, refusal: Refusal) -> None:
        """Take a refusal by an officer or a service (SPEC B5.1).

        A change that a service refuses has no effect: the alert that it changed is as before (SPEC W2.3).
        """
        self._note(turn, reference, refusal)
        opened = self._alerts.get(str(refusal.of))
        if opened is None or opened.refused_by_service():
            return
        if self._step(turn, refusal.of, "refused") or refusal.by == "service":
            opened.reply, opened.replied_at = refusal, turn.utc
        if opened.refused_by_service() and opened.alert.change is not UNSET:
            self._restore(turn, opened.alert.change.of, refusal.of)

    def _restore(self, turn: Turn, reference: Reference, by: Reference) -> None:
        """Undo the change `by` of an alert, unless another change of it stands: its last reply counts again."""
        changed = self._alerts.get(str(reference))
        if changed is None or self.changed_by(reference) is not None:
            return
        undelivered = reference.epoch < by.epoch and changed.received_at is None
        self._step(turn, reference, "still_undelivered" if undelivered else "change_refused")
        reply = changed.reply
        if reply is not None:
            self._step(turn, reference, reply.decision if isinstance(reply, Acknowledgement) else "refused")
        if changed.state in _OPEN:
            self._arm(turn, str(reference), changed.alert)

    def epoch_over(self, turn: Turn) -> None:
        """Mark the alerts that have no receipt as undelivered: their epoch has ended (SPEC E2.2)."""
        for ref in list(self._alerts):
            self._step(turn, Reference.parse(ref), "epoch_over")

    def overdue(self, turn: Turn, ref: str, raised_at: Utc) -> None:
        """Raise the alarm of an alert whose handling deadline has passed."""
        detail = phrase("nobody has acknowledged alert {alert}", alert=ref)
        opened = self._alerts.get(ref)
        if opened is not None and opened.state is AlertState.WILL_REPLY:
            detail = phrase("nothing followed the promise to reply to alert {alert}", alert=ref)
        stale = Staleness() if opened is None else _staleness(opened, turn)
        self._alarms.raise_alarm(turn, AlarmCode.ALERT_UNACKNOWLEDGED, ref, raised_at, detail, stale)

    def _note(self, turn: Turn, reference: Reference, body: Acknowledgement | Refusal | Alert) -> None:
        """Add the act of message `reference` to the alert that it is about, if that is known (SPEC P2.1)."""
        done = act_of(body, turn.utc, reference)
        opened = self._alerts.get(str(done[0])) if done is not None else None
        if done is not None and opened is not None:
            opened.acts.append(done[1])
            if len(opened.acts) > ACTS_KEPT:
                del opened.acts[0]
                opened.acts_earlier += 1

    def _arm(self, turn: Turn, ref: str, alert: Alert) -> None:
        handling_s: int = getattr(self._policy.handling, alert.precedence)
        self._deadlines.arm(turn, f"acknowledgement/{ref}", handling_s * SECOND)

    def _step(self, turn: Turn, reference: Reference, happening: str) -> OpenAlert | None:
        opened = self._alerts.get(str(reference))
        state = ALERT.get((opened.state, happening)) if opened is not None else None
        if opened is None or state is None:
            return None
        if by := (state in _OPEN) - (opened.state in _OPEN):
            self._count(reference.sender, opened.alert, by)
        opened.state = state
        self._forget_closed()
        if state not in (AlertState.SENT, AlertState.RECEIVED):
            self._deadlines.disarm(f"acknowledgement/{reference}")
            self._alarms.clear(turn, AlarmCode.ALERT_UNACKNOWLEDGED, str(reference))
        return opened

    def _count(self, sender: Identifier, alert: Alert, by: int) -> None:
        self._open[sender] += by
        self._bytes[sender] += by * len(_ENCODER.encode(alert))

    def _forget_closed(self) -> None:
        if len(self._alerts) - self._open.total() < 2 * CLOSED_KEPT:
            return
        closed = [ref for ref, opened in self._alerts.items() if opened.state not in _OPEN]
        for ref in closed[:-CLOSED_KEPT]:
            del self._alerts[ref]


def _staleness(opened: OpenAlert, turn: Turn) -> Staleness:
    return staleness(expiry(opened.alert), opened.sent_at, parsed(opened.at), turn.at)


def successors(alerts: Mapping[str, OpenAlert]) -> dict[str, str]:
    """Return, for each alert that was changed or cancelled, the alert that did it (SPEC B3.3): the first one counts.

    A change that the other side's service has refused does not.
    """
    found: dict[str, str] = {}
    for ref, opened in alerts.items():
        if opened.alert.change is not UNSET and not opened.refused_by_service():
            found.setdefault(str(opened.alert.change.of), ref)
    return found
