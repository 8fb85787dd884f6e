"""Checks what a message may refer to, by the kinds of the last messages of both sides (SPEC B6, M7)."""

from __future__ import annotations

from msgspec import UNSET, Struct

from protocol.errors import RemoteProtocolError
from protocol.wire.messages import (
    Acknowledgement,
    Alert,
    AnyBody,
    Change,
    Heartbeat,
    HeartbeatAnswer,
    Identifier,
    Reference,
    Refusal,
)
from protocol.wire.refusals import MessageRefusal

KINDS_KEPT = 1_024
"""How many kinds are kept for each side. Older messages count as closed (SPEC B6.2)."""
NO_KIND = "refused"
"""The kind of a message that was refused: it exists, but an answer cannot refer to it."""


class KnownState(Struct):
    """The known messages of one side, in a checkpoint."""

    # by reference, oldest first
    kinds: dict[str, str] = {}
    # the last seq of this epoch that has left its sender
    known_upto: int = 0


class References:
    """The messages of both parties that others may refer to."""

    def __init__(self, state: dict[Identifier, KnownState], epoch: int) -> None:
        self._state = state
        self._epoch = epoch

    def remember(self, reference: Reference, body: AnyBody | None) -> None:
        """Add a message with its kind; `body` is None if it was refused."""
        party = self._state[reference.sender]
        party.kinds[str(reference)] = kind_of(type(body)) if body is not None else NO_KIND
        # the outbox bounds the messages that have not left yet
        unsent = max(0, reference.seq - party.known_upto)
        while len(party.kinds) > KINDS_KEPT + unsent:
            del party.kinds[next(iter(party.kinds))]

    def known_upto(self, party: Identifier, seq: int) -> None:
        """Note that messages of `party` up to `seq` have left it, so its peer may refer to them."""
        self._state[party].known_upto = seq

    def check(self, body: AnyBody, sender: Identifier, *, unsent_too: bool) -> None:
        """Check that `body` refers only to messages that `sender` can know; `unsent_too` adds its own unsent ones.

        Raises RemoteProtocolError(unknown_reference).
        """
        check_parties(body, sender)
        match body:
            case HeartbeatAnswer():
                self._check(body.of, Heartbeat)
            case Acknowledgement():
                self._check(body.of, Alert)
            case Refusal():
                self._check(body.of, None)
            case Alert():
                if body.change is not UNSET:
                    self._check(body.change.of, Alert, unsent_too=unsent_too)
                for reference in body.references or ():
                    self._check(reference, None, unsent_too=unsent_too)

    def _check(self, of: Reference, kind: type[AnyBody] | None, *, unsent_too: bool = False) -> None:
        party = self._state.get(of.sender)
        if party is None or of.epoch > self._epoch:
            raise _unknown(of, kind)
        if of.epoch == self._epoch and of.seq > party.known_upto and not unsent_too:
            raise _unknown(of, kind)
        known = party.kinds.get(str(of))
        if known is None:
            closed = of.epoch < self._epoch or of.seq <= party.known_upto - KINDS_KEPT
            if not closed:
                raise _unknown(of, kind)
        elif kind is not None and known != kind_of(kind):
            raise _unknown(of, kind)


def check_parties(body: AnyBody, sender: Identifier) -> None:
    """Check that `body` answers the other side's messages and changes only its sender's own (SPEC B6.3).

    Raises RemoteProtocolError(unknown_reference).
    """
    match body:
        case HeartbeatAnswer() | Acknowledgement() | Refusal() if body.of.sender == sender:
            raise _unknown(body.of, None)
        case Alert(change=Change(of=of)) if of.sender != sender:
            raise _unknown(of, Alert)


def kind_of(body: type[AnyBody]) -> str:
    """Return the `type` in the JSON of a body."""
    return str(body.__struct_config__.tag)


def _unknown(of: Reference, kind: type[AnyBody] | None) -> RemoteProtocolError:
    what = f"{kind_of(kind)} " if kind is not None else ""
    return RemoteProtocolError(MessageRefusal.UNKNOWN_REFERENCE, f"there is no {what}{of} that this could refer to")
