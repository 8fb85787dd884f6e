"""Notifications of the duty officer that are not done: each is sent at least once, under a stable id."""

from __future__ import annotations

from msgspec import Struct

from protocol.core.alarms import Alarm
from protocol.core.deadlines import Turn
from protocol.core.effects import Notify
from protocol.wire.messages import Message, Reference, Utc

PENDING_MAX = 1_000
"""The limit. Beyond it the oldest are given up and counted, so that `status` shows a notifier that does not work."""


class PendingNotificationsState(Struct):
    """State of the notifications in a checkpoint."""

    pending: dict[str, Notify] = {}
    given_up: int = 0


class PendingNotifications:
    """Notifications that are not yet done, by id."""

    def __init__(self, state: PendingNotificationsState) -> None:
        self._state = state

    def alarm(self, turn: Turn, alarm: Alarm, repeat: int = 0) -> None:
        """Notify of an alarm that was raised, with `repeat` once more (SPEC W4.2).

        A repeat takes the place of the one before it, if that is not done yet.
        """
        if repeat:
            self.done(_repeated(alarm, repeat - 1))
        self._notify(turn, Notify(id=_repeated(alarm, repeat), kind="alarm", alarm=alarm, repeat=repeat))

    def over(self, turn: Turn, alarm: Alarm) -> None:
        """Notify that an alarm is over of which people were notified."""
        self._notify(turn, Notify(id=f"{_name(alarm)}/over", kind="alarm", alarm=alarm))

    def slot(self, turn: Turn, slot: Utc, until: Utc, repeat: int) -> None:
        """Notify of a slot whose test an officer has to place by `until`, with `repeat` once more (SPEC W1.6)."""
        self.slot_over(slot, repeat)
        self._notify(turn, Notify(id=_of_slot(slot, repeat), kind="slot", slot=slot, until=until, repeat=repeat))

    def slot_over(self, slot: Utc, told: int) -> None:
        """Withdraw the last of `told` notifications of a slot: nobody needs to act on it any more."""
        self.done(_of_slot(slot, told - 1))

    def message(self, turn: Turn, reference: Reference, message: Message) -> None:
        """Notify of a message of the peer, however old it is (SPEC M8.4)."""
        self._notify(
            turn,
            Notify(
                id=f"message/{reference}",
                kind="message",
                reference=reference,
                body=message.body,
                sent_at=message.at,
                received_at=turn.utc,
            ),
        )

    def done(self, notification_id: str) -> None:
        """Remove a notification that has reached all recipients, or was given up."""
        self._state.pending.pop(notification_id, None)

    def repeat(self, turn: Turn) -> None:
        """Send every pending notification again, after a restart."""
        for notification in self._state.pending.values():
            turn.emit(notification)

    def _notify(self, turn: Turn, notification: Notify) -> None:
        pending = self._state.pending
        if len(pending) >= PENDING_MAX:
            del pending[next(iter(pending))]
            self._state.given_up += 1
        pending[notification.id] = notification
        turn.emit(notification)


def _name(alarm: Alarm) -> str:
    return f"alarm/{alarm.code}/{alarm.subject}/{alarm.raised_at}"


def _of_slot(slot: Utc, repeat: int) -> str:
    return f"slot/{slot}/{repeat}" if repeat else f"slot/{slot}"


def _repeated(alarm: Alarm, repeat: int) -> str:
    return f"{_name(alarm)}/repeat/{repeat}" if repeat else _name(alarm)
