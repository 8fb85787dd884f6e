"""Computes the digests of policies, streams and messages (SPEC M2, E1)."""

from __future__ import annotations

from hashlib import sha256

from protocol.wire import canonical
from protocol.wire.messages import Digest, Identifier, Message
from protocol.wire.policy import Terms


def policy_digest(terms: Terms) -> Digest:
    """Return the digest that frames carry as `policy` (SPEC E1.2).

    It covers the link, the epoch, the parties and the policy table, but not the link file's bytes or its keys.
    """
    return canonical.digest(terms)


def genesis(terms: Terms, sender: Identifier) -> Digest:
    """Return the `prev` of message 1 in the stream of `sender`; it is also the `head` of a receipt up to 0 (SPEC M2.3).

    Raises ValueError if `sender` is not a party of the link.
    """
    if sender not in {terms.caller, terms.answering}:
        raise ValueError(f"{sender!r} is not a party of the link {terms.link!r}")
    return canonical.digest(
        {
            "link": terms.link,
            "epoch": terms.epoch,
            "sender": sender,
            "recipient": terms.answering if sender == terms.caller else terms.caller,
            "policy": policy_digest(terms),
        }
    )


def admitted_digest(message: Message) -> Digest:
    """Return the hash of a message that came in canonical bytes: nothing in it needs to be checked again."""
    return sha256(canonical.encode_again(message)).hexdigest()


def message_digest(message: Message) -> Digest:
    """Return a message's hash, which is the `prev` of the next message and the `head` of a receipt (SPEC M2.2).

    Raises CanonicalError if the body contains a value that SPEC F4 does not admit.
    """
    return canonical.digest(message)
