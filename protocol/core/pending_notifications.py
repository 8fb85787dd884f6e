"""What the duty officer has yet to be told: at least once each, under a stable id, across restarts."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from protocol.core.alarms import Alarm
from protocol.core.deadlines import Turn
from protocol.core.effects import Notify
from protocol.wire.messages import Reference

PENDING_MAX = 1_000
"""Beyond it the oldest are given up and counted: a notifier dead for that long hides nothing from `status`."""


class PendingNotificationsState(Struct):
    """What a checkpoint keeps of the notices."""

    pending: dict[str, Notify] = {}
    given_up: int = 0


class PendingNotifications:
    """Notifications that are not yet done, by id."""

    def __init__(self, state: PendingNotificationsState) -> None:
        self._state = state

    def alarm(self, turn: Turn, alarm: Alarm) -> None:
        """Tell of an alarm that was raised."""
        self._tell(turn, Notify(id=f"alarm/{alarm.code}/{alarm.subject}/{alarm.raised_at}", kind="alarm", alarm=alarm))

    def message(self, turn: Turn, reference: Reference, body: dict[str, Any]) -> None:
        """Tell of a message of the peer."""
        self._tell(turn, Notify(id=f"message/{reference}", kind="message", reference=reference, body=body))

    def done(self, notice_id: str) -> None:
        """Forget a notification that has reached everyone."""
        self._state.pending.pop(notice_id, None)

    def repeat(self, turn: Turn) -> None:
        """Tell everything again that is not known to have arrived: after a restart."""
        for notice in self._state.pending.values():
            turn.emit(notice)

    def _tell(self, turn: Turn, notice: Notify) -> None:
        pending = self._state.pending
        if len(pending) >= PENDING_MAX:
            del pending[next(iter(pending))]
            self._state.given_up += 1
        pending[notice.id] = notice
        turn.emit(notice)
