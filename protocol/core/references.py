"""Checks what a message may refer to, by the kinds of the last messages of both sides (SPEC B6, M7)."""

from __future__ import annotations

from functools import cache

from msgspec import UNSET, Struct

from protocol.core.rules import is_cancellation
from protocol.errors import RemoteProtocolError
from protocol.phrases import phrase
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
FINAL_ALERT = "final_alert"
"""The kind of an alert that no change may refer to: it was changed or cancelled, or is a cancellation (SPEC B3.3)."""


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
        if isinstance(body, Alert) and is_cancellation(body):
            kind = FINAL_ALERT
        else:
            kind = NO_KIND if body is None else kind_of(type(body))
        party.kinds[str(reference)] = kind
        # the outbox bounds the messages that have not left yet
        unsent = max(0, reference.seq - party.known_upto)
        while len(party.kinds) > KINDS_KEPT + unsent:
            del party.kinds[next(iter(party.kinds))]

    def note_change(self, body: AnyBody) -> None:
        """Note that the peer has changed the alert that `body` names, if it is a change: that happens once."""
        if isinstance(body, Alert) and body.change is not UNSET:
            kinds = self._state[body.change.of.sender].kinds
            if str(body.change.of) in kinds:
                kinds[str(body.change.of)] = FINAL_ALERT

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
                self._check(body.of, kind_of(Heartbeat))
            case Acknowledgement():
                self._check(body.of, kind_of(Alert), FINAL_ALERT)
            case Refusal():
                self._check(body.of)
            case Alert():
                if body.change is not UNSET:
                    self._check(body.change.of, kind_of(Alert), unsent_too=unsent_too)
                for reference in body.references or ():
                    self._check(reference, unsent_too=unsent_too)

    def _check(self, of: Reference, *kinds: str, unsent_too: bool = False) -> None:
        party = self._state.get(of.sender)
        if party is None or of.epoch > self._epoch:
            raise _unknown(of, *kinds)
        if of.epoch == self._epoch and of.seq > party.known_upto and not unsent_too:
            raise _unknown(of, *kinds)
        known = party.kinds.get(str(of))
        if known is None:
            closed = of.epoch < self._epoch or of.seq <= party.known_upto - KINDS_KEPT
            if not closed:
                raise _unknown(of, *kinds)
        elif kinds and known not in kinds:
            raise _unknown(of, *kinds)


def check_parties(body: AnyBody, sender: Identifier) -> None:
    """Check that `body` answers the other side's messages and changes only its sender's own (SPEC B6.3).

    Raises RemoteProtocolError(unknown_reference).
    """
    match body:
        case HeartbeatAnswer() | Acknowledgement() | Refusal() if body.of.sender == sender:
            raise _unknown(body.of)
        case Alert(change=Change(of=of)) if of.sender != sender:
            raise _unknown(of, kind_of(Alert))


@cache
def kind_of(body: type[AnyBody]) -> str:
    """Return the `type` in the JSON of a body."""
    return str(body.__struct_config__.tag)


def _unknown(of: Reference, *kinds: str) -> RemoteProtocolError:
    if kinds:
        what = phrase("there is no {kind} {reference} that this could refer to", kind=kinds[0], reference=of)
    else:
        what = phrase("there is no {reference} that this could refer to", reference=of)
    return RemoteProtocolError(MessageRefusal.UNKNOWN_REFERENCE, what)
