"""What is hashed into what: the digests that streams, epochs and people compare (SPEC M2, E1)."""

from __future__ import annotations

from protocol.wire import canonical
from protocol.wire.messages import Digest, Identifier, Message
from protocol.wire.policy import Terms


def policy_digest(terms: Terms) -> Digest:
    """Return what frames call `policy`: of link, epoch, parties, policy table, not file bytes or keys (SPEC E1.2)."""
    return canonical.digest(terms)


def genesis(terms: Terms, sender: Identifier) -> Digest:
    """Return `prev` of seq 1 of the stream of `sender`, which is also its `head` at upto 0 (SPEC M2.3).

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


def message_digest(message: Message) -> Digest:
    """Return a message's hash: `prev` of the next one, `head` of a receipt up to it (SPEC M2.2).

    Raises CanonicalError if the body holds what SPEC F4 does not admit.
    """
    return canonical.digest(message)
