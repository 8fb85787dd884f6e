"""What every event has: its time."""

from __future__ import annotations

from msgspec import Struct


class Event(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="event",
    tag=True,
):
    """Something that happened at `at`/`mono`."""

    at: int
    mono: int
