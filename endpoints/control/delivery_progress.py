"""How far a message of ours has come: the ladder that `--wait` shows.

Journaled, the broker has it, received (the peer's machine, by its receipt), acknowledged or refused (the peer's
officer). What the broker has is not journaled: it says nothing about the peer, and a restart forgets it.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, to_builtins

from endpoints.runtime.endpoint_link import EndpointLink
from protocol.core.alerts import AlertState
from protocol.errors import LocalProtocolError
from protocol.wire.messages import Reference

Step = Literal[
    "held", "journaled", "broker", "received", "acknowledged", "answered", "refused", "changed", "undelivered"
]
_ACKNOWLEDGED = (AlertState.UNDERSTOOD, AlertState.ACTING, AlertState.WILL_REPLY)
_CHANGED = (AlertState.CHANGED, AlertState.CANCELLED)


class Ladder(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message and the steps that it has climbed, in their order."""

    # of the message, or of the draft while it is held
    reference: str
    steps: tuple[Step, ...]
    # the body of the peer's acknowledgement, refusal or answer
    reply: dict[str, Any] | None = None


def climb(runner: EndpointLink, written: str) -> tuple[Ladder, bool]:
    """Return where `eucom/1/42` or `draft/3` stands, and whether it can come no further.

    Raises LocalProtocolError `unknown_reference` for what is no message or draft of ours in this epoch.
    """
    if written.startswith("draft/"):
        number = written.removeprefix("draft/")
        released = runner.released.get(int(number)) if number.isascii() and number.isdecimal() else None
        if released is not None:
            return climb(runner, released)
        if number in map(str, runner.core.state.desk.drafts):
            return Ladder(reference=written, steps=("held",)), False
        raise LocalProtocolError("unknown_reference", f"{written[:60]} is no draft that waits here")
    try:
        reference = Reference.parse(written)
    except ValueError as error:
        raise LocalProtocolError("unknown_reference", str(error)) from error
    state, terms = runner.core.state, runner.core.terms
    epoch = terms.epoch if terms is not None else 0
    if (reference.sender, reference.epoch) != (runner.side, epoch) or reference.seq > state.outbox.last:
        raise LocalProtocolError("unknown_reference", f"{reference} is no message of {runner.side} in epoch {epoch}")
    return _of_message(runner, reference)


def _of_message(runner: EndpointLink, reference: Reference) -> tuple[Ladder, bool]:
    state = runner.core.state
    steps: list[Step] = ["journaled"]
    received = reference.seq <= state.outbox.receipted
    if received or reference.seq in runner.broker_has:
        steps.append("broker")
    if received:
        steps.append("received")
    reply: Any = None
    alert, test = state.alerts.get(str(reference)), state.watch.tests.get(str(reference))
    if alert is not None:
        reply = alert.reply
        if alert.state in _ACKNOWLEDGED:
            steps.append("acknowledged")
        elif alert.state is AlertState.REFUSED:
            steps.append("refused")
        elif alert.state in _CHANGED:
            steps.append("changed")
        elif alert.state is AlertState.UNDELIVERED:
            steps.append("undelivered")
    elif test is not None and test.answer is not None:
        reply = test.answer
        steps.append("answered")
    last = steps[-1] not in ("journaled", "broker", "received") or (received and alert is None and test is None)
    ladder = Ladder(reference=str(reference), steps=tuple(steps), reply=None if reply is None else to_builtins(reply))
    return ladder, last
