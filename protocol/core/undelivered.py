"""Messages that an ended epoch left without a receipt: shown to officers, never sent again (SPEC E2)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from protocol.core.stream import OutboxState
from protocol.wire import envelope
from protocol.wire.messages import Message, Reference
from protocol.wire.payloads import read_message_payload


class Undelivered(Struct, frozen=True):
    """One message without a receipt."""

    reference: Reference
    body: dict[str, Any]

    @property
    def subject(self) -> str:
        """The subject of the alarm that stands for all messages of its epoch."""
        return f"epoch {self.reference.epoch}"


def undelivered(outbox: OutboxState, first: Reference) -> list[Undelivered]:
    """Return the messages of an outbox that are not receipted; `first` names the stream's first message."""
    messages: list[Message] = []
    for run in outbox.sealed:
        messages += read_message_payload(envelope.parse(run.frame).payload).messages
    messages += outbox.waiting
    return [
        Undelivered(Reference(first.sender, first.epoch, message.seq), message.body)
        for message in messages
        if message.seq > outbox.receipted
    ]
