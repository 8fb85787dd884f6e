"""The book of alarms: raised once per subject, kept until both cleared and acknowledged (SPEC W4)."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from protocol.core.alarms import SEVERITY, Alarm, AlarmCode
from protocol.core.deadlines import Turn
from protocol.core.effects import ClearAlarm, RaiseAlarm
from protocol.core.pending_notifications import PendingNotifications
from protocol.errors import LocalProtocolError
from protocol.wire.messages import Utc

CLEARED_KEPT = 1_000
"""Alarms that are over and that nobody has acknowledged: of more the oldest are let go (twice as many before some are).
A peer, a broker or a clock can make any number; the journal has them all."""


class AlarmBook:
    """All alarms that are not finished, by `code/subject`."""

    def __init__(self, alarms: dict[str, Alarm], notices: PendingNotifications) -> None:
        self._alarms = alarms
        self._notifications = notices
        self._cleared = sum(not alarm.active for alarm in alarms.values())

    def raise_alarm(
        self, turn: Turn, code: AlarmCode, subject: str, raised_at: Utc | None = None, detail: str = ""
    ) -> None:
        """Raise an alarm, once: while it is active, raising it again changes nothing (SPEC W4)."""
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
        )
        if known is not None:  # it is the newest now
            self._cleared -= 1
            del self._alarms[f"{code}/{subject}"]
        self._alarms[f"{code}/{subject}"] = alarm
        turn.emit(RaiseAlarm(alarm=alarm))
        self._notifications.alarm(turn, alarm)

    def raise_passing(
        self, turn: Turn, code: AlarmCode, subject: str, raised_at: Utc | None = None, detail: str = ""
    ) -> None:
        """Raise an alarm of something that is already over: it only waits for an officer."""
        self.raise_alarm(turn, code, subject, raised_at, detail)
        self.clear(turn, code, subject)

    def clear(self, turn: Turn, code: AlarmCode, subject: str) -> None:
        """Say that what an alarm stands for is over."""
        key = f"{code}/{subject}"
        alarm = self._alarms.get(key)
        if alarm is None or not alarm.active:
            return
        self._cleared += 1
        self._keep(key, alarm.clear(turn.utc))
        self._let_go()
        turn.emit(ClearAlarm(code=code, subject=subject))

    def clear_all(self, turn: Turn, *codes: AlarmCode) -> None:
        """Clear every active alarm of these codes."""
        for alarm in [alarm for alarm in self._alarms.values() if alarm.code in codes]:
            self.clear(turn, alarm.code, alarm.subject)

    def active(self, code: AlarmCode, subject: str) -> bool:
        """Whether this alarm stands and is not cleared."""
        alarm = self._alarms.get(f"{code}/{subject}")
        return alarm is not None and alarm.active

    def find(self, code: str, subject: str) -> Alarm:
        """Return an alarm that may be acknowledged. Raises LocalProtocolError if there is none."""
        alarm = self._alarms.get(f"{code}/{subject}")
        if alarm is None:
            raise LocalProtocolError("unknown_alarm", f"there is no alarm {code}/{subject}; `alarms list` shows them")
        if alarm.acknowledged_at is not UNSET:
            raise LocalProtocolError(
                "already_done", f"alarm {code}/{subject} is acknowledged by {alarm.acknowledged_by}"
            )
        return alarm

    def acknowledge(self, turn: Turn, alarm: Alarm, officer: str) -> None:
        """Note that an officer has seen an alarm."""
        self._keep(f"{alarm.code}/{alarm.subject}", alarm.acknowledge(officer, turn.utc))

    def _keep(self, key: str, alarm: Alarm) -> None:
        if alarm.finished:
            self._cleared -= 1
            del self._alarms[key]
        else:
            self._alarms[key] = alarm

    def _let_go(self) -> None:
        if self._cleared < 2 * CLEARED_KEPT:
            return
        for key in [key for key, alarm in self._alarms.items() if not alarm.active][:-CLEARED_KEPT]:
            del self._alarms[key]
        self._cleared = CLEARED_KEPT

    def __iter__(self) -> Iterator[Alarm]:
        return iter(self._alarms.values())
