"""The open alarms: each is raised once, and kept until it is both cleared and acknowledged (SPEC W4)."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET, UnsetType, structs

from protocol.core.alarm_repeats import AlarmRepeats, AlarmRepeatsState
from protocol.core.alarms import SEVERITY, Alarm, AlarmCode
from protocol.core.deadlines import Turn
from protocol.core.effects import ClearAlarm, RaiseAlarm
from protocol.core.pending_notifications import PendingNotifications
from protocol.core.staleness import Staleness
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase, said
from protocol.wire.instants import Millis
from protocol.wire.messages import Utc

CLEARED_KEPT = 1_000
"""Cleared alarms that are kept until an officer acknowledges them. Twice as many accumulate before the oldest are
dropped. A peer, a broker or a clock can cause any number; the journal has them all."""


class AlarmBook:
    """The alarms that are not finished, by `code/subject`."""

    def __init__(
        self, alarms: dict[str, Alarm], repeats: AlarmRepeatsState, notifications: PendingNotifications
    ) -> None:
        self._alarms = alarms
        self._repeats = AlarmRepeats(repeats)
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
        if self.active(code, subject):
            return
        alarm = _alarm(turn, code, subject, raised_at, detail, stale, words_from)
        self._add(turn, alarm)
        if self._repeats.begin(turn, f"{code}/{subject}", alarm):
            self._notifications.alarm(turn, alarm)

    def raise_passing(
        self, turn: Turn, code: AlarmCode, subject: str, raised_at: Utc | None = None, detail: str = ""
    ) -> None:
        """Raise an alarm about something that is over already, as its one notification says (SPEC W4.1)."""
        alarm = _alarm(turn, code, subject, raised_at, detail)
        self._add(turn, alarm)
        self._notifications.alarm(turn, alarm.clear(turn.utc))
        self._clear(turn, f"{code}/{subject}", alarm.clear(turn.utc))

    def explain(self, turn: Turn, code: AlarmCode, subject: str, detail: str) -> None:
        """Bring the detail of an active alarm up to date; nobody is notified (SPEC W4.3)."""
        key = f"{code}/{subject}"
        alarm = self._alarms.get(key)
        if alarm is None or not alarm.active or alarm.detail == detail:
            return
        self._alarms[key] = structs.replace(alarm, detail=str(detail), said=said(detail) or UNSET)
        turn.emit(RaiseAlarm(alarm=self._alarms[key]))

    def clear(self, turn: Turn, code: AlarmCode, subject: str) -> None:
        """Clear an alarm, if it is active: its cause is over, and who was notified of it is told so (SPEC W4.1)."""
        key = f"{code}/{subject}"
        alarm = self._alarms.get(key)
        if alarm is None or not alarm.active:
            return
        cleared = alarm.clear(turn.utc)
        self._clear(turn, key, cleared)
        if self._repeats.end(key) and not turn.older:
            self._notifications.over(turn, cleared)

    def _add(self, turn: Turn, alarm: Alarm) -> None:
        """List an alarm last, in place of one that was cleared."""
        if self._alarms.pop(f"{alarm.code}/{alarm.subject}", None) is not None:
            self._cleared -= 1
        self._alarms[f"{alarm.code}/{alarm.subject}"] = alarm
        turn.emit(RaiseAlarm(alarm=alarm))

    def _clear(self, turn: Turn, key: str, cleared: Alarm) -> None:
        self._cleared += 1
        self._keep(key, cleared)
        self._drop_oldest()
        turn.emit(ClearAlarm(code=cleared.code, subject=cleared.subject))

    def repeat(self, turn: Turn) -> None:
        """Notify people again of what nobody has acknowledged, if it is time (SPEC W4.2)."""
        due = self.next_repeat_age()
        if due is not None and due <= turn.age:
            for alarm, told in self._repeats.round(turn, self._alarms):
                self._notifications.alarm(turn, alarm, told)

    def next_repeat_age(self) -> Millis | None:
        """Return the link's age at which `repeat` has something to do, None if it has not."""
        return self._repeats.next_age()

    def clear_all(self, turn: Turn, *codes: AlarmCode) -> None:
        """Clear every active alarm of these codes."""
        for alarm in [alarm for alarm in self._alarms.values() if alarm.code in codes]:
            self.clear(turn, alarm.code, alarm.subject)

    def active(self, code: AlarmCode, subject: str) -> bool:
        """Return whether this alarm is raised and not cleared."""
        alarm = self._alarms.get(f"{code}/{subject}")
        return alarm is not None and alarm.active

    def waits(self, code: str, subject: str) -> bool:
        """Return whether this alarm is listed and nobody has acknowledged it."""
        alarm = self._alarms.get(f"{code}/{subject}")
        return alarm is not None and alarm.acknowledged_at is UNSET

    def find(self, code: str, subject: str, officer: str) -> Alarm:
        """Return an alarm that `officer` can acknowledge.

        Raises LocalProtocolError if there is none, with the code `conflict` if another officer acknowledged it first.
        """
        alarm = self._alarms.get(f"{code}/{subject}")
        if alarm is None:
            raise LocalProtocolError(
                "unknown_alarm",
                phrase("there is no alarm {alarm}; `alarms list` shows them", alarm=f"{code}/{subject}"),
            )
        if alarm.acknowledged_at is not UNSET:
            raise LocalProtocolError(
                "already_done" if alarm.acknowledged_by == officer else "conflict",
                phrase(
                    "alarm {alarm} is acknowledged: by {officer} at {instant}",
                    alarm=f"{code}/{subject}",
                    officer=alarm.acknowledged_by,
                    instant=alarm.acknowledged_at,
                ),
            )
        return alarm

    def acknowledge(self, turn: Turn, alarm: Alarm, officer: str) -> None:
        """Record that `officer` has acknowledged an alarm."""
        key = f"{alarm.code}/{alarm.subject}"
        self._repeats.end(key)
        self._keep(key, alarm.acknowledge(officer, turn.utc))

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


def _alarm(
    turn: Turn,
    code: AlarmCode,
    subject: str,
    raised_at: Utc | None,
    detail: str,
    stale: Staleness | None = None,
    words_from: int | UnsetType = UNSET,
) -> Alarm:
    return Alarm(
        code=code,
        severity=SEVERITY[code],
        subject=subject,
        raised_at=raised_at or turn.utc,
        detected_at=turn.utc,
        detail=str(detail),
        said=said(detail) or UNSET,
        stale=stale or UNSET,
        words_from=words_from,
    )
