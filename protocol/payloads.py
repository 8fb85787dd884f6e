"""From the verified bytes of a frame to its typed payload (SPEC F3.6, F4, M1, R1)."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from protocol import canonical
from protocol.errors import RemoteProtocolError
from protocol.instants import parsed
from protocol.messages import MessagePayload, ReceiptPayload
from protocol.refusals import FrameRefusal

_Payload = TypeVar("_Payload", MessagePayload, ReceiptPayload)


def decode_message(payload: bytes) -> MessagePayload:
    """Return the payload of a frame of the channel `message`, to be called with verified bytes only (SPEC F3.6).

    Raises RemoteProtocolError: `not_canonical`, `malformed_payload`. What the messages' bodies say stays unjudged until
    their turn (SPEC M7).
    """
    decoded = _decode(payload, MessagePayload)
    # SPEC M1.2: a run is consecutive
    for earlier, later in zip(decoded.messages, decoded.messages[1:], strict=False):
        if later.seq != earlier.seq + 1:
            raise RemoteProtocolError(FrameRefusal.MALFORMED_PAYLOAD, f"message {later.seq} follows {earlier.seq}")
    for message in decoded.messages:
        _check_instant(message.at)
    if decoded.receipt:
        _check_instant(decoded.receipt.at)
    return decoded


def decode_receipt(payload: bytes) -> ReceiptPayload:
    """Return the payload of a frame of the channel `receipt`, to be called with verified bytes only (SPEC F3.6).

    Raises RemoteProtocolError: `not_canonical`, `malformed_payload`.
    """
    decoded = _decode(payload, ReceiptPayload)
    _check_instant(decoded.at)
    return decoded


def _decode(payload: bytes, kind: type[_Payload]) -> _Payload:
    # SPEC F4
    try:
        value = canonical.decode(payload)
    except canonical.CanonicalError as error:
        raise RemoteProtocolError(FrameRefusal.NOT_CANONICAL, str(error)) from error
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(FrameRefusal.MALFORMED_PAYLOAD, str(error)) from error


def _check_instant(text: str) -> None:
    # SPEC F4.6: the type admits a month 13, this does not
    try:
        parsed(text)
    except ValueError as error:
        raise RemoteProtocolError(FrameRefusal.MALFORMED_PAYLOAD, str(error)) from error
