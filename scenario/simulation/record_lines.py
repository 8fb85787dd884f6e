"""Prints records of a simulated or explored world, one line for the event and one for each effect."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from protocol.core.effects import Effect
from protocol.record.journal import Entry
from protocol.wire.instants import Millis, written

_FIELD_MAX = 120


def lines(at: Millis, process: str, entry: Entry, effects: Sequence[Effect]) -> str:
    """Return the lines of one record, which reached the disk of `process` at the true instant `at`."""
    return "\n".join(
        [f"{written(at)} {process:5} >> {_shown(entry)}", *(f"{'':31}<< {_shown(each)}" for each in effects)]
    )


def _shown(value: Entry | Effect) -> str:
    fields = msgspec.to_builtins(value)
    name = fields.pop("event", None) or fields.pop("effect")
    # the clocks stand at the beginning of the line, and nobody reads a frame in base64
    for unread in ("at", "mono", "frame"):
        fields.pop(unread, None)
    if "frames" in fields:
        fields["frames"] = len(fields["frames"])
    shown = (f"{field}={_short(content)}" for field, content in fields.items())
    return f"{name} {' '.join(shown)}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _FIELD_MAX else f"{text[:_FIELD_MAX]}..."
