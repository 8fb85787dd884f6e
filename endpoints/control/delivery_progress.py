"""The delivery ladder: the steps that a message sent from here has reached, as `--wait` shows them.

A draft is held; it is released by a second officer, or discarded, or its alert expires. If its author is removed,
nobody can release it any more. The steps of a message are: journaled, accepted by the broker, received (receipted by
the peer's machine), acknowledged or refused (by an officer of the peer). What the broker has accepted is not journaled,
since it proves nothing about the peer; a restart forgets it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, structs

from endpoints.runtime.gauges import Gauges
from protocol.core.acts import Act
from protocol.core.alerts import AlertState
from protocol.core.snapshot import Snapshot, StreamView
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase, worded
from protocol.wire.messages import Acknowledgement, HeartbeatAnswer, Reference, Refusal

Step = Literal[
    "held",
    "author_removed",
    "discarded",
    "expired",
    "journaled",
    "broker",
    "received",
    "acknowledged",
    "answered",
    "refused",
    "changed",
    "cancelled",
    "undelivered",
]
_STEP_OF: dict[AlertState, Step] = {
    AlertState.UNDERSTOOD: "acknowledged",
    AlertState.ACTING: "acknowledged",
    AlertState.WILL_REPLY: "acknowledged",
    AlertState.REFUSED: "refused",
    AlertState.CHANGED: "changed",
    AlertState.CANCELLED: "cancelled",
    AlertState.UNDELIVERED: "undelivered",
}


class Ladder(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message and the steps that it has reached, in order."""

    # of the message, or of the draft while it is held
    reference: str
    steps: tuple[Step, ...]
    # the peer's acknowledgement, refusal or answer
    reply: Acknowledgement | Refusal | HeartbeatAnswer | None = None
    # the alert that changed or cancelled it
    changed_by: str | None = None
    # how the draft of the request ended: its release, by whom and as which message
    draft_end: Act | None = None


def climb(view: Snapshot, gauges: Gauges, written: str) -> tuple[Ladder, bool]:
    """Return the ladder of `eucom/1/42` or `draft/3`, and whether no further step can follow.

    Raises LocalProtocolError `unknown_reference` if it names neither a message sent in this epoch nor one of the last
    drafts.
    """
    if view.ours is None:
        raise LocalProtocolError("unknown_reference", phrase("the watch sends no messages"))
    if written.startswith("draft/"):
        return _of_draft(view, view.ours, gauges, written)
    try:
        reference = Reference.parse(written)
    except ValueError as error:
        raise LocalProtocolError("unknown_reference", worded(error)) from error
    if (reference.sender, reference.epoch) != (view.side, view.epoch) or reference.seq > view.ours.last:
        raise LocalProtocolError(
            "unknown_reference",
            phrase(
                "{reference} is not a message of {side} in epoch {epoch}",
                reference=reference,
                side=view.side,
                epoch=view.epoch,
            ),
        )
    return _of_message(view, view.ours, gauges, reference)


def _of_draft(view: Snapshot, ours: StreamView, gauges: Gauges, written: str) -> tuple[Ladder, bool]:
    end = view.drafts_ended.get(written)
    for draft in view.drafts:
        if draft.draft == written:
            removed = view.officers is not None and draft.officer not in view.officers
            return Ladder(reference=written, steps=("held", "author_removed") if removed else ("held",)), removed
    if end is None:
        raise LocalProtocolError(
            "unknown_reference", phrase("{written} is not one of the last drafts", written=written[:60])
        )
    if end.reference is UNSET:
        ended: Step = "expired" if end.act == "expired" else "discarded"
        return Ladder(reference=written, steps=("held", ended), draft_end=end), True
    ladder, last = _of_message(view, ours, gauges, end.reference)
    return structs.replace(ladder, draft_end=end), last


def _of_message(view: Snapshot, ours: StreamView, gauges: Gauges, reference: Reference) -> tuple[Ladder, bool]:
    steps: list[Step] = ["journaled"]
    received = reference.seq <= ours.receipted
    if received or reference.seq in gauges.broker_has:
        steps.append("broker")
    if received:
        steps.append("received")
    written = str(reference)
    alert = next((each for each in view.alerts if each.reference == written), None)
    test = next((each for each in view.tests if each.reference == written), None)
    last = received and alert is None and test is None
    reply: Acknowledgement | Refusal | HeartbeatAnswer | None = None
    changed_by = None
    if alert is not None:
        reply, changed_by = alert.reply, alert.changed_by
        if alert.state in _STEP_OF:
            steps.append(_STEP_OF[alert.state])
            last = True
    elif test is not None and test.answer is not None:
        reply = test.answer
        steps.append("answered")
        last = True
    return Ladder(reference=written, steps=tuple(steps), reply=reply, changed_by=changed_by), last
