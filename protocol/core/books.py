"""The records that a core keeps whether or not an epoch is open: deadlines, notifications, alarms, environment."""

from __future__ import annotations

from protocol.core.alarm_book import AlarmBook
from protocol.core.core_state import CoreState
from protocol.core.deadlines import Deadlines
from protocol.core.environment import Environment
from protocol.core.pending_notifications import PendingNotifications


class Books:
    """Deadlines, notifications, alarms and environment of one core, over the state of its checkpoint."""

    def __init__(self, state: CoreState) -> None:
        self.deadlines = Deadlines(state.deadlines)
        self.notifications = PendingNotifications(state.notifications)
        self.alarms = AlarmBook(state.alarms, self.notifications)
        self.environment = Environment(state, self.deadlines, self.alarms)
