"""What leaves at the end of a batch: runs of messages, each under one signature, and a receipt (SPEC M1.3, R1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import UNSET, Struct

from protocol.core.effects import Seal
from protocol.wire import canonical
from protocol.wire.messages import Claim, Digest, Identifier, Message, MessagePayload, ReceiptPayload
from protocol.wire.policy import Terms


class Unsealed(Struct, frozen=True):
    """A payload to be signed; its type follows from the channel."""

    channel: Literal["message", "receipt"]
    payload: bytes


class Departure(Struct, frozen=True):
    """One frame to be: its payload, the effect that publishes it, and the run that it carries."""

    unsealed: Unsealed
    seal: Seal
    run: tuple[Message, ...] = ()


def departures(
    terms: Terms,
    policy: Digest,
    sender: Identifier,
    recipient: Identifier,
    *,
    runs: Sequence[tuple[Message, ...]],
    floor: int,
    claim: Claim | None,
) -> list[Departure]:
    """Lay out the frames of `runs`; `claim` rides with the first of them, or goes alone if there is none."""
    if claim is not None and not runs:
        receipt = ReceiptPayload(
            link=terms.link,
            epoch=terms.epoch,
            sender=sender,
            recipient=recipient,
            policy=policy,
            upto=claim.upto,
            head=claim.head,
            at=claim.at,
        )
        seal = Seal(index=0, channel="receipt", upto=claim.upto)
        return [Departure(Unsealed("receipt", canonical.encode(receipt)), seal)]
    leaving = []
    for index, run in enumerate(runs):
        riding = claim if index == 0 else None
        message = MessagePayload(
            link=terms.link,
            epoch=terms.epoch,
            sender=sender,
            recipient=recipient,
            policy=policy,
            floor=floor,
            messages=run,
            receipt=riding or UNSET,
        )
        seal = Seal(
            index=index,
            channel="message",
            first=run[0].seq,
            last=run[-1].seq,
            upto=riding.upto if riding else UNSET,
        )
        leaving.append(Departure(Unsealed("message", canonical.encode(message)), seal, run))
    return leaving
