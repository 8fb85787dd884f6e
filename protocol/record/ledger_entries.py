"""What the ledger keeps of each message and of each alert that waits for a second officer."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from protocol.core.acts import Act, Item, item_of
from protocol.core.drafts import draft_item
from protocol.core.events import OfficerRaisedAlert
from protocol.wire.messages import Reference, Utc

_Step = Literal["queued", "sent", "received", "receipted"]
State = Literal[_Step, "acknowledged", "will_reply", "refused", "changed", "cancelled", "undelivered"]
SERVICE = "service"
"""Stands for an officer where the service itself acted."""


class LedgerEntry(Struct, kw_only=True):
    """One message. A time is None if this journal does not record the step."""

    reference: Reference
    # sent by this side, not received
    own: bool
    # `alert`, `heartbeat`, ...; `unknown` for a body without a type
    kind: str
    body: dict[str, Any]
    # the message's link in the sender's hash chain
    digest: str
    # by the sender's clock
    at: Utc
    # how often this side applied a received message; anything but 1 breaks SPEC M3.1
    applied: int = 0
    queued_at: Utc | None = None
    sent_at: Utc | None = None
    received_at: Utc | None = None
    receipted_at: Utc | None = None
    # what officers of either side did about it, oldest first; of a line test, correct answers alone
    acts: list[Act] = []
    # the reason of its refusal, and who refused it: `service` or an officer
    refused: str | None = None
    refused_by: str | None = None
    # the alert that changed or cancelled it, and how (SPEC B3.3)
    changed_by: Reference | None = None
    change: str | None = None
    # its epoch ended before the peer receipted it
    undelivered: bool = False

    @property
    def replied(self) -> Act | None:
        """The last acknowledgement of an alert, whatever its decision, or the first correct answer to a line test."""
        if self.kind == "heartbeat":
            return next((act for act in self.acts if act.act == "answered"), None)
        return next((act for act in reversed(self.acts) if act.act == "acknowledged"), None)

    @property
    def acknowledged(self) -> Act | None:
        """`replied`, unless it only promises a reply: then the alert is open as before (SPEC B4.2)."""
        return None if self.decision == "will_reply" else self.replied

    @property
    def acknowledged_at(self) -> Utc | None:
        """When this side recorded `acknowledged`."""
        return self.acknowledged.at if self.acknowledged else None

    @property
    def acknowledged_by(self) -> str | None:
        """The officer of `acknowledged`, or `service`."""
        return self.acknowledged.officer or SERVICE if self.acknowledged else None

    @property
    def decision(self) -> str | None:
        """The decision of `replied`, None for a line test."""
        return self.replied.decision or None if self.replied else None

    @property
    def item(self) -> Item:
        """The message with the acts on it, as officers act on it (SPEC P2.1)."""
        acts = [self.replied] if self.kind == "heartbeat" and self.replied else self.acts
        return item_of(self.reference, self.body, acts)

    @property
    def state(self) -> State:
        """The last step that it has reached."""
        if self.changed_by is not None:
            return "cancelled" if self.change == "cancellation" else "changed"
        if self.refused:
            return "refused"
        if self.replied:
            return "acknowledged" if self.acknowledged else "will_reply"
        if not self.own:
            return "received"
        if self.receipted_at:
            return "receipted"
        if self.undelivered:
            return "undelivered"
        return "sent" if self.sent_at else "queued"


class LedgerDraft(Struct, kw_only=True):
    """An alert that was held for a second officer."""

    draft: int
    # who wrote it, and what; its status is set
    raised: OfficerRaisedAlert
    held_at: Utc
    # its release, with the reference of the alert that was sent, its discarding or its expiry; None while it waits
    end: Act | None = None

    @property
    def item(self) -> Item:
        """The alert as it would be sent, as officers act on it (SPEC P2.1)."""
        return draft_item(self.draft, self.raised, self.raised.status or "test")
