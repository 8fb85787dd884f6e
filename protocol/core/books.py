"""What a core keeps across epochs: deadlines, pending notifications, alarms, those about the environment, and keys."""

from __future__ import annotations

from protocol.core.alarm_book import AlarmBook
from protocol.core.core_state import CoreState
from protocol.core.deadlines import Deadlines
from protocol.core.environment import Environment
from protocol.core.key_changes import KeyChanges
from protocol.core.pending_notifications import PendingNotifications


class Books:
    """The parts of one core that outlive an epoch, each working on its part of the core's state."""

    def __init__(self, state: CoreState) -> None:
        self.deadlines = Deadlines(state.deadlines)
        self.notifications = PendingNotifications(state.notifications)
        self.alarms = AlarmBook(state.alarms, state.alarm_repeats, self.notifications)
        self.environment = Environment(state, self.deadlines, self.alarms)
        self.keys = KeyChanges(state, self.alarms)
