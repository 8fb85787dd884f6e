"""Makes and reads signs of life: receipts that nobody journals, which show that their author is reached (SPEC Q2.5)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from endpoints.mqtt.topics import Topic
from endpoints.runtime.ports import RunnableCore
from endpoints.runtime.rate_limits import PresenceCap
from protocol.core.events import FrameReceived
from protocol.wire import canonical, envelope
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.messages import FRAME_MAX_BYTES, ReceiptPayload
from protocol.wire.payloads import read_receipt_payload
from protocol.wire.refusals import STALE_RECEIPT, VERIFIED

Verdict = Callable[[Topic, bytes], str]
"""Returns the verdict on a frame's signatures."""


def payload(receipt: ReceiptPayload, at: Millis) -> bytes:
    """Return the payload of a sign of life: the receipt that stands, sealed anew at `at` (ms since 1970)."""
    return canonical.encode(structs.replace(receipt, at=written(at)))


def take(
    cap: PresenceCap | None, core: RunnableCore, topic: Topic, frame: bytes, real_s: float, verdict: Verdict
) -> bool:
    """Take a sign of life of the party of `cap`, which arrived at `real_s`; return whether a turn is needed for it."""
    if cap is None or not cap.may_check(real_s):
        return False
    scheduled = cap.due_s is not None
    signed = signed_at(core, topic, frame, verdict)
    if signed is not None:
        cap.sign(signed, real_s)
    return cap.changed or (cap.due_s is not None and not scheduled)


def take_word(cap: PresenceCap | None, reason: str, real_s: float) -> None:
    """Take a frame of the party of `cap`, which shows as much as a sign of life if it has an effect: no `reason`."""
    if cap is not None and not reason:
        cap.word(real_s)


def signed_at(core: RunnableCore, topic: Topic, frame: bytes, verdict: Verdict) -> Millis | None:
    """Return when a sign of life was signed (ms since 1970), by its author's clock; None if it is none.

    It must be a receipt of the present terms. Whether it would settle anything does not matter: it has no effect here.
    """
    if topic.channel != "receipt" or len(frame) > FRAME_MAX_BYTES or verdict(topic, frame) != VERIFIED:
        return None
    event = FrameReceived(at=0, mono=0, channel="receipt", sender=topic.sender, frame=frame, verdict=VERIFIED)
    if core.redundant(event) not in {"", STALE_RECEIPT}:
        return None
    return parsed(read_receipt_payload(envelope.parse(frame).payload).at)
