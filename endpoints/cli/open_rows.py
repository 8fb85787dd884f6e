"""What waits for an officer, in one line each: for `status` and `messages --open`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator
    from protocol.wire.instants import Millis
    from protocol.wire.messages import Utc


def open_words(item: Mapping[str, Any], t: Translator, zone: str, now: Millis) -> str:
    """Return an alert or a line test that waits, in one line; first of all, what makes it old news."""
    words = [
        item["reference"],
        t.term("kind", item["kind"]),
        *([t.term("precedence", item["precedence"])] if item["precedence"] else []),
        *([t.term("change", item["change"])] if item["change"] else []),
        *([t.term("category", item["category"])] if item["category"] else []),
        *([time_left(item["due_at"], t, zone, now)] if item["due_at"] else []),
    ]
    return f"{age_of(item, t, zone, now)}{', '.join(words)}"


def draft_words(draft: Mapping[str, Any], t: Translator, zone: str, now: Millis) -> str:
    """Return a draft that waits for its release, in one line."""
    words = [
        draft["draft"],
        t.term("precedence", draft["precedence"]),
        t.term("category", draft["category"]),
        t("written by {officer}", officer=draft["officer"]),
        expiry_left(draft["expires_at"], t, zone, now),
    ]
    return ", ".join(words)


def time_left(due_at: Utc, t: Translator, zone: str, now: Millis) -> str:
    """Return how long there is until a deadline, or since when it is over, and its time."""
    from endpoints.texts.wording import local
    from protocol.wire.instants import parsed

    left_s, when = (parsed(due_at) - now) / 1_000, local(due_at, t, zone)
    if left_s < 0:
        return t("OVERDUE by {time}, was due {when}", time=t.duration(-left_s), when=when)
    return t("{time} left, due {when}", time=t.duration(left_s), when=when)


def expiry_left(expires_at: Utc, t: Translator, zone: str, now: Millis) -> str:
    """Return when a draft expires."""
    from endpoints.texts.wording import local
    from protocol.wire.instants import parsed

    left = t.duration((parsed(expires_at) - now) / 1_000)
    return t("expires in {time}, {when}", time=left, when=local(expires_at, t, zone))


def age_of(item: Mapping[str, Any], t: Translator, zone: str, now: Millis) -> str:
    """Return what a view says before an item that is old news (SPEC M8.4); empty for any other."""
    from msgspec import convert

    from endpoints.texts.wording import age_warning
    from protocol.core.staleness import Staleness
    from protocol.wire.instants import parsed

    # a line test does not expire
    arrived = parsed(item["received_at"]) if "received_at" in item else None
    return age_warning(convert(item["stale"] or {}, Staleness), t, now, zone, arrived=arrived)
