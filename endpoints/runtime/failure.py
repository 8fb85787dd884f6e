"""The alarm `journal_failure` of a stopped link. Its core cannot hold it: the journal takes no more records."""

from __future__ import annotations

from msgspec import UNSET, structs

from endpoints.change_signal import ChangeSignal
from endpoints.runtime.ports import NotificationOutlet
from endpoints.structured_log import get_logger
from protocol.core.alarms import SEVERITY, Alarm, AlarmCode
from protocol.core.effects import Notify
from protocol.errors import LinkError
from protocol.phrases import said, worded
from protocol.wire.instants import Millis, written

_log = get_logger()


class FailureAlarm:
    """Raises the alarm of one runner, and clears the one that it inherited from the runner before."""

    def __init__(self, link: str, side: str, notifications: NotificationOutlet, changed: ChangeSignal) -> None:
        self.standing: Alarm | None = None
        """Why this runner has stopped, None while it runs. It stands until another runner takes its place."""
        self._inherited: Alarm | None = None
        self._link = link
        self._side = side
        self._notifications = notifications
        self._changed = changed

    def raise_for(self, error: LinkError, at: Millis) -> None:
        """Raise the alarm, and notify unless the runner before had failed too: then the same alarm still stands."""
        if self._inherited is not None:
            self.standing = structs.replace(self._inherited, detail=str(error), said=said(worded(error)) or UNSET)
            return
        instant = written(at)
        code = AlarmCode.JOURNAL_FAILURE
        self.standing = Alarm(
            code=code,
            severity=SEVERITY[code],
            subject=self._link,
            raised_at=instant,
            detected_at=instant,
            detail=str(error),
            said=said(worded(error)) or UNSET,
        )
        _log.critical("link stopped", link=self._link, side=self._side, why=str(error))
        self._notify(self.standing, "")

    def keep(self, error: LinkError) -> None:
        """Replace the reason by `error`, for which the journal will not be opened again."""
        assert self.standing is not None, "only a stopped link stays stopped"
        self.standing = structs.replace(self.standing, detail=str(error), said=said(worded(error)) or UNSET)
        _log.critical("link stays stopped", link=self._link, side=self._side, why=str(error))
        self._changed.send()

    def inherit(self, alarm: Alarm | None) -> None:
        """Take over the alarm of the runner before, until this runner's start is on disk."""
        self._inherited = alarm

    def clear(self, at: Millis) -> None:
        """Clear the inherited alarm and notify: this runner's start is on disk."""
        inherited, self._inherited = self._inherited, None
        assert inherited is not None, "a runner replaces one that has failed"
        _log.warning("link back", link=self._link, side=self._side)
        self._notify(structs.replace(inherited, cleared_at=written(at)), "/over")

    def _notify(self, alarm: Alarm, suffix: str) -> None:
        notice = Notify(
            id=f"alarm/{alarm.code}/{self._link}/{alarm.raised_at}{suffix}",
            kind="alarm",
            alarm=alarm,
        )
        self._notifications.submit(self._link, self._side, notice)
        self._changed.send()
