"""A link's status as an endpoint says it, for tests of what the console makes of it."""

from __future__ import annotations

from typing import Any

from msgspec import convert

from endpoints.control.reasons import Reason
from endpoints.control.status import Status
from protocol.core.alarms import Alarm

EARLIER = "2022-11-29T11:58:00.000Z"


def status(*, broker: Any = "connected", **alarm: Any) -> Status:
    """Return the status of a link that is fine, or has lost its broker, or has one alarm with these fields."""
    alarms = (
        [convert({"severity": "critical", "raised_at": EARLIER, "detected_at": EARLIER, **alarm}, Alarm)]
        if alarm
        else []
    )
    return Status(
        link="eucom-ndmc",
        status="exercise",
        side="eucom",
        state="fine",
        reasons=(Reason(code="not_connected", state="late", text="no connection"),) if broker != "connected" else (),
        broker=broker,
        peer="present",
        presence_age_s=1,
        last_signed_at=None,
        last_test=None,
        next_slot=None,
        outbox=None,
        alarms=tuple(alarms),
        open=(),
        awaited=(),
        drafts=(),
        on_watch=None,
        confirmed=None,
    )
