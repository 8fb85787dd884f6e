"""The open alarms: each is raised once, and kept until it is both cleared and acknowledged (SPEC W4)."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET, UnsetType

from protocol.core.alarms import SEVERITY, Alarm, AlarmCode
from protocol.core.deadlines import Turn
from protocol.core.effects import ClearAlarm, RaiseAlarm
from protocol.core.pending_notifications import PendingNotifications
from protocol.core.staleness import Staleness
from protocol.errors import LocalProtocolError
from protocol.phrases import said
from protocol.wire.messages import Utc

CLEARED_KEPT = 1_000
"""Cleared alarms that are kept until an officer acknowledges them. Twice as many accumulate before the oldest are
dropped. A peer, a broker or a clock can cause any number; the journal has them all."""


class AlarmBook:
    """The alarms that are not finished, by `code/subject`."""

    def __init__(self, alarms: dict[str, Alarm], notifications: PendingNotifications) -> None:
        self._alarms = alarms
        self._notifications = notifications
        self._cleared = sum(not alarm.active for alarm in alarms.values())

    def raise_alarm(
        self,
        turn: Turn,
        code: AlarmCode,
        subject: str,
        raised_at: Utc | None = None,
        detail: str = "",
        stale: Staleness | None = None,
        words_from: int | UnsetType = UNSET,
    ) -> None:
        """Raise an alarm. While it is active, raising it again changes nothing (SPEC W4)."""
        known = self._alarms.get(f"{code}/{subject}")
        if known is not None and known.active:
            return
        alarm = Alarm(
            code=code,
            severity=SEVERITY[code],
            subject=subject,
            raised_at=raised_at or turn.utc,
            detected_at=turn.utc,
            detail=detail,
            said=said(detail) or UNSET,
            stale=stale or UNSET,
            words_from=words_from,
        )
        if known is not None:  # the new one is listed last
            self._cleared -= 1
            del self._alarms[f"{code}/{subject}"]
        self._alarms[f"{code}/{subject}"] = alarm
        turn.emit(RaiseAlarm(alarm=alarm))
        self._notifications.alarm(turn, alarm)

    def raise_passing(
        self, turn: Turn, code: AlarmCode, subject: str, raised_at: Utc | None = None, detail: str = ""
    ) -> None:
        """Raise an alarm about something that is over already, so that an officer sees it."""
        self.raise_alarm(turn, code, subject, raised_at, detail)
        self.clear(turn, code, subject)

    def clear(self, turn: Turn, code: AlarmCode, subject: str) -> None:
        """Clear an alarm, if it is active: its cause is over."""
        key = f"{code}/{subject}"
        alarm = self._alarms.get(key)
        if alarm is None or not alarm.active:
            return
        self._cleared += 1
        self._keep(key, alarm.clear(turn.utc))
        self._drop_oldest()
        turn.emit(ClearAlarm(code=code, subject=subject))

    def clear_all(self, turn: Turn, *codes: AlarmCode) -> None:
        """Clear every active alarm of these codes."""
        for alarm in [alarm for alarm in self._alarms.values() if alarm.code in codes]:
            self.clear(turn, alarm.code, alarm.subject)

    def active(self, code: AlarmCode, subject: str) -> bool:
        """Return whether this alarm is raised and not cleared."""
        alarm = self._alarms.get(f"{code}/{subject}")
        return alarm is not None and alarm.active

    def find(self, code: str, subject: str, officer: str) -> Alarm:
        """Return an alarm that `officer` can acknowledge.

        Raises LocalProtocolError if there is none, with the code `conflict` if another officer acknowledged it first.
        """
        alarm = self._alarms.get(f"{code}/{subject}")
        if alarm is None:
            raise LocalProtocolError("unknown_alarm", f"there is no alarm {code}/{subject}; `alarms list` shows them")
        if alarm.acknowledged_at is not UNSET:
            raise LocalProtocolError(
                "already_done" if alarm.acknowledged_by == officer else "conflict",
                f"alarm {code}/{subject} is acknowledged: by {alarm.acknowledged_by} at {alarm.acknowledged_at}",
            )
        return alarm

    def acknowledge(self, turn: Turn, alarm: Alarm, officer: str) -> None:
        """Record that `officer` has acknowledged an alarm."""
        self._keep(f"{alarm.code}/{alarm.subject}", alarm.acknowledge(officer, turn.utc))

    def _keep(self, key: str, alarm: Alarm) -> None:
        if alarm.finished:
            self._cleared -= 1
            del self._alarms[key]
        else:
            self._alarms[key] = alarm

    def _drop_oldest(self) -> None:
        if self._cleared < 2 * CLEARED_KEPT:
            return
        for key in [key for key, alarm in self._alarms.items() if not alarm.active][:-CLEARED_KEPT]:
            del self._alarms[key]
        self._cleared = CLEARED_KEPT

    def __iter__(self) -> Iterator[Alarm]:
        return iter(self._alarms.values())
