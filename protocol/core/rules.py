"""Checks a message and its body against the agreed policy (SPEC M7, B1 to B5, P1).

Both ends make the same checks: a message that our side may not send is refused when it arrives.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET

from protocol.errors import RemoteProtocolError
from protocol.phrases import phrase
from protocol.wire import canonical
from protocol.wire.messages import (
    MESSAGE_MAX_BYTES,
    Acknowledgement,
    Alert,
    AnyBody,
    Heartbeat,
    HeartbeatAnswer,
    Identifier,
    Message,
    Refusal,
)
from protocol.wire.payloads import read_body
from protocol.wire.policy import Terms
from protocol.wire.refusals import MessageRefusal

FOUR_EYES = 2


def read_message(message: Message, sender: Identifier, terms: Terms) -> AnyBody:
    """Return the body of a message of `sender` that arrived.

    Raises RemoteProtocolError with the MessageRefusal of its first fault, in the order of SPEC M7.2.
    """
    # SPEC F6.2: refused as a message, since a refused frame would be sent again permanently
    size = len(canonical.encode_again(message))
    if size > MESSAGE_MAX_BYTES:
        raise RemoteProtocolError(
            MessageRefusal.UNSUPPORTED,
            phrase("the message has {size} bytes; {limit} is the limit", size=size, limit=MESSAGE_MAX_BYTES),
        )
    body = read_body(message.body)
    check_body(body, sender, terms)
    return body


def check_body(body: AnyBody, sender: Identifier, terms: Terms) -> None:
    """Raise RemoteProtocolError with a MessageRefusal if `sender` may not send `body` under these terms."""
    match body:
        case Heartbeat():
            _check_heartbeat(body, sender, terms)
        case HeartbeatAnswer():
            # SPEC B2.2
            _check_languages([body.language], terms)
            if body.officer is UNSET and terms.policy.answered_by == "officer":
                raise RemoteProtocolError(
                    MessageRefusal.NOT_PERMITTED, phrase("a line test is answered by an officer here")
                )
        case Alert():
            _check_alert(body, terms)
        case Acknowledgement():
            _check_languages(body.text or (), terms)
        case _:
            _check_refusal(body, terms)


def _check_heartbeat(heartbeat: Heartbeat, sender: Identifier, terms: Terms) -> None:
    # SPEC B1.2
    if heartbeat.status != terms.policy.status:
        raise RemoteProtocolError(
            MessageRefusal.NOT_PERMITTED,
            phrase(
                "this link's status is {status}, the test's {other}",
                status=terms.policy.status,
                other=heartbeat.status,
            ),
        )
    if heartbeat.slot is not UNSET and sender != terms.caller:
        raise RemoteProtocolError(
            MessageRefusal.NOT_PERMITTED, phrase("only {caller} places the test of a slot", caller=terms.caller)
        )
    _check_languages([heartbeat.language], terms)


def _check_alert(alert: Alert, terms: Terms) -> None:
    policy = terms.policy
    # SPEC B3.2
    if alert.status not in {policy.status, "test"}:
        raise RemoteProtocolError(
            MessageRefusal.NOT_PERMITTED,
            phrase("this link's status is {status}, the alert's {other}", status=policy.status, other=alert.status),
        )
    if alert.category not in policy.categories:
        raise RemoteProtocolError(
            MessageRefusal.OUT_OF_SCOPE,
            phrase("{found} is not among {known}", found=alert.category, known=", ".join(policy.categories)),
        )
    _check_languages(alert.text, terms)
    # SPEC P1.2: names that their side vouches for, not people (SPEC P1.4)
    if alert.precedence in policy.four_eyes and len(set(alert.released_by)) < FOUR_EYES and not is_cancellation(alert):
        raise RemoteProtocolError(
            MessageRefusal.NOT_AUTHORISED,
            phrase("{precedence} alerts are released by two officers", precedence=alert.precedence),
        )


def is_cancellation(alert: Alert) -> bool:
    """Return whether an alert cancels an earlier one. One officer is enough for that (SPEC P1.3)."""
    return alert.change is not UNSET and alert.change.kind == "cancellation"


def _check_refusal(refusal: Refusal, terms: Terms) -> None:
    # SPEC B5.1
    if (refusal.by == "officer") != (refusal.officer is not UNSET):
        raise RemoteProtocolError(
            MessageRefusal.UNSUPPORTED, phrase("an officer's refusal names the officer, a service's names nobody")
        )
    # SPEC B5.2
    _check_languages(refusal.text or (), terms)
    if refusal.referral is not UNSET and refusal.referral not in {channel.id for channel in terms.policy.channels}:
        known = ", ".join(channel.id for channel in terms.policy.channels)
        raise RemoteProtocolError(
            MessageRefusal.UNKNOWN_REFERENCE,
            phrase(
                "no channel {channel}; the policy has: {known}",
                channel=repr(refusal.referral),
                known=known or phrase("none"),
            ),
        )


def _check_languages(languages: Iterable[str], terms: Terms) -> None:
    for language in languages:
        if language not in terms.policy.languages:
            raise RemoteProtocolError(
                MessageRefusal.UNINTELLIGIBLE,
                phrase("{found} is not among {known}", found=repr(language), known=", ".join(terms.policy.languages)),
            )
