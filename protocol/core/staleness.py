"""Tells whether a message is news: not if its alert has expired, if it was sent long ago, or is dated ahead.

After a restored journal, the broker may deliver messages of last week as new ones. They are applied and notified as
ever, since nothing may be lost; every view of one says first that it is old (SPEC M8.4).
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from protocol.core.rules import is_cancellation
from protocol.errors import RemoteProtocolError
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Alert, Utc
from protocol.wire.payloads import read_body

OLD_MS: Millis = 3_600_000
"""How long before its arrival a message may have been sent; also, how far its date may be ahead."""


class Staleness(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a message is no news. It is news if no field is set."""

    # when the alert expired
    expired_at: Utc | None = None
    # when it was sent by its sender's clock: more than an hour before it arrived
    old_since: Utc | None = None
    # when it was sent by its sender's clock: more than an hour after it arrived
    ahead_at: Utc | None = None

    def __bool__(self) -> bool:
        return bool(self.expired_at or self.old_since or self.ahead_at)


def staleness(expires_at: Utc | None, sent_at: Utc | None, arrived: Millis | None, now: Millis) -> Staleness:
    """Return why a message is no news (SPEC M8.4).

    Args:
        expires_at: what `expiry` returned for it.
        sent_at: its `at`, by its sender's clock; None if it is not known.
        arrived: when it arrived here; None for a message of our own.
        now: when it is shown.
    """
    expired = expires_at is not None and parsed(expires_at) <= now
    under_way = 0 if sent_at is None or arrived is None else arrived - parsed(sent_at)
    return Staleness(
        expired_at=expires_at if expired else None,
        old_since=sent_at if under_way > OLD_MS else None,
        ahead_at=sent_at if under_way < -OLD_MS else None,
    )


def expiry(body: Alert | dict[str, Any]) -> Utc | None:
    """Return when an alert expires; None for other bodies, and for a cancellation, which holds for good."""
    try:
        said = body if isinstance(body, Alert) else read_body(body)
    except RemoteProtocolError:
        return None
    return said.expires_at if isinstance(said, Alert) and not is_cancellation(said) else None
