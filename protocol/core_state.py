"""What a checkpoint keeps of any core."""

from __future__ import annotations

from msgspec import Struct, field

from protocol.alarms import Alarm
from protocol.alerts import OpenAlert
from protocol.events import EnrolledKey
from protocol.messages import Identifier
from protocol.notices import NoticesState
from protocol.policy import Terms
from protocol.timeline import TimelineState
from protocol.watch import WatchState


class CoreState(Struct):
    """The state of a link as one observer sees it; subclasses add their own."""

    link: Identifier
    # `eucom`, `ndmc`, or `watch`
    side: Identifier
    terms: Terms | None = None
    keys: dict[Identifier, tuple[EnrolledKey, ...]] = {}
    timeline: TimelineState = field(default_factory=TimelineState)
    alarms: dict[str, Alarm] = {}
    notices: NoticesState = field(default_factory=NoticesState)
    watch: WatchState = field(default_factory=WatchState)
    alerts: dict[str, OpenAlert] = {}
    requests: dict[str, str] = {}
    connected: bool = False
    # by party, as far as known: a hint
    present: dict[Identifier, bool] = {}
