"""Lists the reasons for refusing a frame (SPEC M6) or a message (SPEC M7), as journals record them."""

from __future__ import annotations

from enum import StrEnum

VERIFIED = "verified"
"""The verdict on a frame whose signatures are valid (SPEC F3)."""

REPEATED = "repeated"
"""A verified frame whose messages are all known."""
OUTDATED = "outdated"
"""A verified frame whose messages its sender has seen receipted, and which it would not send again (SPEC M4.3)."""
STALE_RECEIPT = "stale_receipt"
"""A verified receipt that settles nothing."""
ALTERED = "altered"
"""A verified frame that changes nothing, with other bytes around a payload that is known."""
OVERLOAD = "overload"
"""A verified frame that brings more than the journal takes of a peer at one time."""


class FrameRefusal(StrEnum):
    """Why a frame is refused; a refused frame changes neither stream (SPEC M6.1)."""

    TOO_LARGE = "too_large"
    MALFORMED_ENVELOPE = "malformed_envelope"
    WRONG_PAYLOAD_TYPE = "wrong_payload_type"
    UNKNOWN_SENDER = "unknown_sender"
    BAD_SIGNATURE = "bad_signature"
    NOT_CANONICAL = "not_canonical"
    MALFORMED_PAYLOAD = "malformed_payload"
    WRONG_LINK = "wrong_link"
    WRONG_SENDER = "wrong_sender"
    WRONG_RECIPIENT = "wrong_recipient"
    WRONG_EPOCH = "wrong_epoch"
    WRONG_POLICY = "wrong_policy"
    TOO_FAR_AHEAD = "too_far_ahead"
    DIRECTION_STOPPED = "direction_stopped"


class MessageRefusal(StrEnum):
    """Why the service or an officer refuses a validly signed message (SPEC B5.2)."""

    OUT_OF_SCOPE = "out_of_scope"
    UNINTELLIGIBLE = "unintelligible"
    EXPIRED = "expired"
    NOT_AUTHORISED = "not_authorised"
    UNSUPPORTED = "unsupported"
    UNKNOWN_REFERENCE = "unknown_reference"
    NOT_PERMITTED = "not_permitted"
