"""The states of a screen as far as the server knows them: which part of the way from the broker to the console is gone.

What only the browser knows, that the console itself gives no sign of life, stands in `static/worker.js`.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct

from endpoints.control.client import NotRunning, RequestRefused
from endpoints.control.status import Status
from endpoints.errors import UserError
from protocol.core.alarms import Alarm, AlarmCode
from protocol.core.snapshot import Snapshot
from protocol.phrases import Said, phrase, said
from protocol.wire.instants import Millis, parsed

ConditionState = Literal["live", "unheard", "endpoint_gone", "link_stopped", "broker_gone", "replayed", "absent"]
"""`unheard`: the process was not asked yet; `live`: nothing on the way is wrong.

Of a past instant, `replayed`: the journal says nothing against it; `absent`: the process was not at work.
"""


class Condition(Struct, frozen=True, kw_only=True):
    """The state of the news on a screen.

    Attributes:
        state: which part is gone.
        since: since when; None if nobody knows.
        detail: why, as a text for people; empty if the state says it all.
        made_from: what `detail` was made from, None if it is not translated.
    """

    state: ConditionState
    since: Millis | None = None
    detail: str = ""
    made_from: Said | None = None

    @property
    def current(self) -> bool:
        """Whether what was heard is of now, or of the past instant that is shown: the process was at work."""
        return self.state not in {"unheard", "endpoint_gone", "absent"}


UNHEARD = Condition(state="unheard")


def gone(error: UserError, heard_at: Millis | None) -> Condition:
    """Return the condition while the process does not answer, for `error`; `heard_at` was its last sign of life."""
    if isinstance(error, NotRunning):
        why: str = phrase("Its process does not run.")
    elif isinstance(error, RequestRefused):
        why = error.args[0]
    else:
        why = phrase("Its process gives no answer: it hangs, or is ending.")
    return Condition(state="endpoint_gone", since=heard_at, detail=str(why), made_from=said(why))


def heard(status: Status, snapshot: Snapshot | None, at: Millis, before: Condition) -> Condition:
    """Return the condition while the process answers.

    Args:
        status: its answer.
        snapshot: the same; None for a link that has stopped.
        at: when it came.
        before: the condition until then.
    """
    failure = _open_alarm(status, AlarmCode.JOURNAL_FAILURE)
    if failure is not None:
        since = parsed(failure.raised_at)
        return Condition(state="link_stopped", since=since, detail=failure.detail, made_from=failure.said or None)
    if status.broker == "connected":
        return Condition(state="live")
    alarm = _open_alarm(status, AlarmCode.BROKER_UNREACHABLE)
    if alarm is not None:
        lost_at: Millis | None = parsed(alarm.raised_at)
    elif before.state == "live":
        lost_at = at
    else:
        lost_at = before.since if before.state == "broker_gone" else None
    return Condition(
        state="broker_gone",
        since=lost_at,
        detail="" if snapshot is None else snapshot.connection_trouble,
        made_from=None if snapshot is None else snapshot.connection_trouble_said,
    )


def _open_alarm(status: Status, code: AlarmCode) -> Alarm | None:
    return next((each for each in status.alarms if each.code == code and each.cleared_at is UNSET), None)
