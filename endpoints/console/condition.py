"""The states of a screen as far as the server knows them: which part of the way from the broker to the console is gone.

What only the browser knows, that the console itself gives no sign of life, stands in `static/worker.js`.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct

from endpoints.control.status import Status
from protocol.core.alarms import AlarmCode
from protocol.phrases import Said
from protocol.wire.instants import Millis, parsed

State = Literal["live", "unheard", "endpoint_gone", "link_stopped", "broker_gone"]
"""`unheard`: the endpoint was not asked yet. In the order of what is judged, `live` if nothing is wrong."""


class Condition(Struct, frozen=True, kw_only=True):
    """The state of a screen's news.

    Attributes:
        state: which part is gone.
        since: since when; None if nobody knows.
        detail: why, as a text for people.
        said: what `detail` was made from, None if it is not translated.
    """

    state: State
    since: Millis | None = None
    detail: str = ""
    said: Said | None = None

    @property
    def current(self) -> bool:
        """Whether the endpoint's words are of now: it answers, whatever else is wrong."""
        return self.state not in {"unheard", "endpoint_gone"}


UNHEARD = Condition(state="unheard")


def gone(heard_at: Millis | None, detail: str, said: Said | None = None) -> Condition:
    """Return the condition while the process does not answer: since its last sign of life `heard_at`."""
    return Condition(state="endpoint_gone", since=heard_at, detail=detail, said=said)


def heard(status: Status) -> Condition:
    """Return the condition while the process answers with `status`."""
    for alarm in status.alarms:
        if alarm.code == AlarmCode.JOURNAL_FAILURE and alarm.cleared_at is UNSET:
            return Condition(
                state="link_stopped", since=parsed(alarm.raised_at), detail=alarm.detail, said=alarm.said or None
            )
    if status.broker == "connected":
        return Condition(state="live")
    lost = [
        parsed(alarm.raised_at)
        for alarm in status.alarms
        if alarm.code == AlarmCode.BROKER_UNREACHABLE and alarm.cleared_at is UNSET
    ]
    why = next((reason for reason in status.reasons if reason.code == "not_connected"), None)
    return Condition(
        state="broker_gone",
        since=min(lost, default=None),
        detail="" if why is None else why.text,
        said=None if why is None else why.said or None,
    )
