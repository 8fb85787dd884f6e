"""What a checkpoint keeps of any core."""

from __future__ import annotations

from msgspec import Struct, field

from protocol.core.alarms import Alarm
from protocol.core.alerts import OpenAlert
from protocol.core.deadlines import DeadlinesState
from protocol.core.pending_notifications import PendingNotificationsState
from protocol.core.watch import WatchState
from protocol.wire.messages import Identifier
from protocol.wire.policy import EnrolledKey, Terms


class CoreState(Struct):
    """The state of a link as one observer sees it; subclasses add their own."""

    link: Identifier
    # `eucom`, `ndmc`, or `watch`
    side: Identifier
    terms: Terms | None = None
    keys: dict[Identifier, tuple[EnrolledKey, ...]] = {}
    timeline: DeadlinesState = field(default_factory=DeadlinesState)
    alarms: dict[str, Alarm] = {}
    notices: PendingNotificationsState = field(default_factory=PendingNotificationsState)
    watch: WatchState = field(default_factory=WatchState)
    alerts: dict[str, OpenAlert] = {}
    requests: dict[str, str] = {}
    connected: bool = False
    # by party, as far as known: a hint
    present: dict[Identifier, bool] = {}
