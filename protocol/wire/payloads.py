"""Decodes verified payloads and message bodies (SPEC F4, M1, M7, R1)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar, get_args

import msgspec

from protocol.errors import RemoteProtocolError
from protocol.phrases import phrase, worded
from protocol.wire import canonical
from protocol.wire.canonical import CanonicalError
from protocol.wire.instants import parsed
from protocol.wire.messages import AnyBody, MessagePayload, ReceiptPayload
from protocol.wire.refusals import FrameRefusal, MessageRefusal

Payload = TypeVar("Payload", MessagePayload, ReceiptPayload)

_KINDS: dict[str, type[AnyBody]] = {str(each.__struct_config__.tag): each for each in get_args(AnyBody)}
_MESSAGES = msgspec.json.Decoder(MessagePayload)
_RECEIPTS = msgspec.json.Decoder(ReceiptPayload)


@lru_cache(maxsize=64)  # a resent frame is decoded again; sharing the result is safe, since no caller modifies it
def read_message_payload(payload: bytes) -> MessagePayload:
    """Decode the payload of a message frame whose signature is verified.

    Raises RemoteProtocolError(not_canonical | malformed_payload).
    """
    read = _read(payload, _MESSAGES, MessagePayload)
    # SPEC M1.2
    for expected, message in enumerate(read.messages, read.messages[0].seq):
        if message.seq != expected:
            detail = phrase("message {seq} stands for {expected}", seq=message.seq, expected=expected)
            raise RemoteProtocolError(FrameRefusal.MALFORMED_PAYLOAD, detail)
        _check_instant(message.at)
    if not isinstance(read.receipt, msgspec.UnsetType):
        _check_instant(read.receipt.at)
    return read


@lru_cache(maxsize=64)
def read_receipt_payload(payload: bytes) -> ReceiptPayload:
    """Decode the payload of a receipt frame whose signature is verified.

    Raises RemoteProtocolError(not_canonical | malformed_payload).
    """
    read = _read(payload, _RECEIPTS, ReceiptPayload)
    _check_instant(read.at)
    return read


def read_body(body: dict[str, Any]) -> AnyBody:
    """Decode the body of a message.

    Raises RemoteProtocolError(unsupported): a body that cannot be decoded is refused, not guessed at (SPEC M7.1).
    """
    try:
        # for a union, msgspec makes its tables anew at each call; but the union words what is wrong with a body
        kind = _KINDS.get(str(body.get("type")))
        read: AnyBody = msgspec.convert(body, AnyBody) if kind is None else _converted(body, kind)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(MessageRefusal.UNSUPPORTED, str(error)[:200]) from error
    for name in ("slot", "event_at", "expires_at"):
        instant = getattr(read, name, None)
        if isinstance(instant, str):
            try:
                parsed(instant)
            except ValueError as error:
                detail = phrase("{field}: {error}", field=name, error=error)
                raise RemoteProtocolError(MessageRefusal.UNSUPPORTED, detail) from error
    return read


def _converted(body: dict[str, Any], kind: type[AnyBody]) -> AnyBody:
    read: AnyBody
    try:
        read = msgspec.convert(body, kind)
    except msgspec.ValidationError:
        read = msgspec.convert(body, AnyBody)
    return read


def _read(payload: bytes, decoder: msgspec.json.Decoder[Payload], kind: type[Payload]) -> Payload:
    # SPEC F3.6
    known = canonical.decode_as(payload, decoder)
    if known is not None:
        return known
    try:
        value = canonical.decode(payload)
    except CanonicalError as error:
        raise RemoteProtocolError(FrameRefusal.NOT_CANONICAL, str(error)[:200]) from error
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(FrameRefusal.MALFORMED_PAYLOAD, str(error)[:200]) from error


def _check_instant(text: str) -> None:
    try:
        parsed(text)
    except ValueError as error:
        raise RemoteProtocolError(FrameRefusal.MALFORMED_PAYLOAD, worded(error)) from error
