"""State that a checkpoint keeps of both kinds of core: a side's end of a link, and the independent watch."""

from __future__ import annotations

from msgspec import Struct, field

from protocol.core.alarm_repeats import AlarmRepeatsState
from protocol.core.alarms import Alarm
from protocol.core.alerts import OpenAlert
from protocol.core.deadlines import DeadlinesState
from protocol.core.link_keys import LinkKeys
from protocol.core.pending_notifications import PendingNotificationsState
from protocol.core.watch_state import WatchState
from protocol.phrases import Said
from protocol.wire.instants import Millis
from protocol.wire.messages import Digest, Identifier, Utc
from protocol.wire.policy import Terms


class EpochState(Struct):
    """State of the open epoch. Each kind of core adds its streams."""

    terms: Terms


class PeerClocksState(Struct):
    """Times by which the clocks of the parties are judged, in milliseconds since 1970."""

    # when the last messages were sent: at a side its own, at the watch those of each party; by reference, oldest first
    said: dict[Identifier, dict[str, Millis]] = {}
    # the latest `at` of each party's messages since its clock last went back
    latest: dict[Identifier, Millis] = {}
    # the highest floor in each party's frames of this epoch
    floors: dict[Identifier, int] = {}
    # when our receipt first covered exactly the peer's messages up to a seq, oldest first
    receipted: dict[int, Millis] = {}
    # a receipt of ours that the peer had before it queued its next message; 0 if none is known
    answered: Millis = 0


class Suppressed(Struct, frozen=True):
    """Frames of one reason that were counted instead of journaled."""

    # their number, less those that an honest peer can have caused since; the age of the last
    level: int
    age: Millis


class CoreState(Struct):
    """State of a link as one observer sees it. Each kind of core adds its own fields."""

    link: Identifier
    # `eucom`, `ndmc`, or `watch`
    side: Identifier
    # None before the first `EpochOpened`
    epoch: EpochState | None = None
    keys: LinkKeys = field(default_factory=LinkKeys)
    # the SHA-256 of each officer's entry in the settings; None before the first `OfficersEnrolled`
    officers: dict[Identifier, Digest] | None = None
    deadlines: DeadlinesState = field(default_factory=DeadlinesState)
    # by `code/subject`
    alarms: dict[str, Alarm] = {}
    alarm_repeats: AlarmRepeatsState = field(default_factory=AlarmRepeatsState)
    notifications: PendingNotificationsState = field(default_factory=PendingNotificationsState)
    watch: WatchState = field(default_factory=WatchState)
    # by reference
    alerts: dict[str, OpenAlert] = {}
    peer_clocks: PeerClocksState = field(default_factory=PeerClocksState)
    # frames that an honest peer could have caused, by reason
    suppressed: dict[str, Suppressed] = {}
    # references that control requests led to, by request id
    requests: dict[str, str] = {}
    connected: bool = False
    # why the connection is lost, as far as this run knows; empty while connected
    connection_trouble: str = ""
    # what that was made from
    connection_trouble_said: Said | None = None
    # by party, as far as the broker reported it: a hint; None if it was gone before the connection was lost
    present: dict[Identifier, bool | None] = {}
    # by party: when a signed frame of it last brought something new, by our clock
    last_signed: dict[Identifier, Utc] = {}
    # by source, the least recently refused first: the age at which each of the last refusals was reported, and how many
    credentials_refused: dict[str, tuple[tuple[Millis, int], ...]] = {}
