"""The frames that this side sealed, as a journal's records name them."""

from __future__ import annotations

from collections.abc import Iterator

from protocol.core.effects import Seal
from protocol.core.events import BatchClosed
from protocol.record.journal import Record
from protocol.wire.envelope import PAYLOAD_TYPES


def own_sealed(record: Record, event: BatchClosed) -> Iterator[tuple[str, bytes]]:
    """Yield our own frames of a batch, in their order, each with the payload type that it must have."""
    channels = {effect.index: effect.channel for effect in record.effects if isinstance(effect, Seal)}
    for index, frame in enumerate(event.frames):
        yield PAYLOAD_TYPES[channels.get(index, "message")], frame
